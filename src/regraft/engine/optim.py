"""Optimisers by name: torch's, and timm's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch.optim import Optimizer

from regraft.engine.groups import Group
from regraft.errors import InvalidRecipe, did_you_mean
from regraft.registry import Entry, Registry, split

Fraction = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Fraction, Fraction]
#: What torch calls parameter groups: each with its `params`, `lr` and `weight_decay`.
ParamGroups = list[dict[str, Any]]

#: Before the name of one of timm's optimisers.
TIMM = "timm."
#: What timm lists, but needs other packages, second derivatives or global random numbers.
_FOREIGN = ("bnb", "fused", "adahessian", "kron")
_WHERE = "optim.optimizer"


OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer")


def build(entry: Entry, groups: Sequence[Group], *, lr: float, weight_decay: float) -> Optimizer:
    """Make the optimiser that a recipe names; each of its groups carries `name` and `lr_scale`.

    One of timm's is `timm.NAME`; timm has to be importable, as it is wherever a net was built. Raises
    InvalidRecipe for an unknown optimiser or a wrong option.
    """
    params: ParamGroups = [
        {
            "params": list(group.parameters),
            "name": group.name,
            "lr_scale": group.lr_scale,
            "lr": lr * group.lr_scale,
            "weight_decay": weight_decay * group.decay_scale,
        }
        for group in groups
    ]
    name, chosen = split(entry, where=_WHERE)
    if name.startswith(TIMM):
        return _of_timm(name.removeprefix(TIMM), params, lr, chosen)
    make, chosen = OPTIMIZERS.find(entry, where=_WHERE)
    return make(params, **chosen)


def set_rate(optimizer: Optimizer, lr: float, factor: float) -> None:
    """Give every group of an optimiser its rate: the recipe's times its own scale and a schedule's factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"] * factor


@OPTIMIZERS.register("sgd")
def sgd(
    groups: ParamGroups, *, momentum: Fraction = 0.9, dampening: Fraction = 0.0, nesterov: bool = False
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    if nesterov and (momentum == 0 or dampening != 0):
        raise InvalidRecipe(
            "Nesterov's momentum needs a momentum, and no dampening.",
            hint='Write {name = "sgd", nesterov = true}: momentum is 0.9 by itself.',
            where=f"{_WHERE}.nesterov",
        )
    return torch.optim.SGD(
        groups, momentum=momentum, dampening=dampening, nesterov=nesterov, fused=_fusable(groups)
    )


@OPTIMIZERS.register("adam")
def adam(
    groups: ParamGroups, *, betas: Betas = (0.9, 0.999), eps: PositiveFloat = 1e-8, amsgrad: bool = False
) -> Optimizer:
    """Adam; its weight decay is added to the gradient."""
    return torch.optim.Adam(groups, betas=betas, eps=eps, amsgrad=amsgrad, fused=_fusable(groups))


@OPTIMIZERS.register("adamw")
def adamw(
    groups: ParamGroups, *, betas: Betas = (0.9, 0.999), eps: PositiveFloat = 1e-8, amsgrad: bool = False
) -> Optimizer:
    """Adam whose weight decay shrinks the weights themselves."""
    return torch.optim.AdamW(groups, betas=betas, eps=eps, amsgrad=amsgrad, fused=_fusable(groups))


@OPTIMIZERS.register("rmsprop")
def rmsprop(
    groups: ParamGroups,
    *,
    alpha: Fraction = 0.99,
    eps: PositiveFloat = 1e-8,
    momentum: Fraction = 0.0,
    centered: bool = False,
) -> Optimizer:
    """RMSprop as torch has it; timm.rmsproptf is TensorFlow's."""
    return torch.optim.RMSprop(groups, alpha=alpha, eps=eps, momentum=momentum, centered=centered)


@OPTIMIZERS.register("adagrad")
def adagrad(
    groups: ParamGroups, *, lr_decay: NonNegativeFloat = 0.0, eps: PositiveFloat = 1e-10
) -> Optimizer:
    """Adagrad."""
    return torch.optim.Adagrad(groups, lr_decay=lr_decay, eps=eps, fused=_fusable(groups))


@OPTIMIZERS.register("lamb")
def lamb(groups: ParamGroups, *, betas: Betas = (0.9, 0.999), eps: PositiveFloat = 1e-6) -> Optimizer:
    """LAMB, for large batches (You et al., 2020), of timm; it scales gradients of a norm above 1 down."""
    optimizer: Optimizer = _timm().Lamb(groups, betas=betas, eps=eps)
    return optimizer


@OPTIMIZERS.register("lion")
def lion(groups: ParamGroups, *, betas: Betas = (0.9, 0.99)) -> Optimizer:
    """Lion (Chen et al., 2023), of timm; its rate is 3 to 10 times smaller than AdamW's."""
    optimizer: Optimizer = _timm().Lion(groups, betas=betas)
    return optimizer


def _timm() -> Any:
    """Return timm's optimisers; timm can be imported once a net was built, and declares no exports."""
    return import_module("timm.optim")


def _of_timm(name: str, groups: ParamGroups, lr: float, chosen: Mapping[str, Any]) -> Optimizer:
    known = [name for name in _timm().list_optimizers() if not name.startswith(_FOREIGN)]
    if name not in known:
        raise InvalidRecipe(
            f"timm has no optimizer {name!r}.",
            hint=did_you_mean(name, known, otherwise=f"It has {', '.join(known)}."),
            where=_WHERE,
        )
    kind = _timm().get_optimizer_class(name, bind_defaults=False)
    has = [key for key in inspect.signature(kind).parameters if key not in ("params", "lr", "weight_decay")]
    for key in chosen:
        if key not in has:
            raise InvalidRecipe(
                f"The optimizer '{TIMM}{name}' has no option {key!r}.",
                hint=did_you_mean(key, has, otherwise=f"It has {', '.join(has)}."),
                where=f"{_WHERE}.{key}",
            )
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in chosen.items()}
    try:
        optimizer: Optimizer = _timm().create_optimizer_v2(groups, opt=name, lr=lr, **tuples)
    except (TypeError, ValueError) as error:
        raise InvalidRecipe(f"The optimizer '{TIMM}{name}' refuses: {error}.", where=_WHERE) from None
    return optimizer


def _fusable(groups: ParamGroups) -> bool:
    """Tell whether one kernel can do a whole step: up to six times as fast, on the CPU too."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in parameters)
