"""Optimisers with a rate for every step, as MindSpore's are given them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from regraft.dialects.mindspore_tensors import Parameter
from regraft.engine import optim
from regraft.engine.groups import Group
from regraft.errors import InvalidError
from regraft.registry import Entry

Rates = float | Sequence[float] | torch.Tensor | Callable[[int], float]


class Optimizer:
    """An optimiser of torch whose rate may be another one at every step.

    `rates` is one rate, a list with one for each step, of which the last one stays, or a function of the
    step. `params` are parameters, or tables with `params` and a `weight_decay`, `lr` or `lr_scale` of their
    own. What is `spared` does not decay: `norms`, as in MindSpore's optimisers, or `biases` as well.
    """

    def __init__(
        self,
        entry: Entry,
        params: Iterable[Parameter | nn.Parameter | Mapping[str, Any]],
        rates: Rates,
        *,
        weight_decay: float = 0.0,
        spared: Literal["none", "norms", "biases"] = "norms",
    ) -> None:
        self.rate = _by_step(rates)
        listed = list(params)
        if not listed:
            raise InvalidError(
                "The optimizer has no parameter to change.",
                hint="Leave some parameter of the net its requires_grad.",
                where="params",
            )
        groups = [
            group
            for number, table in enumerate(_tables(listed))
            for group in _groups(table, rates, f"params.{number}", weight_decay, spared)
        ]
        self.wrapped = optim.build(entry, groups, lr=1.0, weight_decay=1.0)
        self._steps = 0

    def step(self) -> None:
        """Change the parameters by their gradients, and forget these."""
        optim.set_rate(self.wrapped, 1.0, self.rate(self._steps))
        self.wrapped.step()
        self.wrapped.zero_grad(set_to_none=True)
        self._steps += 1


def _by_step(rates: Rates) -> Callable[[int], float]:
    if callable(rates) and not isinstance(rates, torch.Tensor):
        return rates
    listed = torch.as_tensor(rates, dtype=torch.float64).reshape(-1).tolist()
    if not listed:
        raise InvalidError("The list of rates is empty.", hint="Give one for each step.", where="lr")
    return lambda step: float(listed[min(step, len(listed) - 1)])


def _tables(params: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Return tables of parameters; one with `order_params` says nothing that counts here."""
    if not isinstance(params[0], Mapping):
        return [{"params": params}]
    return [table for table in params if "order_params" not in table]


def _groups(
    table: Mapping[str, Any], rates: Rates, where: str, weight_decay: float, spared: str
) -> Iterator[Group]:
    """Yield the parameters of a table that decay, and those that do not."""
    scale = float(table.get("lr_scale", 1.0))
    if "lr" in table:
        if not (isinstance(rates, float | int) and rates and isinstance(table["lr"], float | int)):
            raise InvalidError(
                "A group has a rate of its own beside rates that change.",
                hint="Give plain numbers, or leave the group's lr out.",
                where=f"{where}.lr",
            )
        scale = table["lr"] / rates
    found = {p.name if isinstance(p, Parameter) else str(n): p for n, p in enumerate(table["params"])}
    decay = float(table.get("weight_decay", weight_decay))
    kept = {name for name in found if _spares(name, found, spared)}
    for own, names in ((decay, [n for n in found if n not in kept]), (0.0, [n for n in found if n in kept])):
        if names:
            yield Group(
                name=f"{where}, {'decays' if own else 'no decay'}",
                names=tuple(names),
                parameters=tuple(p.value if isinstance(p := found[n], Parameter) else p for n in names),
                lr_scale=scale,
                decay_scale=own,
            )


def _spares(name: str, found: Mapping[str, Any], spared: str) -> bool:
    """Tell whether a parameter keeps from decaying; a norm's bias has a weight of one dimension beside it."""
    if spared == "none" or len(found[name].shape) > 1:
        return False
    stem, _, last = name.rpartition(".")
    weight = found.get(f"{stem}.weight")
    return spared == "biases" or last != "bias" or (weight is not None and len(weight.shape) == 1)
