"""Groups of parameters that learn at rates of their own: head, layers, norms and biases, a recipe's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from regraft.errors import InvalidRecipe, did_you_mean
from regraft.patterns import matches
from regraft.recipe import GroupRule, OptimSection

#: What begins the full name of a parameter of the head.
_HEAD = "head."


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Parameters that learn alike."""

    #: What tables call it: `head`, `trunk`, `layer 3`, or the pattern of a rule.
    name: str
    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...] = field(repr=False, compare=False)
    #: What the recipe's rate and its weight decay are multiplied by.
    lr_scale: float
    decay_scale: float


def parameter_groups(
    parameters: Mapping[str, nn.Parameter], *, layers: Sequence[Sequence[str]], optim: OptimSection
) -> list[Group]:
    """Sort parameters that learn, by their full names, into groups, in the order of the first of each.

    `layers` are the net's names from its input up, for the decay of rates from layer to layer: the head
    learns at its full rate, the layer below it at `layer_decay` of the recipe's, and so on. Norm layers and
    biases, which are the parameters of at most one dimension, have a group of their own where they do not
    decay. The first rule that matches a parameter replaces all of that. Raises InvalidRecipe for a rule that
    matches nothing that learns.
    """
    if optim.head_lr_scale == "auto":
        raise ValueError("the scale of the head's rate is still open")
    depths = _depths(layers)
    ruled = _ruled(list(parameters), optim)
    members: dict[tuple[str, float, float], list[str]] = {}
    for name, parameter in parameters.items():
        decays = optim.decay_norm_and_bias or parameter.ndim > 1
        suffix = "" if decays else ", no decay"
        if name in ruled:
            rule = ruled[name]
            key = (rule.pattern, rule.lr_scale, rule.decay_scale)
        elif name.startswith(_HEAD):
            key = (f"head{suffix}", optim.head_lr_scale, float(decays))
        else:
            depth = depths.get(name, 1)
            place = "trunk" if optim.layer_decay == 1 else f"layer {max(depths.values(), default=1) - depth}"
            key = (f"{place}{suffix}", optim.layer_decay**depth, float(decays))
        members.setdefault(key, []).append(name)
    return [
        Group(
            name=label,
            names=tuple(names),
            parameters=tuple(parameters[name] for name in names),
            lr_scale=lr_scale,
            decay_scale=decay_scale,
        )
        for (label, lr_scale, decay_scale), names in members.items()
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRow:
    """One group, as a line of a table."""

    name: str
    tensors: int
    #: Numbers in them.
    parameters: int
    lr: float
    weight_decay: float


def table(groups: Sequence[Group], *, lr: float, weight_decay: float) -> list[GroupRow]:
    """List groups with the rates and the decay that they have where a schedule's factor is 1."""
    return [
        GroupRow(
            name=group.name,
            tensors=len(group.names),
            parameters=sum(parameter.numel() for parameter in group.parameters),
            lr=lr * group.lr_scale,
            weight_decay=weight_decay * group.decay_scale,
        )
        for group in groups
    ]


def _depths(layers: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return how far below the head each name of the trunk is; the layer right below it is at 1."""
    trunk = [names for layer in layers if (names := [n for n in layer if not n.startswith(_HEAD)])]
    return {name: len(trunk) - index for index, names in enumerate(trunk) for name in names}


def _ruled(names: Sequence[str], optim: OptimSection) -> dict[str, GroupRule]:
    """Return the first rule that matches each name, of those that one matches."""
    found: dict[str, GroupRule] = {}
    for number, rule in enumerate(optim.groups):
        matched = [name for name in names if matches(rule.pattern, name, where=f"optim.groups.{number}")]
        if not matched:
            raise InvalidRecipe(
                f"No parameter that learns has a name like {rule.pattern!r}.",
                hint=did_you_mean(rule.pattern, names, otherwise=f"One is {names[0]!r}." if names else ""),
                where=f"optim.groups.{number}",
            )
        for name in matched:
            found.setdefault(name, rule)
    return found
