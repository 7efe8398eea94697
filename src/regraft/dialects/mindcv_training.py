"""Networks, losses, optimisers and rates by MindCV's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from regraft.dialects.mindcv_missing import refuse
from regraft.dialects.mindspore_optim import Optimizer, Rates
from regraft.dialects.mindspore_tensors import Cell, Parameter, parameters
from regraft.engine import schedules
from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.hub.nets import Net
from regraft.hub.stages import layers
from regraft.recipe import OptimSection
from regraft.registry import Entry

_SPARED: dict[str, Literal["none", "norms", "biases"]] = {
    "disable": "none",
    "auto": "norms",
    "norm_and_bias": "biases",
}


class Network(Cell):
    """A net of Regraft's hub in MindSpore's words; its head is called `classifier`, whatever the net."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def construct(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Turn prepared pictures into logits."""
        logits: torch.Tensor = self.net(*inputs)
        return logits

    def get_parameters(self) -> Iterator[Parameter]:
        """Yield all parameters, by the names of the architecture."""
        yield from parameters(self.net)


def create_loss(
    name: str = "CE",
    weight: Sequence[float] | torch.Tensor | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    label_smoothing: float = 0.0,
    aux_factor: float = 0.0,  # noqa: ARG001 (MindCV's, for nets with a second classifier)
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a loss: `CE`, cross-entropy, or `BCE`, which asks of each class by itself whether it is there.

    Targets are numbers of classes, or shares of each. `aux_factor` changes nothing: no net here has a second
    classifier. Raises NotFoundError for another loss.
    """
    kind = name.casefold()
    if kind not in ("ce", "bce"):
        raise NotFoundError(f"There is no loss {name!r}.", hint="There is CE and BCE.")

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weights = (
            None if weight is None else torch.as_tensor(weight, dtype=logits.dtype, device=logits.device)
        )
        if kind == "ce":
            return functional.cross_entropy(
                logits, targets, weight=weights, reduction=reduction, label_smoothing=label_smoothing
            )
        shares = targets if targets.ndim == 2 else functional.one_hot(targets, logits.shape[1])
        shares = shares.to(logits.dtype) * (1 - label_smoothing) + label_smoothing / logits.shape[1]
        return functional.binary_cross_entropy_with_logits(
            logits, shares, weight=weights, reduction=reduction
        )

    return loss


def create_optimizer(
    params: Network | Iterable[Parameter | nn.Parameter | Mapping[str, Any]],
    opt: str = "adam",
    lr: Rates = 1e-3,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay_filter: Literal["disable", "auto", "norm_and_bias"] = "disable",
    layer_decay: float | None = None,
    *,
    loss_scale: float = 1.0,  # noqa: ARG001 (MindCV's, for float16)
    eps: float | None = None,
) -> Optimizer:
    """Return an optimiser of parameters, of tables of them, or of all that learns in a network.

    `lr` is a rate, or one for each step as `create_scheduler` lists them. `weight_decay_filter` says what
    does not decay. With `layer_decay`, for which the network itself has to be given, each layer learns so
    many times as fast as the one above it. `loss_scale` changes nothing in float32. Raises NotFoundError for
    an optimiser that is not known.
    """
    entries: dict[str, dict[str, Any]] = {
        "sgd": {"name": "sgd", "momentum": momentum, "nesterov": nesterov},
        "momentum": {"name": "sgd", "momentum": momentum, "nesterov": nesterov},
        "nesterov": {"name": "sgd", "momentum": momentum, "nesterov": True},
        "adam": {"name": "timm.nadam" if nesterov else "adam"},
        "adamw": {"name": "adamw"},
        "lion": {"name": "lion"},
        "nadam": {"name": "timm.nadam"},
        "adan": {"name": "timm.adan"},
        "rmsprop": {"name": "rmsprop", "alpha": 0.9, "momentum": momentum, "eps": 1e-10},
        "adagrad": {"name": "adagrad"},
        "lamb": {"name": "lamb"},
    }
    if opt.casefold() not in entries:
        raise NotFoundError(
            f"There is no optimizer {opt!r}.",
            hint=did_you_mean(opt.casefold(), entries, otherwise=f"There is {', '.join(entries)}."),
        )
    if weight_decay_filter not in _SPARED:
        raise NotFoundError(
            f"There is no weight_decay_filter {weight_decay_filter!r}.",
            hint=f"There is {', '.join(_SPARED)}.",
        )
    entry = entries[opt.casefold()] | ({} if eps is None else {"eps": eps})
    if layer_decay is not None:
        if not isinstance(params, Network):
            raise InvalidError(
                "Layers are not known from a list of parameters.",
                hint="Give the network in its place: create_optimizer(network, layer_decay=...).",
                where="layer_decay",
            )
        params = _by_layer(params, layer_decay)
    elif isinstance(params, Network):
        params = params.trainable_params()
    return Optimizer(entry, params, lr, weight_decay=weight_decay, spared=_SPARED[weight_decay_filter])


def _by_layer(network: Network, decay: float) -> list[dict[str, Any]]:
    """Return tables of the parameters that learn, layer by layer; the classifier learns at the full rate."""
    found = dict(network.net.named_parameters())
    steps = [[name for name in names if not name.startswith("head.")] for names in layers(network.net)]
    trunk = [names for names in steps if names]
    deep = {name: len(trunk) - index for index, names in enumerate(trunk) for name in names}
    spoken = {id(p.value): p for p in network.trainable_params()}
    tables: dict[int, list[Parameter]] = {}
    for name, value in found.items():
        if id(value) in spoken:
            tables.setdefault(deep.get(name, 0), []).append(spoken[id(value)])
    return [{"params": params, "lr_scale": decay**depth} for depth, params in tables.items()]


def create_scheduler(
    steps_per_epoch: int,
    scheduler: str = "constant",
    lr: float = 0.01,
    min_lr: float = 1e-6,
    warmup_epochs: float = 3,
    warmup_factor: float = 0.0,
    decay_epochs: int = 10,
    decay_rate: float = 0.9,
    milestones: Sequence[int] | None = None,
    num_epochs: int = 200,
    num_cycles: int = 1,
    cycle_decay: float = 1.0,
    *,
    lr_epoch_stair: bool = False,
) -> list[float]:
    """Return a rate for every step of a training: a warm-up, and behind it what `scheduler` names.

    `decay_epochs` and `milestones` count from the end of the warm-up. With `lr_epoch_stair` the rate stays
    what it is at the first step of an epoch. A warm-up of 1.5 epochs ends at the step that is nearest. Raises
    NotFoundError for a schedule that is not known, InvalidError for a rate below 0, or of 0 to fall from, and
    for `num_cycles` and `cycle_decay`.
    """
    refuse("num_cycles", num_cycles, 1)
    refuse("cycle_decay", cycle_decay, 1.0)
    if lr < 0 or (lr == 0 and scheduler == "cosine_decay"):
        raise InvalidError(f"The rate {lr:g} is none to begin with.", hint="Give one above 0.", where="lr")
    entries: dict[str, tuple[Entry, int]] = {
        "constant": ("constant", 0),
        "cosine_decay": ({"name": "cosine", "end": min_lr / (lr or 1.0)}, decay_epochs),
        "exponential_decay": ({"name": "exponential", "gamma": decay_rate}, 0),
        "polynomial_decay": ({"name": "polynomial", "power": decay_rate}, 0),
        "step_decay": ({"name": "step", "every": decay_epochs, "gamma": decay_rate}, 0),
        "multi_step_decay": (
            {"name": "multistep", "milestones": list(milestones or ()), "gamma": decay_rate},
            0,
        ),
        "one_cycle": ("one-cycle", 0),
    }
    if scheduler not in entries:
        raise NotFoundError(
            f"There is no scheduler {scheduler!r}.",
            hint=did_you_mean(scheduler, entries, otherwise=f"There is {', '.join(entries)}."),
        )
    entry, length = entries[scheduler]
    left = num_epochs - warmup_epochs
    plain = {"per": "epoch" if lr_epoch_stair else "step"}  # factors do not depend on the rate
    rising = OptimSection.model_validate(
        {**plain, "schedule": "constant", "warmup_epochs": warmup_epochs, "warmup_start": warmup_factor}
    )
    falling = OptimSection.model_validate({**plain, "schedule": entry, "warmup_epochs": 0})
    warm, main = (
        schedules.build(optim, steps_per_epoch=steps_per_epoch, epochs=epochs)
        for optim, epochs in ((rising, ceil(warmup_epochs)), (falling, length or ceil(left)))
    )
    risen = round(steps_per_epoch * warmup_epochs)
    return [
        *(lr * warm(step) for step in range(risen)),
        *(lr * main(step) for step in range(steps_per_epoch * num_epochs - risen)),
    ]
