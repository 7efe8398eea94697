"""Names of tensors: from the layouts in which weights are found to the one that nets have (timm's)."""

from __future__ import annotations

from collections.abc import Iterable

import torch

State = dict[str, torch.Tensor]

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


def to_timm(state: State, names: Iterable[str]) -> tuple[State, int]:
    """Rename tensors to the names of a timm net, which are `names`; return them and how many changed.

    Known layouts: timm's own, and that of lukemelas' EfficientNet-PyTorch. Wrappers' prefixes
    (`module.`, `_orig_mod.`) are taken off. Unknown names are left as they are.
    """
    plain = {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in state.items()}
    if "_conv_stem.weight" in plain:
        return _from_lukemelas(plain, names), len(plain)
    return plain, sum(name not in state for name in plain)


def _from_lukemelas(state: State, names: Iterable[str]) -> State:
    """Blocks are numbered through there, and by stage in timm."""
    blocks = sorted(
        {(int(part[1]), int(part[2])) for name in names if (part := name.split("."))[0] == "blocks"}
    )
    result = {}
    for name, value in state.items():
        first, *rest = name.split(".")
        if first != "_blocks":
            result[".".join([_STEM.get(first, first), *rest])] = value
            continue
        index = int(rest[0])
        expanded = f"_blocks.{index}._expand_conv.weight" in state
        layer = (_EXPANDED if expanded else _SEPARABLE).get(rest[1], rest[1])
        stage, block = blocks[index] if index < len(blocks) else (-1, index)
        result[".".join(["blocks", str(stage), str(block), layer, *rest[2:]])] = value
    return result
