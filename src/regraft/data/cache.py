"""The feature cache: what the frozen trunk made of each picture, so that it is never computed twice.

The features of a picture depend on its bytes, the trunk's weights, how the picture is prepared, and the
precision; they stand under all of these. A folder of the cache is one such combination; each run adds one
file with the pictures that were missing. The cache may be deleted at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from regraft import durable
from regraft.data import transforms
from regraft.errors import ConflictError
from regraft.records import InputSpec, Precision, Record, digest, encode

Features = npt.NDArray[np.float32]


class FeatureKey(Record):
    """What the features of a picture depend on, besides the picture."""

    trunk: str
    architecture: str
    input: InputSpec
    precision: Precision
    #: Versions of the libraries that decode and compute.
    libraries: dict[str, str]
    #: What computes: another processor may round otherwise.
    processor: str
    #: Version of the preparation of pictures.
    prepare: int = transforms.VERSION


class FeatureCache:
    """The features under one key."""

    def __init__(self, root: Path, key: FeatureKey) -> None:
        self._folder = root / "features" / digest(encode(key))

    def read(self, wanted: Iterable[str]) -> dict[str, Features]:
        """Return the features of those pictures, by digest, that the cache has."""
        names = set(wanted)
        found: dict[str, Features] = {}
        for file in sorted(self._folder.glob("[!.]*.safetensors")):
            for name, row in self._rows(file):
                if name in names:
                    found[name] = row.copy()  # a view would hold its whole file in memory
        return found

    def add(self, digests: Sequence[str], features: Features) -> None:
        """Keep the features [n, d] of n pictures."""
        names = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(len(digests), 32)
        body = save({"digests": names, "features": np.ascontiguousarray(features, dtype=np.float32)})
        with suppress(ConflictError):  # the same file is there already
            durable.put(self._folder / f"{sha256(body).hexdigest()}.safetensors", body, point="cache")

    def _rows(self, file: Path) -> Iterable[tuple[str, Features]]:
        try:
            body = file.read_bytes()
        except FileNotFoundError:
            return []  # somebody has just emptied the cache
        if sha256(body).hexdigest() != file.stem:
            durable.remove(file)  # a cache may be lost; damaged features may not be used
            return []
        part = load(body)
        names = part["digests"].tobytes().hex()
        return [(names[64 * i : 64 * (i + 1)], row) for i, row in enumerate(part["features"])]
