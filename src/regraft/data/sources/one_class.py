"""A folder of pictures of one class, which stands for no others."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from regraft.data import pictures
from regraft.data.sources import folders, readers
from regraft.data.sources.listing import Listing


def read(path: Path, label: str = "") -> Listing:
    """List the pictures below a folder as those of one label, by default the folder's name.

    Without a label, a folder of class folders, or anything else that a dataset is made of, keeps its own.
    Raises what `readers.read` does.
    """
    if not path.is_dir() or (not label and any(child.is_dir() for child in path.iterdir())):
        return readers.read(path)
    files = folders.find_pictures(path)
    name = label or path.resolve().name
    return folders.list_paths(
        "folder",
        [(name, *file.relative_to(path).parts) for file in files],
        [partial(pictures.read_file, file) for file in files],
        ignored=Counter(),
        source=f"folder {str(path)!r}",
        where=str(path),
    )
