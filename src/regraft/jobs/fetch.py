"""Get a model: one of the workspace, or a pretrained one, which becomes a version the first time."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path

from regraft import durable
from regraft.errors import IntegrityError, NotFoundError
from regraft.hub.sources.find import architecture_of, find
from regraft.progress import Progress
from regraft.records import ModelVersion, RemoteFile, Version
from regraft.refs import Ref
from regraft.store.fetch import Downloads
from regraft.store.leases import lease
from regraft.store.opening import Store


def fetch(
    store: Store,
    ref: Ref,
    *,
    weights: str,
    progress: Progress,
    prefix: str = "",
    architecture: str = "",
    partial: bool = False,
    pretrained: bool = True,
) -> Version:
    """Return the model version that a ref names; a pretrained one is fetched and converted where it is new.

    `weights` is a local file in place of those that timm or torchvision publish, and `architecture` is what
    the net of a file is. With a prefix only the tensors below it are taken; `partial` lets weights fit in
    part. Where `pretrained` is off and the ref says what the net is, no file is needed: the version is
    called `NAME-random`, and its weights are random. Raises NotFoundError, FetchError, IntegrityError where
    a file is not the one that is known, and MismatchError where the weights do not fit.
    """
    if not ref.source:
        return store.catalog.find("models", ref)
    if not pretrained and (name := architecture_of(ref)):
        return _random(store, ref, name, progress)

    def known(digest: str = "") -> Version | None:
        return _find(
            store,
            ref.stored_name,
            _words(ref),
            lambda model: (
                digest in ("", model.weights_file)
                and architecture in ("", model.architecture)
                and prefix == model.load_report.prefix
                and partial >= model.load_report.partial
            ),
        )

    if not weights and ref.source != "file" and (version := known()):
        return version

    def locate(file: RemoteFile) -> Path:
        return Downloads(store.cache / "downloads", offline=store.offline).fetch(file, progress)

    source = find(ref, weights=weights, architecture=architecture, locate=locate)
    found = _digest(source.weights)
    if source.digest and found != source.digest:
        raise IntegrityError(
            f"The weights file {str(source.weights)!r} is not the one that Regraft was tested with.",
            hint="Install the package that it belongs to again.",
        )
    if version := known(found):
        return version
    from regraft.jobs import trunk  # torch and timm: seconds that a model which is there saves

    progress(f"Reading the weights of {_words(ref)}", 0, 1)
    with lease(store.storage):
        manifest = trunk.convert(
            store, source, ref=_words(ref), weights_file=found, prefix=prefix, partial=partial
        )
        version, _ = store.catalog.commit(
            "models",
            ref.stored_name,
            lambda parent: manifest.model_copy(update={"parent": parent.digest if parent else None}),
        )
    progress(f"Reading the weights of {_words(ref)}", 1, 1)
    return version


def check_named(store: Store, ref: Ref, *, weights: str) -> None:
    """Raise NotFoundError where a model of the workspace, or a file that is named, is not there.

    Nothing is read or fetched, so that what only its publisher knows may still be missing.
    """
    if not ref.source:
        store.catalog.find("models", ref)
        return
    architecture_of(ref)
    for name in filter(None, (weights, ref.name if ref.source == "file" else "")):
        path = Path(name).expanduser()
        if not path.exists():
            raise _no_file(path)


def _random(store: Store, ref: Ref, architecture: str, progress: Progress) -> Version:
    """Return the version of a net that nobody has trained, whose weights are always the same random ones."""
    name, words = f"{ref.stored_name}-random", f"{_words(ref)} (random)"
    if version := _find(store, name, words, lambda model: model.architecture == architecture):
        return version
    from regraft.jobs import trunk  # torch and timm, likewise

    progress(f"Building {architecture}", 0, 1)
    with lease(store.storage):
        manifest = trunk.untrained(store, architecture, ref=words)
        version, _ = store.catalog.commit(
            "models",
            name,
            lambda parent: manifest.model_copy(update={"parent": parent.digest if parent else None}),
        )
    progress(f"Building {architecture}", 1, 1)
    return version


def _find(store: Store, name: str, words: str, suits: Callable[[ModelVersion], bool]) -> Version | None:
    """Return the latest version from a source that suits; None where there is none, or its bytes are gone."""
    for number in reversed(store.catalog.numbers("models", name)):
        version = store.catalog.find("models", Ref(name=name, version=f"v{number}"))
        record = version.read(ModelVersion)
        same = record.lineage is None and record.source == words
        if same and suits(record) and all(store.blobs.has(digest) for digest in (record.trunk, record.head)):
            return version
    return None


def _words(ref: Ref) -> str:
    """Write where a model comes from, without where that lies on this machine."""
    return f"file:{Path(ref.name).name}" if ref.source == "file" else str(ref)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise _no_file(path) from None
    except OSError as error:
        raise durable.unreadable(error, path) from error


def _no_file(path: Path) -> NotFoundError:
    return NotFoundError(f"There is no weights file {str(path)!r}.")
