"""Get a model: one of the workspace, or a pretrained one, which becomes a version the first time."""

from __future__ import annotations

from hashlib import file_digest

from regraft import durable
from regraft.errors import IntegrityError, NotFoundError
from regraft.hub import sources
from regraft.progress import Progress
from regraft.records import ModelVersion, Version
from regraft.refs import Ref, make_name
from regraft.store.leases import lease
from regraft.store.opening import Store


def fetch(store: Store, ref: Ref, *, weights: str, progress: Progress) -> Version:
    """Return the model version that a ref names.

    Raises NotFoundError, FetchError, or IntegrityError where a weights file is not the one that is known.
    """
    if not ref.source:
        return store.catalog.find("models", ref)
    if not weights and (known := _find(store, ref)):
        return known
    source = sources.find(ref, weights)
    try:
        with source.weights.open("rb") as file:
            found = file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise NotFoundError(f"There is no weights file {str(source.weights)!r}.") from None
    except OSError as error:
        raise durable.unreadable(error, source.weights) from error
    if source.digest and found != source.digest:
        raise IntegrityError(
            f"The weights file {str(source.weights)!r} is not the one that Regraft was tested with.",
            hint="Install the package that it belongs to again.",
        )
    if known := _find(store, ref, found):
        return known
    from regraft.jobs import trunk  # torch and timm: seconds that a model which is there saves

    progress(f"Reading the weights of {ref}", 0, 1)
    with lease(store.storage):
        manifest = trunk.convert(store, source, ref=str(ref), weights_file=found)
        version, _ = store.catalog.commit(
            "models",
            make_name(ref.name),
            lambda parent: manifest.model_copy(update={"parent": parent.digest if parent else None}),
        )
    progress(f"Reading the weights of {ref}", 1, 1)
    return version


def _find(store: Store, ref: Ref, weights_file: str = "") -> Version | None:
    """Return the latest version from a source and this file; None where its bytes are gone."""
    name = make_name(ref.name)
    for number in reversed(store.catalog.numbers("models", name)):
        version = store.catalog.find("models", Ref(name=name, version=f"v{number}"))
        record = version.read(ModelVersion)
        there = all(store.blobs.has(digest) for digest in (record.trunk, record.head))
        same = record.lineage is None and record.source == str(ref)
        if same and there and weights_file in ("", record.weights_file):
            return version
    return None
