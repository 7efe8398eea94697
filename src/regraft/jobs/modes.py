"""What of a net learns in which epoch: what each strategy means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from regraft.engine import device, memory
from regraft.hub import adapters, freezing, nets
from regraft.hub.freezing import Frozen
from regraft.hub.nets import Net
from regraft.hub.stages import stages
from regraft.recipe import Recipe
from regraft.records import Precision

#: Pictures of the batch that precisions are tried on.
_TRIED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """What of a net learns in an epoch, and what its batch-norms do."""

    frozen: Frozen
    #: Whether all batch-norms keep the statistics that they have.
    norm_eval: bool

    def apply(self, net: nn.Module) -> None:
        """Let parameters learn, or not."""
        self.frozen.apply(net)

    def train(self, net: nn.Module) -> None:
        """Put the net's modules in train mode, where they learn."""
        self.frozen.train(net)
        for module in net.modules() if self.norm_eval else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def build(net: Net, recipe: Recipe, added: frozenset[str]) -> Callable[[int], Mode]:
    """Return what learns in an epoch, counted from 0.

    `added` are the parameters of an adapter: then nothing else of the trunk learns. Raises InvalidRecipe
    where `model.freeze` does not suit the net.
    """
    norm_eval = bool(recipe.model.norm_eval)  # it is resolved
    levels = [Mode(frozen=frozen, norm_eval=norm_eval) for frozen in _levels(net, recipe, added)]
    return lambda epoch: levels[min(epoch // recipe.train.unfreeze_every, len(levels) - 1)]


def fastest_training(architecture: str, recipe: Recipe, *, size: int) -> Precision:
    """Measure which precision trains fastest what the recipe lets learn; the weights do not matter for it."""
    memory.keep_memory()
    net = nets.build(architecture)
    added = (
        adapters.add(net, recipe.model.adapter) if recipe.train.strategy == "adapters" else frozenset[str]()
    )
    learning = build(net, recipe, added)
    mode = learning(recipe.train.epochs - 1)
    mode.apply(net)
    mode.train(net)
    return device.fastest_training(net, torch.randn(_TRIED, 3, size, size))


def _levels(net: Net, recipe: Recipe, added: frozenset[str]) -> list[Frozen]:
    """Return what is frozen at first, and what then, where that changes."""
    strategy, asked, stats = recipe.train.strategy, recipe.model.freeze, recipe.model.freeze_stats
    if strategy == "adapters":
        trunk = frozenset(name for name, _ in net.named_parameters() if name.startswith("trunk."))
        return [Frozen(names=trunk - added, stages=0, stats=stats)]
    count = len(stages(net))
    if strategy == "partial" and asked == 0:
        asked = count // 2
    last = freezing.find(net, asked, stats=stats)
    if strategy != "gradual":
        return [last]
    # the whole trunk, then one stage less each time, down to what stays frozen
    steps: list[int | str] = ["backbone", *range(count - 2, 0, -1), "stem", 0]
    levels: dict[frozenset[str], Frozen] = {}  # each once, where what stays frozen is a stage further up
    for level in (freezing.find(net, freeze, stats=stats) for freeze in steps):
        names = level.names | last.names
        levels.setdefault(names, replace(level, names=names))
    return [level for names, level in levels.items() if names > last.names] + [last]
