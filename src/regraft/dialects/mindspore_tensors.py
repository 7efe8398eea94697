"""Tensors and parameters as MindSpore names them, over those of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from regraft.hub.nets import Net
from regraft.patterns import TRUNK

#: What a net's head is called where MindCV's names are spoken, whatever its architecture calls it.
CLASSIFIER = "classifier."
_HEAD = "head."


class Tensor(torch.Tensor):
    """A tensor of torch that also answers as one of MindSpore: `asnumpy()`, a plain tuple as its shape."""

    def __new__(cls, data: object, dtype: torch.dtype | None = None) -> Tensor:
        """Take numbers, an array or another tensor."""
        return torch.as_tensor(data, dtype=dtype).as_subclass(cls)

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]  # so that it prints as MindSpore's does
        """The sides, as a plain tuple."""
        return tuple(super().shape)

    def asnumpy(self) -> npt.NDArray[Any]:
        """Return the numbers as an array in main memory."""
        array: npt.NDArray[Any] = self.as_subclass(torch.Tensor).detach().cpu().numpy()
        return array

    def __str__(self) -> str:
        return str(self.asnumpy())


class Parameter:
    """A parameter of a net under the name that people know it by; a view, the net keeps the tensor."""

    def __init__(self, name: str, value: nn.Parameter) -> None:
        self.name = name
        self.value = value

    @property
    def requires_grad(self) -> bool:
        """Whether it learns."""
        return self.value.requires_grad

    @requires_grad.setter
    def requires_grad(self, learns: bool) -> None:
        self.value.requires_grad_(learns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sides, as a plain tuple."""
        return tuple(self.value.shape)

    def asnumpy(self) -> npt.NDArray[Any]:
        """Return a copy of the numbers."""
        array: npt.NDArray[Any] = self.value.detach().cpu().numpy().copy()
        return array

    def __repr__(self) -> str:
        return f"Parameter (name={self.name}, shape={self.shape}, requires_grad={self.requires_grad})"


def parameters(net: nn.Module) -> list[Parameter]:
    """Return a net's parameters; of one from Regraft's hub as its architecture names them.

    The head of such a net is always `classifier`.
    """
    spoken = _spoken if isinstance(net, Net) else str
    return [Parameter(spoken(name), value) for name, value in net.named_parameters()]


def _spoken(name: str) -> str:
    if name.startswith(TRUNK):
        return name.removeprefix(TRUNK)
    return CLASSIFIER + name.removeprefix(_HEAD)


class Cell(nn.Module):
    """A module in MindSpore's words; one of your own has `construct` in place of `forward`."""

    def _nothing(self, *inputs: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no construct")

    #: Turns inputs, as many as a cell wants, into an output.
    construct: Callable[..., torch.Tensor] = _nothing

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Call `construct`, where torch expects another name."""
        return self.construct(*inputs)

    def get_parameters(self) -> Iterator[Parameter]:
        """Yield all parameters."""
        yield from parameters(self)

    def trainable_params(self) -> list[Parameter]:
        """Return the parameters that learn."""
        return [parameter for parameter in self.get_parameters() if parameter.requires_grad]

    def set_train(self, mode: bool = True) -> Cell:
        """Put the cell in train mode or, with False, in evaluation mode; no parameter is frozen by it."""
        self.train(mode)
        return self
