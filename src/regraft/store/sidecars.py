"""Sidecars: arrays that are computed from a segment of rows and kept in the cache under its digest.

A segment never changes, and neither does what follows from it. A sidecar may be deleted at any time; a
damaged one is taken for missing.
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from regraft import durable
from regraft.errors import ConflictError, NotAllowedError, StorageError

Array = npt.NDArray[Any]

_DIGEST = 32


class Sidecars:
    """The sidecars of one kind."""

    def __init__(self, cache: Path, kind: str) -> None:
        self._folder = cache / kind

    def read(self, segment: str) -> Array | None:
        """Return the array of a segment, verified; None where it is not kept."""
        path = self._path(segment)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = memoryview(data)[_DIGEST:]
        if sha256(body).digest() != data[:_DIGEST]:
            durable.remove(path)
            return None
        array: Array = np.lib.format.read_array(BytesIO(body), allow_pickle=False)
        return array

    def write(self, segment: str, array: Array) -> None:
        """Keep the array of a segment."""
        buffer = BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        body = buffer.getbuffer()
        # another process computed the same, or there is no room: it will be computed again
        with suppress(ConflictError, StorageError, NotAllowedError):
            durable.put(self._path(segment), sha256(body).digest(), body, point="sidecar")

    def _path(self, segment: str) -> Path:
        return self._folder / f"{segment}.npy"
