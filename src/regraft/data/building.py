"""A dataset row by row: what a program appends becomes a version when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from regraft.data import pictures
from regraft.data.assembly import Mode, open_rows
from regraft.data.ingest import Added, Intake
from regraft.data.sources.arrange import SPLITS, text
from regraft.data.sources.listing import Entry, Listing
from regraft.data.sources.rows import Unusable, compact, word
from regraft.errors import InvalidError, InvalidPicture
from regraft.progress import Progress
from regraft.records import DatasetVersion, SplitRule
from regraft.store.leases import lease
from regraft.store.opening import Store
from regraft.store.rows import Rows

#: The bytes of a picture file, or where one lies, or pixels: [height, width], or with 3 or 4 channels, uint8.
Picture = bytes | str | Path | Image.Image | npt.NDArray[np.uint8]

_KINDS = (bytes, str, Path, Image.Image, np.ndarray)
#: What Pillow cannot write as PNG, and can convert.
_PRINTED = ("CMYK", "YCbCr")


class Builder:
    """Takes pictures one by one; nothing is visible before all of them are there."""

    def __init__(self, intake: Intake, before: Rows) -> None:
        self._intake = intake
        #: Rows that stay, and whose names are taken.
        self._before = before
        self._keys: set[str] = set()
        #: What was made, when the block has been left.
        self.added: Added | None = None

    def append(
        self,
        picture: Picture,
        *,
        label: str | int,
        split: str = "",
        group: str = "",
        key: str = "",
        **metadata: object,
    ) -> str:
        """Add a picture and return its key.

        Without `split` it gets one as pictures of a folder do; pictures of one `group` never stand in
        different splits. Without `key` it is called by its label and its file's name, or else by its content.
        A picture that cannot be used is kept out, and named with its reason in the result. Raises
        InvalidError for what is no picture at all, an empty label, an unknown split, a key that was given
        before, or metadata that JSON does not know.
        """
        return self.take(picture, label=label, split=split, group=group, key=key, metadata=metadata)

    def take(
        self,
        picture: Picture,
        *,
        label: str | int,
        split: str,
        group: str,
        key: str,
        metadata: Mapping[str, object],
    ) -> str:
        """Add a picture whose metadata may have any names; see `append`."""
        if not isinstance(picture, _KINDS):
            raise InvalidError(
                f"A {type(picture).__name__} is no picture.",
                hint="Give bytes, a path, a Pillow image, or an array of uint8.",
                where=str(key),
            )
        try:
            name, split, group, key = map(word, (label, split, group, key))
            said = compact(metadata)
        except Unusable as error:
            raise InvalidError(
                f"A picture cannot be described like this: {error}.",
                hint="Numbers, text, lists and dictionaries of them can be kept.",
                where=str(key),
            ) from None
        if not name:
            raise InvalidError("A picture has no label.", hint="Give each picture a label.", where=key)
        if split and split.casefold() not in SPLITS:
            raise InvalidError(
                f"There is no split {split!r}.", hint="It is train, val or test.", where="split"
            )
        if key in self._keys:
            raise InvalidError(f"Two pictures are called {key!r}.", hint="Give each its own key.", where=key)
        entry = Entry(
            key=key,
            label=name,
            split=SPLITS[split.casefold()] if split else "",
            group=group,
            metadata=said,
            read=lambda: _bytes(picture),
        )
        checked = self._intake.check(entry)
        if not key:
            key = self._name(picture, name, checked.digest)
        self._keys.add(key)
        self._intake.take(replace(checked, entry=replace(entry, key=key)))
        return key

    def _name(self, picture: Picture, label: str, digest: str) -> str:
        name = f"{label}/{text(Path(picture).name)}" if isinstance(picture, str | Path) else ""
        if name and name not in self._keys and not self._is_another(name, digest):
            return name
        name = f"{label}/{digest[:16] or 'unreadable'}"
        return name if name not in self._keys else f"{name}-{len(self._keys)}"

    def _is_another(self, name: str, digest: str) -> bool:
        return any(row.digest != digest for row in self._before.find("key", [name]))


@contextmanager
def build(
    store: Store, name: str, rule: SplitRule, progress: Progress, *, mode: Mode, decode: bool
) -> Iterator[Builder]:
    """Make the next version of a dataset row by row; leaving the block commits, an exception does not."""
    with lease(store.storage), pictures.quiet():
        intake = Intake(store, name, rule, mode=mode, decode=decode)
        latest = store.catalog.latest("datasets", name) if mode == "append" else None
        builder = Builder(intake, open_rows(store, latest.read(DatasetVersion) if latest else None))
        yield builder
        builder.added = intake.commit(Listing(reader="build"), progress)


def _bytes(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        return pictures.read_file(Path(picture))
    try:
        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else pictures.upright(picture)
        if image.mode in _PRINTED:
            image = image.convert("RGB")
        buffer = BytesIO()
        image.save(buffer, format="PNG")
    except (TypeError, ValueError, OSError) as error:
        raise InvalidPicture(f"cannot be written as PNG ({error}).") from None
    return buffer.getvalue()
