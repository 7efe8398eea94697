"""Nets as their libraries build them: timm, torchvision, and the small ones that come with Regraft."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from regraft.errors import MismatchError, NotFoundError, did_you_mean
from regraft.hub import cifar_resnet
from regraft.hub.operators import register
from regraft.records import InputSpec

register()

import timm  # noqa: E402 (its import needs the operators)
import torchvision  # noqa: E402
from timm.data.imagenet_info import ImageNetInfo  # noqa: E402
from timm.models._manipulate import group_with_matcher  # noqa: E402
from torchvision.models import get_model, get_model_weights, list_models  # noqa: E402
from torchvision.ops import StochasticDepth  # noqa: E402

_CIFAR_INPUT = InputSpec(
    size=32, crop=1.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bilinear"
)
#: What torchvision builds with a second classifier on the side, which Regraft has no use for. Their
#: pretrained weights were made for other pictures than the mean of ImageNet; they turn one into the other.
_INCEPTIONS = ("googlenet", "inception_v3")
_INCEPTION = {"aux_logits": False, "init_weights": True, "transform_input": True}
#: A name that no pattern of timm's matches.
_NOWHERE = "~"
_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full)


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A net as its library builds it, with random weights, and what is known of it."""

    net: nn.Module
    #: Name of the classifier within the net.
    classifier: str


class Outline(TorchFunctionMode):
    """Within this context weights have shapes and no memory.

    As under `torch.device("meta")`, but for the small tensors that a few constructors count with.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send what makes a weight to the meta device."""
        options = dict(kwargs or {})
        if func in _FACTORIES:
            options["device"] = "meta"
        return func(*args, **options)


def build(architecture: str, *, in_channels: int, drop_path: float) -> Built:
    """Build the net that `resnet18`, `torchvision:resnet18` or `regraft:cifar_resnet20` names.

    Raises NotFoundError with the nearest name.
    """
    library, colon, name = architecture.partition(":")
    if not colon:
        return _timm(architecture, in_channels, drop_path)
    if library not in _LIBRARIES:
        raise NotFoundError(
            f"No library of nets is called {library!r}.",
            hint=f"There is {', '.join(f'{known}:NAME' for known in _LIBRARIES)}; timm's need no prefix.",
        )
    known, make = _LIBRARIES[library]
    if name not in known:
        raise NotFoundError(
            f"There is no architecture {architecture!r}.",
            hint=did_you_mean(name, known, otherwise=f"There is {', '.join(known[:8])}, ..."),
        )
    built = make(name)
    if in_channels != 3:
        _take_channels(built.net, in_channels)
    _pass_by(built.net, architecture, drop_path)
    return built


def input_spec(architecture: str, net: nn.Module) -> InputSpec:
    """Return how pictures must be prepared for the pretrained weights that a library has for a net.

    Raises MismatchError where Regraft cannot prepare them so.
    """
    library, colon, name = architecture.partition(":")
    if not colon:
        return _timm_input(net)
    return _torchvision_input(name, net) if library == "torchvision" else _CIFAR_INPUT


def label_names(architecture: str, count: int) -> tuple[str, ...]:
    """Return the names of so many classes that pretrained weights know; plain numbers where nobody does."""
    if architecture.startswith("regraft:cifar") and count == len(cifar_resnet.LABELS):
        return cifar_resnet.LABELS
    if count != 1000:
        return tuple(str(index) for index in range(count))
    info = ImageNetInfo()
    synsets = [info.index_to_label_name(index) for index in range(count)]
    names = [info.label_name_to_description(synset) for synset in synsets]
    twice = {name for name in names if names.count(name) > 1}
    return tuple(f"{n} ({s})" if n in twice else n for n, s in zip(names, synsets, strict=True))


def groups(net: nn.Module, names: Iterable[str], *, coarse: bool) -> list[list[str]] | None:
    """Sort names of parameters as timm does for its nets, in stages or finer; None where it does not.

    What timm leaves over, such as a last norm, belongs to the last.
    """
    if not hasattr(net, "group_matcher"):
        return None
    matcher = cast(Any, net).group_matcher(coarse=coarse)
    found = group_with_matcher(((name, None) for name in (*names, _NOWHERE)), matcher)
    parts: list[list[str]] = [found[number] for number in sorted(found)]
    rest = next(part for part in parts if _NOWHERE in part)
    rest.remove(_NOWHERE)
    if rest is parts[-1] and len(parts) > 1:
        parts[-2].extend(parts.pop())
    return [part for part in parts if part]


