"""What of some weights fits a net, tensor by tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

#: What libraries leave in files and no trunk needs: second classifiers of GoogLeNet and Inception, tables
#: that a Swin computes anew, counters.
_NEEDLESS = re.compile(
    r"(?:^|\.)(?:aux\d?|AuxLogits)\.|"
    r"(?:^|\.)(?:num_batches_tracked|relative_position_index|attn_mask|n_averaged|total_ops|total_params)$"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What becomes of each tensor when weights meet a net, by the net's names."""

    #: The net's tensors that the weights have in their shape, but for the number of classes.
    fitting: tuple[str, ...]
    #: Tensors below the classifier that the weights lack.
    missing: tuple[str, ...]
    #: `name [shape in the weights] for [shape in the net]`.
    mismatched: tuple[str, ...]
    #: What only the weights have.
    unexpected: tuple[str, ...]
    #: Tensors of the classifier that the weights do not give.
    headless: tuple[str, ...]
    #: How many classes the weights know; 0 where they have no classifier.
    classes: int

    @property
    def whole(self) -> bool:
        """Whether the trunk gets each of its tensors, and nothing is left over that it might need."""
        return not (self.missing or self.mismatched or any(not needless(name) for name in self.unexpected))


def compare(state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], *, classifier: str) -> Fit:
    """Compare weights that have a net's names with its tensors, by name and shape.

    A classifier fits with any number of classes. `classifier` is its name within the net.
    """
    head = {name for name in wanted if name.startswith(f"{classifier}.")}
    same = [name for name in wanted if name in state and _fits(state, wanted, name, rows=name in head)]
    classes = {state[name].shape[0] for name in head.intersection(same)}
    if len(classes) != 1 or not any(state[name].ndim > 1 for name in head.intersection(same)):
        same = [name for name in same if name not in head]
        classes = {0}
    return Fit(
        fitting=tuple(same),
        missing=tuple(
            name for name in wanted if name not in state and name not in head and not _is_counter(name)
        ),
        mismatched=tuple(
            f"{name} {list(state[name].shape)} for {list(wanted[name].shape)}"
            for name in wanted
            if name in state and name not in same
        ),
        unexpected=tuple(name for name in state if name not in wanted),
        headless=tuple(name for name in wanted if name in head and name not in same),
        classes=classes.pop(),
    )


def needless(name: str) -> bool:
    """Tell whether a net is whole without a tensor that only its weights file has."""
    return bool(_NEEDLESS.search(name))


def _fits(
    state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], name: str, *, rows: bool
) -> bool:
    there, here = state[name].shape, wanted[name].shape
    return there == here or (rows and len(there) == len(here) > 0 and there[1:] == here[1:])


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")
