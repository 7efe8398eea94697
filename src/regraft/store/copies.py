"""Copy a version from one store to another: only what is missing travels."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.progress import Progress, silent
from regraft.records import Version
from regraft.store.blobs import Blobs
from regraft.store.leases import lease
from regraft.store.opening import Store
from regraft.store.references import needs


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """What copying a version gave."""

    #: As it is called in the target.
    version: Version
    #: Whether the target did not have it.
    new: bool
    #: Blobs and packs that were sent, and their bytes.
    sent: int
    sent_bytes: int
    #: Blobs and packs that the target had already.
    present: int


def copy(source: Store, target: Store, version: Version, *, progress: Progress = silent) -> Copied:
    """Copy a version, digest and all, with everything that it needs.

    It keeps its number where that is free above those of the name. Every file is verified on the way; the
    version becomes visible last. Raises IntegrityError where a file of the source is missing or damaged.
    """
    wanted = needs(version)
    pairs: list[tuple[Blobs, Blobs, str]] = [
        *((source.blobs, target.blobs, digest) for digest in sorted(wanted.blobs)),
        *((source.packs.files, target.packs.files, digest) for digest in sorted(wanted.packs)),
    ]
    sent: list[int] = []
    with lease(target.storage):
        for done, (ours, theirs, digest) in enumerate(pairs, start=1):
            if not theirs.keep(digest, flush=True):
                data = ours.get(digest)
                theirs.put(data)
                sent.append(len(data))
            progress("Copying files", done, len(pairs))
        here, new = target.catalog.adopt(version)
    return Copied(version=here, new=new, sent=len(sent), sent_bytes=sum(sent), present=len(pairs) - len(sent))
