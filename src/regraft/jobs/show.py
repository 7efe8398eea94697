"""Draw the pictures of a dataset by class, as a page in the cache."""

from __future__ import annotations

from pathlib import Path

from regraft import durable
from regraft.data.assembly import open_rows
from regraft.data.parallel import ordered
from regraft.data.pictures import decode, quiet
from regraft.errors import RegraftError
from regraft.progress import Progress
from regraft.records import DatasetVersion, Row, Version
from regraft.reports import dataset_page, gallery
from regraft.store.opening import Store

#: Short side of a thumbnail before it is scaled down, in pixels.
_SIDE = 224


def show(store: Store, dataset: Version, progress: Progress) -> Path:
    """Return the page of a dataset version; it is drawn once."""
    path = store.cache / "pages" / f"{dataset.digest}.html"
    if not path.exists():
        rows = {row.key: row for row in open_rows(store, dataset.read(DatasetVersion))}
        labelled = [(row.key, row.label, row.split) for row in rows.values()]
        wanted = dataset_page.chosen(labelled)
        thumbnails = {}
        with quiet():
            drawn = ordered(lambda key: thumbnail(store, rows[key]), wanted)
            for done, (key, text) in enumerate(zip(wanted, drawn, strict=True), start=1):
                thumbnails[key] = text
                progress("Drawing pictures", done, len(wanted))
        page = dataset_page.gallery_page(str(dataset), labelled, thumbnails)
        durable.swap(path, page.encode(), point="page")
    return path


def thumbnail(store: Store, row: Row) -> str:
    """Return a small picture as a `data:` URI; empty where it cannot be read."""
    try:
        return gallery.encode(decode(store.packs.read(row), short_side=_SIDE))
    except RegraftError:  # the page draws a grey box
        return ""