def _timm(architecture: str, in_channels: int, drop_path: float) -> Built:
    if not timm.is_model(architecture):
        raise NotFoundError(
            f"timm {timm.__version__} has no architecture {architecture!r}.",
            hint=did_you_mean(architecture, timm.list_models(), otherwise="See timm.list_models()."),
        )
    options: dict[str, Any] = {} if in_channels == 3 else {"in_chans": in_channels}
    if drop_path:
        options["drop_path_rate"] = drop_path
    try:
        facts = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
        if facts is not None and not facts.num_classes:  # weights without a classifier, as DINO's are
            options["num_classes"] = 1000
        net: nn.Module = timm.create_model(architecture, pretrained=False, **options)
    except RuntimeError as error:  # a tag that the architecture does not have
        raise NotFoundError(
            f"timm {timm.__version__} has no {architecture!r}: {str(error).rstrip('.')}.",
            hint="Leave away what follows the dot.",
        ) from None
    except TypeError as error:
        if drop_path and "drop_path_rate" in str(error):
            raise _no_depth(architecture) from None
        raise
    if drop_path and not any(getattr(module, "drop_prob", 0) for module in net.modules()):
        raise _no_depth(architecture)
    name = cast(dict[str, Any], net.pretrained_cfg)["classifier"]
    if not isinstance(name, str) or not any(place == name for place, _ in net.named_modules()):
        count = f"{len(name)} classifiers" if isinstance(name, tuple) else "no classifier"
        raise MismatchError(f"The net {architecture!r} has {count}; only nets with one can be fine-tuned.")
    return Built(net=net, classifier=name)


def _timm_input(net: nn.Module) -> InputSpec:
    facts = cast(dict[str, Any], net.pretrained_cfg)
    mode, crop = facts.get("crop_mode", "center"), facts["crop_pct"]
    whole: dict[str, Any] = {"squash": "squash", "border": "pad"} if crop == 1 else {}
    if mode != "center" and mode not in whole:
        raise MismatchError(f"The net wants its pictures prepared by {mode!r}, which is not supported.")
    return InputSpec(
        size=facts["input_size"][-1],
        crop=crop,
        mean=facts["mean"],
        std=facts["std"],
        interpolation="bilinear" if facts["interpolation"] == "bilinear" else "bicubic",
        resize=whole.get(mode, "crop"),
    )


def _torchvision(name: str) -> Built:
    net: nn.Module = get_model(name, weights=None, **(_INCEPTION if name in _INCEPTIONS else {}))
    linear = [place for place, module in net.named_modules() if isinstance(module, nn.Linear)]
    return Built(net=net, classifier=linear[-1] if linear else "classifier")  # a SqueezeNet has none


def _torchvision_input(name: str, net: nn.Module) -> InputSpec:
    weights = get_model_weights(name)
    facts = weights.DEFAULT.transforms()
    fixed = getattr(net, "image_size", None)  # a ViT takes one size, and some weights are for a larger one
    if fixed not in (None, facts.crop_size[0]):
        facts = next(one for one in (entry.transforms() for entry in weights) if one.crop_size[0] == fixed)
    return InputSpec(
        size=facts.crop_size[0],
        crop=facts.crop_size[0] / facts.resize_size[0],
        mean=tuple(facts.mean),
        std=tuple(facts.std),
        interpolation="bilinear" if facts.interpolation.value == "bilinear" else "bicubic",
    )


def _cifar(name: str) -> Built:
    net = cifar_resnet.build(int(name.removeprefix("cifar_resnet")))
    return Built(net=net, classifier="linear")


_LIBRARIES: dict[str, tuple[list[str], Callable[[str], Built]]] = {
    "torchvision": (list_models(module=torchvision.models), _torchvision),
    "regraft": ([f"cifar_resnet{depth}" for depth in cifar_resnet.DEPTHS], _cifar),
}


def _take_channels(net: nn.Module, count: int) -> None:
    """Put a convolution for so many channels in the place of the net's first."""
    place, old = next(
        (place, module) for place, module in net.named_modules() if isinstance(module, nn.Conv2d)
    )
    new = nn.Conv2d(
        count,
        old.out_channels,
        cast(tuple[int, int], old.kernel_size),
        stride=cast(tuple[int, int], old.stride),
        padding=cast(tuple[int, int], old.padding),
        bias=old.bias is not None,
    )
    parent, _, name = place.rpartition(".")
    setattr(net.get_submodule(parent), name, new)
    if hasattr(net, "transform_input"):
        cast(Any, net).transform_input = False  # it knows red, green and blue alone


def _pass_by(net: nn.Module, architecture: str, rate: float) -> None:
    """Let blocks be passed by, the last with this chance, the first never."""
    blocks = [module for module in net.modules() if isinstance(module, StochasticDepth)]
    if rate and not blocks:
        raise _no_depth(architecture)
    for index, block in enumerate(blocks):
        block.p = rate * index / max(1, len(blocks) - 1)


def _no_depth(architecture: str) -> MismatchError:
    return MismatchError(
        f"The net {architecture!r} has no stochastic depth.", hint="Leave model.drop_path at 0."
    )
