"""Bugs that a store could have; `plant` puts one into this process, to see that a judge finds it."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from regraft import durable
from regraft.data import assembly
from regraft.errors import ConflictError, UnknownOutcomeError
from regraft.records import encode
from regraft.store import blobs, catalog, gc, packs, references, sidecars
from regraft.store.catalog import Catalog

_fsync = os.fsync
_link = os.link


def _no_flush_of_files() -> None:
    os.fsync = lambda handle: None if stat.S_ISREG(os.fstat(handle).st_mode) else _fsync(handle)


def _no_flush_of_folders() -> None:
    durable._flush_folder = lambda path: None
    # on ext4 a later flush of anything flushes it all, and a cut would have to come before
    sidecars.Sidecars.write = lambda *_: None


def _published_before_it_is_flushed() -> None:
    def put(path: Path, *chunks: bytes, point: str = "put") -> None:
        durable.folder(path.parent)
        draft = path.parent / f"{durable.DRAFT}{os.urandom(8).hex()}"
        with draft.open("xb") as file:
            file.writelines(chunks)
            file.flush()
            try:
                _link(draft, path)
            except FileExistsError:
                raise ConflictError("It exists.") from None
            finally:
                draft.unlink()
            time.sleep(0.02)  # as on a slow disk
            _fsync(file.fileno())
        durable.confirm(path, point=point)

    durable.put = put


def _renamed_and_not_linked() -> None:
    def rename(source: Path, target: Path) -> None:
        time.sleep(0.002)  # as on a slow disk: the others come in between
        Path(source).replace(target)

    os.link = rename


def _parent_of_another_moment() -> None:
    def commit(self: Catalog, kind: Any, name: str, build: Any) -> Any:
        while True:
            parent = self.latest(kind, name)
            data = encode(build(parent))
            number = max(self._all(kind, name), default=0) + 1  # somebody may have published one meanwhile
            try:
                return self._publish(kind, name, number, data), True
            except ConflictError:
                continue

    Catalog.commit = commit


def _cleaned_up_when_unknown() -> None:
    confirm = durable.confirm

    def cleaned(path: Path, *, point: str = "confirm") -> None:
        try:
            confirm(path, point=point)
        except UnknownOutcomeError:
            path.unlink()
            raise

    durable.confirm = cleaned


def _flush_tried_again() -> None:
    def again(handle: int) -> None:
        try:
            _fsync(handle)
        except OSError:
            _fsync(handle)

    os.fsync = again


def _version_before_its_packs() -> None:
    put, publish = blobs.Blobs.put, Catalog._publish
    waiting: list[Any] = []

    def later(self: blobs.Blobs, *chunks: bytes) -> str:
        if self.folder == "blobs":
            return put(self, *chunks)
        waiting.append((self, chunks))
        return catalog.digest(b"".join(chunks))

    def first(*arguments: Any) -> Any:
        version = publish(*arguments)
        while waiting:
            files, chunks = waiting.pop()
            put(files, *chunks)
        return version

    blobs.Blobs.put, Catalog._publish = later, first
    blobs.Blobs.keep = lambda self, digest, **_: True


def _tag_written_in_place() -> None:
    def swap(path: Path, *chunks: bytes, point: str = "swap") -> None:
        durable.folder(path.parent)
        with path.open("wb") as file:
            durable.failpoint(f"{point}.write")
            file.writelines(chunks)
            file.flush()
            durable.failpoint(f"{point}.flush")
            _fsync(file.fileno())
        durable.confirm(path, point=point)

    durable.swap = swap


def _split_that_moves() -> None:
    renewed = assembly._renewed
    moved = {"train": "test", "test": "train", "val": "train"}
    assembly._renewed = lambda *words: replace(row := renewed(*words), split=moved[row.split])


def _label_by_position() -> None:
    made = assembly._row
    labels = ["cat", "dog", "owl"] * 100

    def row(item: Any, *words: Any) -> Any:
        return replace(made(item, *words), label=labels.pop())

    assembly._row = row


def _digest_not_compared() -> None:
    packs.Packs.read = lambda self, row: self.files.read(row.pack, offset=row.offset, length=row.length)


def _leases_ignored() -> None:
    gc.oldest = lambda storage: None


def _grace_ignored() -> None:
    collect = gc.collect
    gc.collect = lambda store, *, grace, **more: collect(store, grace=0, **more)


def _reused_without_a_touch() -> None:
    blobs.reuse = references.reuse = lambda storage, name: storage.find(name) is not None


def _number_given_again() -> None:
    def remove(self: Catalog, version: Any) -> None:
        self._storage.remove(catalog.file_name(version.kind, version.name, version.number))

    Catalog.remove = remove


def _digest_of_a_version_not_compared() -> None:
    def unseal(data: bytes) -> bytes:
        document = json.loads(data)
        document.pop("digest")
        return catalog.canonical(document)

    catalog.unseal = unseal


MUTANTS = {
    bug.__name__[1:]: bug
    for bug in (
        _no_flush_of_files,
        _no_flush_of_folders,
        _published_before_it_is_flushed,
        _renamed_and_not_linked,
        _parent_of_another_moment,
        _cleaned_up_when_unknown,
        _flush_tried_again,
        _version_before_its_packs,
        _tag_written_in_place,
        _split_that_moves,
        _label_by_position,
        _digest_not_compared,
        _digest_of_a_version_not_compared,
        _leases_ignored,
        _grace_ignored,
        _reused_without_a_touch,
        _number_given_again,
    )
}


def plant(name: str) -> None:
    """Put a bug into this process; none where the name is empty."""
    if name:
        MUTANTS[name]()
