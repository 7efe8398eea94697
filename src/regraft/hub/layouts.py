"""Names of tensors: from the layouts in which weights are found to those that a net has.

Layouts that are known: timm's and torchvision's own, torchvision's old DenseNets, lukemelas' EfficientNet,
and OpenMMLab's (`backbone.` and `head.fc.`), each as it is or below the prefixes that wrappers leave.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import torch

from regraft.errors import InvalidRecipe

State = dict[str, torch.Tensor]
#: The name that a tensor gets, and the one that it had.
Names = dict[str, str]

#: What torch puts before names when it wraps a net for several devices, and within them when it compiles it.
_PARALLEL = re.compile(r"^(?:module\.)+")
_COMPILED = "_orig_mod."
#: A part of a name is taken for a prefix where this share of all tensors stands below it.
_SHARE = 1 / 8
_DEPTH = 3
#: Where a classifier is found beside a prefix.
_CLASSIFIERS = ("head.fc", "fc", "head", "classifier", "linear", "head.layers.head", "cls_head.fc")

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_STEM = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def translate(
    state: Mapping[str, torch.Tensor],
    wanted: Mapping[str, torch.Tensor],
    *,
    classifier: str,
    prefix: str = "",
) -> tuple[State, int]:
    """Give tensors the names of a net, whose own are `wanted`; return them and how many names changed.

    Of all ways to read the names the one counts by which most tensors have a name and a shape of the net;
    what no way explains keeps its name. With a prefix only the tensors below it are taken. Raises
    InvalidRecipe where there are none.
    """
    best: Names = {}
    most = -1
    for names in _readings(list(state), wanted, classifier, prefix):
        fitting = sum(
            new in wanted and state[old].shape[1:] == wanted[new].shape[1:] for new, old in names.items()
        )
        if fitting > most:
            best, most = names, fitting
    return {new: state[old] for new, old in best.items()}, sum(new != old for new, old in best.items())


def plain(names: Collection[str]) -> Names:
    """Take off the names what wrappers of torch put before them."""
    return {_PARALLEL.sub("", name.replace(_COMPILED, "")): name for name in names}


def prefixes(names: Collection[str]) -> list[str]:
    """Return what many names begin with, the longest share first: `backbone.`, `model.encoder.`."""
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")[:-1][:_DEPTH]
        counts.update(".".join(parts[: depth + 1]) + "." for depth in range(len(parts)))
    return [start for start, count in counts.most_common() if count >= _SHARE * len(names)]


def _readings(
    names: Collection[str], wanted: Collection[str], classifier: str, prefix: str
) -> Iterator[Names]:
    whole = plain(names)
    if prefix:
        yield from _layouts(_below(whole, prefix), wanted)
        return
    yield from _layouts(whole, wanted)
    for start in prefixes(whole):
        below = {name.removeprefix(start): old for name, old in whole.items() if name.startswith(start)}
        beside = {name: old for name, old in whole.items() if not name.startswith(start)}
        for names_below in _layouts(below, wanted):
            yield {**_as_classifier(beside, classifier), **names_below}


def _below(names: Names, prefix: str) -> Names:
    """Keep what stands below a prefix that a person gave."""
    start = prefix.rstrip(".") + "."
    below = {name.removeprefix(start): old for name, old in names.items() if name.startswith(start)}
    if not below:
        below = {old.removeprefix(start): old for old in names.values() if old.startswith(start)}
    if not below:
        known = ", ".join(repr(found.rstrip(".")) for found in prefixes(names)[:8])
        raise InvalidRecipe(
            f"No tensor's name begins with {start!r}.",
            hint=f"There is {known}." if known else "The names have no prefix: leave it out.",
            where="model.weights_prefix",
        )
    return below


def _as_classifier(beside: Names, classifier: str) -> Names:
    """Call a linear layer that stands alone beside the trunk as the net calls its classifier."""
    if len({name.rpartition(".")[0] for name in beside}) == 1:
        parent = next(iter(beside)).rpartition(".")[0]
        if parent in _CLASSIFIERS:
            return {f"{classifier}{name.removeprefix(parent)}": old for name, old in beside.items()}
    return beside


def _layouts(names: Names, wanted: Collection[str]) -> Iterator[Names]:
    """Yield the names as they are, or as they are in the layout that they show."""
    if "_conv_stem.weight" in names:
        yield _from_lukemelas(names, wanted)
    elif any(map(_OLD_DENSENET.search, names)):
        yield {_OLD_DENSENET.sub(r"\1\2.", name): old for name, old in names.items()}
    else:
        yield names


def _from_lukemelas(names: Names, wanted: Collection[str]) -> Names:
    """Blocks are numbered through there, and by stage in timm."""
    blocks = sorted(
        {(int(part[1]), int(part[2])) for name in wanted if (part := name.split("."))[0] == "blocks"}
    )
    result = {}
    for name, old in names.items():
        first, *rest = name.split(".")
        if first != "_blocks":
            result[".".join([_STEM.get(first, first), *rest])] = old
            continue
        index = int(rest[0])
        expanded = f"_blocks.{index}._expand_conv.weight" in names
        layer = (_EXPANDED if expanded else _SEPARABLE).get(rest[1], rest[1])
        stage, block = blocks[index] if index < len(blocks) else (-1, index)
        result[".".join(["blocks", str(stage), str(block), layer, *rest[2:]])] = old
    return result
