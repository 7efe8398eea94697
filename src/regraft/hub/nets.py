"""The contract that every net fulfils: build, stages, number of features, trunk and head.

A net's trunk turns pictures [n, 3, height, width] into pooled features [n, num_features]; its head is one
linear layer from features to logits. The contract is met by any timm net whose classifier is linear.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, cast

import torch
from torch import nn

from regraft.errors import MismatchError, NotFoundError, did_you_mean
from regraft.hub.layouts import State
from regraft.hub.operators import register
from regraft.records import InputSpec

register()

import timm  # noqa: E402 (its import needs the operators)
from timm.data.imagenet_info import ImageNetInfo  # noqa: E402
from timm.models import group_parameters  # noqa: E402


def build(architecture: str) -> nn.Module:
    """Build a net of a timm architecture with its original classifier and random weights.

    Raises NotFoundError with the nearest name.
    """
    if not timm.is_model(architecture):
        raise NotFoundError(
            f"timm {timm.__version__} has no architecture {architecture!r}.",
            hint=did_you_mean(architecture, timm.list_models(), otherwise="See timm.list_models()."),
        )
    try:
        net: nn.Module = timm.create_model(architecture, pretrained=False)
    except RuntimeError as error:  # a tag that the architecture does not have
        raise NotFoundError(
            f"timm {timm.__version__} has no {architecture!r}: {str(error).rstrip('.')}.",
            hint="Leave away what follows the dot.",
        ) from None
    return net


def input_spec(net: nn.Module) -> InputSpec:
    """Return how pictures must be prepared for the net's pretrained weights."""
    facts = _facts(net)
    if (mode := facts.get("crop_mode", "center")) != "center":
        raise MismatchError(f"The net wants its pictures prepared by {mode!r}, which is not supported.")
    return InputSpec(
        size=facts["input_size"][-1],
        crop=facts["crop_pct"],
        mean=facts["mean"],
        std=facts["std"],
        interpolation="bilinear" if facts["interpolation"] == "bilinear" else "bicubic",
    )


def num_features(net: nn.Module) -> int:
    """Return how many features the trunk gives."""
    return classifier(net).in_features


def stages(net: nn.Module) -> list[list[str]]:
    """Return the names of the parameters of each stage, from the stem to the head."""
    layers: dict[int, list[str]] = defaultdict(list)
    for index, names in group_parameters(net, cast(Any, net).group_matcher(coarse=True)).items():
        layers[index].extend(names)
    return [layers[index] for index in sorted(layers)]


def classifier(net: nn.Module) -> nn.Linear:
    """Return the net's linear classifier; raises MismatchError where it has none."""
    layer = net.get_submodule(_classifier_name(net))
    if not isinstance(layer, nn.Linear):
        raise MismatchError(f"The classifier of the net is {type(layer).__name__}, not one linear layer.")
    return layer


def replace_head(net: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    """Give the net a classifier of the weight [classes, features] and bias [classes]; return the net."""
    old = classifier(net)
    head = nn.Linear(old.in_features, len(bias))
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    parent, _, name = _classifier_name(net).rpartition(".")
    setattr(net.get_submodule(parent), name, head)
    cast(Any, net).num_classes = len(bias)
    return net


def split_state(net: nn.Module) -> tuple[State, State]:
    """Return the net's tensors: those of the trunk by name, and the head's `weight` and `bias`."""
    prefix = _classifier_name(net) + "."
    state = {name: tensor.clone().contiguous() for name, tensor in net.state_dict().items()}
    head = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}, head


def load_trunk(net: nn.Module, state: State) -> nn.Module:
    """Put stored trunk weights back into a net of their architecture, in place; return the net."""
    result = net.load_state_dict(state, strict=False)
    prefix = _classifier_name(net) + "."
    missing = [name for name in result.missing_keys if not name.startswith(prefix)]
    if missing or result.unexpected_keys:
        raise MismatchError(
            f"The stored weights do not fit the net that timm {timm.__version__} builds: "
            f"{len(missing)} tensors are missing, {len(result.unexpected_keys)} are unknown.",
            hint="Install the version of timm that the model's lineage names.",
        )
    return net


def features(net: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Run the trunk: normalised pictures [n, 3, height, width] in, features [n, num_features] out."""
    timm_net = cast(Any, net)
    result: torch.Tensor = timm_net.forward_head(timm_net.forward_features(pictures), pre_logits=True)
    return result


def label_names(count: int) -> tuple[str, ...]:
    """Return the names of the classes that the pretrained weights know: ImageNet's, or plain numbers."""
    if count != 1000:
        return tuple(str(index) for index in range(count))
    info = ImageNetInfo()
    synsets = [info.index_to_label_name(index) for index in range(count)]
    names = [info.label_name_to_description(synset) for synset in synsets]
    twice = {name for name in names if names.count(name) > 1}
    return tuple(f"{n} ({s})" if n in twice else n for n, s in zip(names, synsets, strict=True))


def _facts(net: nn.Module) -> dict[str, Any]:
    return cast(dict[str, Any], net.pretrained_cfg)


def _classifier_name(net: nn.Module) -> str:
    name = _facts(net)["classifier"]
    if not isinstance(name, str):
        raise MismatchError(f"The net has {len(name)} classifiers; only nets with one can be fine-tuned.")
    return name
