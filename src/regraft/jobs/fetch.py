"""Get a model: one of the workspace, or a pretrained one, which becomes a version the first time."""

from __future__ import annotations

from hashlib import file_digest

from regraft.errors import IntegrityError, NotFoundError
from regraft.hub import sources
from regraft.progress import Progress
from regraft.records import ModelVersion, Version
from regraft.refs import Ref, make_name
from regraft.store.opening import Store


def fetch(store: Store, ref: Ref, *, weights: str, progress: Progress) -> Version:
    """Return the model version that a ref names.

    Raises NotFoundError, FetchError, or IntegrityError where a weights file is not the one that is known.
    """
    if not ref.source:
        return store.catalog.find("models", ref)
    source = sources.find(ref, weights)
    if not source.weights.is_file():
        raise NotFoundError(f"There is no weights file {str(source.weights)!r}.")
    with source.weights.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if source.digest and found != source.digest:
        raise IntegrityError(
            f"The weights file {str(source.weights)!r} is not the one that Regraft was tested with.",
            hint="Install the package that it belongs to again.",
        )
    name = make_name(ref.name)
    for number in reversed(store.catalog.numbers("models", name)):
        version = store.catalog.find("models", Ref(name=name, version=f"v{number}"))
        record = version.read(ModelVersion)
        if (record.source, record.weights_file, record.lineage) == (str(ref), found, None):
            return version
    from regraft.jobs import trunk  # torch and timm: seconds that a model which is there saves

    progress(f"Reading the weights of {ref}", 0, 1)
    manifest = trunk.convert(store, source, ref=str(ref), weights_file=found)
    version, _ = store.catalog.commit(
        "models",
        name,
        lambda parent: manifest.model_copy(update={"parent": parent.digest if parent else None}),
    )
    progress(f"Reading the weights of {ref}", 1, 1)
    return version
