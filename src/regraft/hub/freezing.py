"""What of a net does not learn: whole stages from the stem upwards, the trunk, or what patterns name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from regraft.errors import InvalidRecipe, did_you_mean
from regraft.hub.nets import Net
from regraft.hub.stages import Stage, stages
from regraft.patterns import TRUNK, matches

_WHERE = "model.freeze"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """The part of a net that keeps the weights that it has."""

    #: Full names of parameters.
    names: frozenset[str]
    #: How many stages, from the stem upwards and the stem counted, are frozen as a whole.
    stages: int
    #: Whether the statistics of frozen batch-norms keep what they have, too.
    stats: bool = True

    def apply(self, net: nn.Module) -> None:
        """Take gradients from what is frozen, and give them to all the rest."""
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name not in self.names)

    def train(self, net: nn.Module) -> None:
        """Put the net in train mode, and what is frozen in eval mode where statistics shall stay."""
        net.train()
        if self.stats:
            self._still(net, "")

    def _still(self, module: nn.Module, prefix: str) -> None:
        """Put the largest modules that are frozen as a whole in eval mode, with all within."""
        names = [prefix + name for name, _ in module.named_parameters()]
        if names and self.names.issuperset(names):
            module.eval()
            return
        for name, child in module.named_children():
            self._still(child, f"{prefix}{name}.")


def find(net: Net, freeze: int | str | Sequence[str], *, stats: bool = True) -> Frozen:
    """Return what `model.freeze` of a recipe names in a net.

    0 is nothing, a number the stem and so many stages, `stem` the stem alone, `backbone` the trunk; anything
    else are patterns of names, with `trunk.` or without: globs, or regular expressions after `re:`, found
    anywhere. Raises InvalidRecipe for more stages than there are, a pattern that matches nothing, and where
    nothing is left that learns.
    """
    if not freeze:
        return Frozen(names=frozenset(), stages=0, stats=stats)
    if freeze == "backbone":
        names = frozenset(name for name, _ in net.named_parameters() if name.startswith(TRUNK))
    elif freeze == "stem" or isinstance(freeze, int):
        names = _lowest(stages(net), 0 if freeze == "stem" else int(freeze))
    else:
        names = by_name(net, [freeze] if isinstance(freeze, str) else freeze).names
    return Frozen(names=_checked(names, net), stages=_whole(net, names), stats=stats)


def by_name(net: nn.Module, patterns: Sequence[str]) -> Frozen:
    """Return what patterns of names freeze in any net, whatever its stages are; raises like `find`."""
    known = [name for name, _ in net.named_parameters()]
    names = frozenset(name for pattern in patterns for name in _matching(pattern, known))
    return Frozen(names=_checked(names, net), stages=0)


def _checked(names: frozenset[str], net: nn.Module) -> frozenset[str]:
    if names.issuperset(name for name, _ in net.named_parameters()):
        raise InvalidRecipe(
            "All parameters of the net are frozen, the head's too, so that nothing would learn.",
            hint='Freeze less: "backbone" is all but the head.',
            where=_WHERE,
        )
    return names


def _lowest(found: Sequence[Stage], count: int) -> frozenset[str]:
    if count >= len(found):
        listed = ", ".join(stage.name for stage in found[1:])
        raise InvalidRecipe(
            f"The net has {len(found) - 1} stages above its stem, and {count} should be frozen.",
            hint=f'They are {listed}; all of them are "backbone".',
            where=_WHERE,
        )
    return frozenset(name for stage in found[: count + 1] for name in stage.parameters)


def _matching(pattern: str, known: Sequence[str]) -> list[str]:
    found = [name for name in known if matches(pattern, name, where=_WHERE)]
    if not found:
        inner = [name.removeprefix(TRUNK) for name in known]
        whole = f"{pattern.rstrip('.')}.*"
        below = any(
            matches(whole, name, where=_WHERE) for name in known
        )  # a module, which stands for no parameter
        near = did_you_mean(pattern, inner, otherwise=f"One is {inner[0]!r}.")
        raise InvalidRecipe(
            f"No parameter of the net has a name like {pattern!r}.",
            hint=f"Did you mean {whole!r}?" if below else near,
            where=_WHERE,
        )
    return found


def _whole(net: Net, names: frozenset[str]) -> int:
    """Count the stages from the stem upwards that these names cover."""
    count = 0
    for stage in stages(net):
        if not names.issuperset(stage.parameters):
            break
        count += 1
    return count
