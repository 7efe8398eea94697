"""`nn` of the MindSpore Hub dialect: the cells, the loss and the optimiser of its tutorials, on torch.

A cell may hold any module of torch. What is not here, `torch.nn` has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from regraft.dialects.mindspore_optim import Optimizer, Rates
from regraft.dialects.mindspore_rates import PlannedRates
from regraft.dialects.mindspore_tensors import Cell, Parameter, Tensor
from regraft.engine.device import Device
from regraft.errors import MismatchError, RunDiverged
from regraft.records import Precision

__all__ = [
    "Cell",
    "Dense",
    "Flatten",
    "Momentum",
    "ReduceMean",
    "SequentialCell",
    "Softmax",
    "SoftmaxCrossEntropyWithLogits",
    "TrainOneStepCell",
    "WithLossCell",
]

#: What cells compute in.
PRECISION: Precision = "float32"


def __getattr__(name: str) -> object:
    """Say what there is where a cell is asked for that is not here."""
    raise AttributeError(
        f"Regraft's nn has no {name!r}; it has {', '.join(__all__)}. Modules of torch.nn may stand in a cell."
    )


class ReduceMean:
    """The mean along some axes, which stay as sides of one where `keep_dims` says so."""

    def __init__(self, keep_dims: bool = False) -> None:
        self.keep_dims = keep_dims

    def __call__(self, x: torch.Tensor, axis: int | tuple[int, ...] = ()) -> torch.Tensor:
        """Return the mean of a tensor along `axis`; along all of them where none is named."""
        return x.mean(axis if axis != () else tuple(range(x.ndim)), keepdim=self.keep_dims)


class Flatten(Cell):
    """Makes [n, c, h, w] one vector for each picture."""

    def construct(self, x: torch.Tensor) -> torch.Tensor:
        """Return [n, c * h * w]."""
        return x.flatten(1)


class Softmax(Cell):
    """Makes probabilities of logits."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def construct(self, x: torch.Tensor) -> torch.Tensor:
        """Return numbers that add up to one along the axis."""
        return x.softmax(self.axis)


class Dense(Cell):
    """A linear layer that begins as MindSpore's: weights of deviation 0.01, biases of zero."""

    def __init__(self, in_channels: int, out_channels: int, *, has_bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels) * 0.01)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if has_bias else None

    def construct(self, x: torch.Tensor) -> torch.Tensor:
        """Return [n, out_channels] of [n, in_channels]."""
        if x.shape[-1] != self.weight.shape[1]:
            raise MismatchError(
                f"A Dense of {self.weight.shape[1]} channels gets {x.shape[-1]}.",
                hint=f"Write nn.Dense({x.shape[-1]}, {self.weight.shape[0]}).",
            )
        return functional.linear(x, self.weight, self.bias)


class SequentialCell(Cell):
    """Cells one after the other; their parameters are called `0.`, `1.` and so on."""

    def __init__(self, *cells: nn.Module | Sequence[nn.Module]) -> None:
        super().__init__()
        first = cells[0] if cells and isinstance(cells[0], list | tuple) else cells
        for number, cell in enumerate(first):
            self.add_module(str(number), cell)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[nn.Module]:
        return self.children()

    def construct(self, x: torch.Tensor) -> torch.Tensor:
        """Pass the output of each cell to the next."""
        for cell in self:
            x = cell(x)
        return x


class SoftmaxCrossEntropyWithLogits(Cell):
    """Cross-entropy of logits, to numbers of classes where `sparse`, otherwise to shares of each class."""

    def __init__(self, sparse: bool = False, reduction: Literal["none", "mean", "sum"] = "none") -> None:
        super().__init__()
        self.sparse = sparse
        self.reduction = reduction

    def construct(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each picture, their mean, or their sum; raises MismatchError for a new class."""
        if self.sparse and (most := int(labels.max())) >= logits.shape[1]:
            raise MismatchError(
                f"A picture is of class {most}, and the net tells {logits.shape[1]} classes apart.",
                hint=f"Give the last layer {most + 1} outputs or more: classes count from 0.",
            )
        targets = labels.long() if self.sparse else labels.to(logits.dtype)
        return functional.cross_entropy(logits, targets, reduction=self.reduction)


class WithLossCell(Cell):
    """A net with its loss: pictures and labels in, the loss out."""

    def __init__(self, backbone: nn.Module, loss_fn: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.backbone_network = backbone
        self.loss_fn = loss_fn

    def construct(self, data: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch."""
        return self.loss_fn(self.backbone_network(data), label)


class Momentum(Optimizer):
    """Stochastic gradient descent with momentum, at one rate or at one for each step.

    As in MindSpore the scales and shifts of norm layers do not decay; other biases do.
    """

    def __init__(
        self,
        params: Iterable[Parameter | nn.Parameter | Mapping[str, Any]],
        learning_rate: Rates,
        momentum: float,
        weight_decay: float = 0.0,
        *,
        use_nesterov: bool = False,
    ) -> None:
        entry = {"name": "sgd", "momentum": momentum, "nesterov": use_nesterov}
        super().__init__(entry, params, learning_rate, weight_decay=weight_decay)


class TrainOneStepCell(Cell):
    """Makes one step with each batch that it is called with; the net is brought to the fastest processor."""

    def __init__(self, network: nn.Module, optimizer: Optimizer) -> None:
        super().__init__()
        self.device = Device(PRECISION)
        self.network = self.device.settle(network)
        self.optimizer = optimizer
        self._steps = 0

    def construct(self, *inputs: torch.Tensor) -> Tensor:
        """Return the loss before the step; raises RunDiverged where it is not a number any more."""
        if isinstance(rate := self.optimizer.rate, PlannedRates):
            for steps in filter(None, (getattr(one, "steps_per_epoch", None) for one in inputs)):
                rate.settle(steps)
        loss = self.network(*(self.device.take(one.as_subclass(torch.Tensor)) for one in inputs))
        if not isfinite(loss.item()):
            raise RunDiverged(
                f"The loss is not a number any more in step {self._steps + 1}.",
                hint="Lower the rate: lr_max of get_lr.",
            )
        loss.backward()
        self.optimizer.step()
        self._steps += 1
        return Tensor(loss.detach())
