"""The stages of a trunk, from the pictures upwards, and its layers, which are finer.

Most of timm's nets say themselves what belongs together; of others it stands here, family by family; of the
rest the modules tell.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from regraft.hub import builders
from regraft.hub.nets import Net

#: Where a parameter stands among its like; None: in the last stage, such as a final norm.
_Key = Callable[[str], tuple[float, ...] | None]

_TRUNK, _HEAD = "trunk.", "head."

#: By how an architecture's name begins: patterns of names in its trunk. The first is the stem's; each of the
#: others is a stage, or as many as the number in it takes values.
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    r"torchvision:(wide_)?resne": (r"(?:conv|bn)1\.", r"layer(\d)"),
    r"regraft:cifar_resnet": (r"(?:conv|bn)1\.", r"layer(\d)"),
    r"torchvision:densenet": (r"features\.(?:conv|norm)0", r"features\.(?:denseblock|transition)(\d)"),
    r"torchvision:googlenet": (r"conv\d", r"inception(\d)"),
    r"torchvision:inception": (r"Conv2d_", r"Mixed_(\d)"),
    r"torchvision:shufflenet": (r"conv1\.", r"stage(\d)"),
    r"torchvision:regnet": (r"stem\.", r"trunk_output\.block(\d)"),
    r"torchvision:mnasnet": (r"layers\.[0-7]\.", r"layers\.(8|9|10|11|12|13)\."),
    r"torchvision:mobilenet_v2": (
        r"features\.0\.",
        r"features\.1\.",
        r"features\.[2-3]\.",
        r"features\.[4-6]\.",
        r"features\.(?:7|8|9|10|11|12|13)\.",
        r"features\.(?:14|15|16|17)\.",
    ),
    r"torchvision:mobilenet_v3_large": (
        r"features\.0\.",
        r"features\.1\.",
        r"features\.[2-3]\.",
        r"features\.[4-6]\.",
        r"features\.(?:7|8|9|10|11|12)\.",
        r"features\.(?:13|14|15)\.",
    ),
    r"torchvision:mobilenet_v3_small": (
        r"features\.0\.",
        r"features\.1\.",
        r"features\.[2-3]\.",
        r"features\.[4-8]\.",
        r"features\.(?:9|10|11)\.",
    ),
    r"torchvision:efficientnet_v2_s": (r"features\.0\.", r"features\.([1-6])\."),
    r"torchvision:efficientnet": (r"features\.0\.", r"features\.([1-7])\."),
    r"torchvision:(convnext|swin)": (
        r"features\.0\.",
        r"features\.1\.",
        r"features\.[23]\.",
        r"features\.[45]\.",
        r"features\.[67]\.",
    ),
    r"torchvision:maxvit": (r"stem\.", r"blocks\.(\d)"),
    r"torchvision:vit": (
        r"conv_proj|class_token|encoder\.pos_embedding",
        r"encoder\.layers\.encoder_layer_(\d+)",
    ),
    r"cait": (
        r"patch_embed|pos_embed|cls_token",
        r"blocks\.(\d+)",
        r"blocks_token_only\.(\d+)",
    ),
    r"rdnet": (r"stem\.", r"dense_stages\.(\d+)"),
}
#: Chains of convolutions, where a stage ends with each pooling; above them stand layers on features.
_CHAINS = r"(torchvision:)?(vgg|alexnet|squeezenet)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of a trunk that is frozen or trained as a whole."""

    #: `stem` for the first, else the name of its first module.
    name: str
    #: Full names, as the net's `named_parameters` gives them.
    parameters: tuple[str, ...]
    #: Names of modules within the trunk, in order of computation; they hold all that the stage computes with,
    #: but for parameters of the trunk itself, such as a ViT's embedding of places.
    modules: tuple[str, ...]


def stages(net: Net) -> tuple[Stage, ...]:
    """Return the stages of the net's trunk, from the stem upwards; each parameter is in one of them."""
    parts = _parts(net, coarse=True)
    place = {name: number for number, names in enumerate(parts) for name in names}
    modules: list[list[str]] = [[] for _ in parts]
    current = 0
    for name, numbers in _wholes(net.trunk, "", place):
        current = max(numbers, default=current)
        modules[current].append(name)
    return tuple(
        Stage(
            name=_name(number, held, net.trunk),
            parameters=tuple(_TRUNK + name for name in names),
            modules=tuple(held),
        )
        for number, (names, held) in enumerate(zip(parts, modules, strict=True))
    )


def layers(net: Net) -> tuple[tuple[str, ...], ...]:
    """Return the full names of all parameters, layer by layer from the pictures to the logits.

    A layer is about a block; the head is the last.
    """
    trunk = tuple(tuple(_TRUNK + name for name in names) for names in _parts(net, coarse=False))
    return (*trunk, tuple(_HEAD + name for name, _ in net.head.named_parameters()))


def _parts(net: Net, *, coarse: bool) -> list[list[str]]:
    """Sort the names of the trunk's parameters into stages or layers."""
    names = [name for name, _ in net.trunk.named_parameters()]
    if re.match(_CHAINS, net.architecture):
        return _sorted(names, _chain(net.trunk))
    for family, patterns in _FAMILIES.items():
        if re.match(family, net.architecture):
            parts = _sorted(names, partial(_number, patterns))
            return parts if coarse else list(_blocks(net.trunk, parts))
    groups = builders.groups(net.trunk, names, coarse=coarse)
    if groups is None:
        children = [name for name, _ in net.trunk.named_children() if name != net.classifier.split(".")[0]]
        parts = _sorted(names, partial(_child, net.trunk, children))
        return parts if coarse else list(_blocks(net.trunk, parts))
    return groups


def _sorted(names: Iterable[str], key: _Key) -> list[list[str]]:
    """Sort names into parts by their key; those that have none come into the last."""
    parts: dict[tuple[float, ...], list[str]] = defaultdict(list)
    rest: list[str] = []
    for name in names:
        place = key(name)
        (rest if place is None else parts[place]).append(name)
    found = [parts[place] for place in sorted(parts)]
    found[-1].extend(rest)
    return found


def _number(patterns: Iterable[str], name: str) -> tuple[float, ...] | None:
    for number, pattern in enumerate(patterns):
        if found := re.match(pattern, name):
            return (number, *map(float, found.groups()))
    return None


def _child(trunk: nn.Module, children: Sequence[str], name: str) -> tuple[float, ...] | None:
    """Number a parameter by the child of the trunk that holds it, or by the block in a child full of blocks.

    A child that is one layer has no stage of its own, and the trunk's own parameters belong to the stem.
    """
    first, *words = name.split(".")
    if not words or first == children[0]:
        return (0, 0)
    child = trunk.get_submodule(first)
    if first not in children or not list(child.children()):
        return None
    blocks = list(dict(child.named_children()))
    return (children.index(first), blocks.index(words[0]) if _holds_blocks(child) else 0)


def _holds_blocks(module: nn.Module) -> bool:
    """Tell whether a module is no more than a list of modules that have modules within."""
    container = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    return container and any(
        list(child.children()) for child in module.children() if list(child.parameters())
    )


def _chain(trunk: nn.Module) -> _Key:
    """Number the convolutions of a chain by the poolings before them."""
    children = list(trunk.get_submodule("features").named_children())
    pools = [int(name) for name, module in children if isinstance(module, nn.MaxPool2d)]

    def key(name: str) -> tuple[float, ...]:
        place = re.match(r"features\.(\d+)", name)
        return (sum(pool < int(place[1]) for pool in pools) if place else float("inf"),)

    return key


def _blocks(trunk: nn.Module, parts: list[list[str]]) -> Iterator[list[str]]:
    """Divide each stage above the stem into the blocks that its containers hold; what stands beside them is
    a block too.
    """
    stem, *others = parts
    yield stem
    for part in others:
        blocks: dict[str, list[str]] = {}
        for name in part:
            blocks.setdefault(_block(trunk, name), []).append(name)
        yield from blocks.values()


def _block(trunk: nn.Module, name: str) -> str:
    """Return the name of the block that holds a parameter: what no container of blocks is, from above."""
    module, place = trunk, ""
    for word in name.split(".")[:-1]:
        if module is not trunk and not _holds_blocks(module):
            break
        module, place = module.get_submodule(word), f"{place}.{word}"
    return place if list(module.children()) else ""


def _wholes(module: nn.Module, name: str, place: Mapping[str, int]) -> Iterator[tuple[str, set[int]]]:
    """Yield the largest modules that lie in one stage, with its number; with none where nothing learns."""
    prefix = f"{name}." if name else ""
    names = [prefix + parameter for parameter, _ in module.named_parameters()]
    numbers = {
        place[parameter] for parameter in names if parameter in place
    }  # one that is shared has one name
    if len(numbers) < 2 and name:
        yield name, numbers
        return
    for word, child in module.named_children():
        yield from _wholes(child, prefix + word, place)


def _name(number: int, modules: Iterable[str], trunk: nn.Module) -> str:
    learning = (name for name in modules if list(trunk.get_submodule(name).parameters()))
    return next(learning, "stage") if number else "stem"
