"""Heads: what turns a trunk's features into logits, built by name or from stored tensors.

`regraft.engine.predict` computes the same logits without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from regraft.errors import MismatchError
from regraft.hub.layouts import State
from regraft.records import HeadKind
from regraft.registry import Entry, Registry

Init = Literal["zero", "normal", "xavier", "kaiming"]
Builder = Callable[..., nn.Module]

HEADS: Registry[Builder] = Registry("head")


class Linear(nn.Linear):
    """Features [n, in_features] to logits [n, out_features]; it begins at zero."""

    kind: HeadKind = "linear"

    def __init__(self, in_features: int, out_features: int, *, dropout: float = 0.0) -> None:
        super().__init__(in_features, out_features)
        self.dropout = dropout

    def reset_parameters(self) -> None:
        """Begin at zero: unlike torch's own beginning this draws no global random numbers."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits; in train mode features are dropped first."""
        return super().forward(functional.dropout(features, self.dropout, self.training))


class PooledLinear(Linear):
    """Maps [n, in_features, height, width] to logits: their mean over all places, then a linear layer."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, out_features]; in train mode pooled features are dropped."""
        return super().forward(features.mean((2, 3)))


class Mlp(nn.Module):
    """Features to logits by one hidden layer with a ReLU; dropout acts on what the hidden layer gives."""

    kind: HeadKind = "mlp"

    def __init__(self, in_features: int, out_features: int, *, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = Linear(in_features, hidden)
        self.weight = nn.Parameter(torch.zeros(out_features, hidden))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, out_features] of features [n, in_features]."""
        inner = functional.dropout(self.hidden(features).relu(), self.dropout, self.training)
        return functional.linear(inner, self.weight, self.bias)


class Cosine(nn.Module):
    """Features to logits by the cosine of the angle to one direction per class, times a learned scale."""

    kind: HeadKind = "cosine"

    def __init__(
        self, in_features: int, out_features: int, *, scale: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.scale = nn.Parameter(torch.tensor(scale))
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, out_features] of features [n, in_features]."""
        features = functional.dropout(features, self.dropout, self.training)
        directions = functional.normalize(self.weight)
        return functional.linear(functional.normalize(features), directions) * self.scale


@HEADS.register("linear")
def _linear(num_features: int, classes: int, dropout: float) -> Linear:
    return Linear(num_features, classes, dropout=dropout)


@HEADS.register("mlp")
def _mlp(
    num_features: int, classes: int, dropout: float, *, hidden: Annotated[int, Field(ge=1)] = 256
) -> Mlp:
    return Mlp(num_features, classes, hidden=hidden, dropout=dropout)


# 10 is where Gidaris and Komodakis begin (Dynamic Few-Shot Visual Learning without Forgetting, 2018)
@HEADS.register("cosine")
def _cosine(
    num_features: int, classes: int, dropout: float, *, scale: Annotated[float, Field(gt=0)] = 10.0
) -> Cosine:
    return Cosine(num_features, classes, scale=scale, dropout=dropout)


def build(
    entry: Entry, num_features: int, classes: int, *, init: Init = "zero", dropout: float = 0.0, seed: int = 0
) -> nn.Module:
    """Build the head that a recipe names, from features [n, num_features] to logits [n, classes].

    Raises InvalidRecipe for an unknown name or option.
    """
    make, options = HEADS.find(entry, where="model.head")
    return initialise(make(num_features, classes, dropout, **options), init, seed=seed)


def initialise(head: nn.Module, init: Init, *, seed: int = 0) -> nn.Module:
    """Begin a head of this module anew, in place; return it.

    `init` is how the last layer begins: at zero, normal with a deviation of 0.01, Xavier's uniform, or
    Kaiming's normal for a layer that no ReLU follows. Biases begin at zero. A cosine head cannot begin at
    zero, where directions have no angle and no gradient: there it begins normal.
    """
    random = torch.Generator().manual_seed(seed)
    if isinstance(head, Mlp):
        nn.init.kaiming_normal_(head.hidden.weight, nonlinearity="relu", generator=random)
        nn.init.zeros_(head.hidden.bias)
    weight = head.get_parameter("weight")
    match init:
        case "zero" if not isinstance(head, Cosine):
            nn.init.zeros_(weight)
        case "zero" | "normal":
            nn.init.normal_(weight, std=0.01, generator=random)
        case "xavier":
            nn.init.xavier_uniform_(weight, generator=random)
        case "kaiming":
            nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=random)
    if not isinstance(head, Cosine):
        nn.init.zeros_(head.get_parameter("bias"))
    return head


def from_state(kind: HeadKind, state: State) -> nn.Module:
    """Build the head that a stored state is of, without dropout; raises MismatchError where none is.

    The classifier of an architecture (`own`) comes with its net, not from here.
    """
    names = _NAMES.get(kind)
    if names is None or state.keys() != names or state["weight"].ndim != 2:
        raise MismatchError(
            f"The stored head is no {kind!r} head: it has {', '.join(sorted(state)) or 'no tensors'}.",
            hint="The model was made by another version of Regraft.",
        )
    classes, width = state["weight"].shape
    head: nn.Module
    if kind == "mlp":
        head = Mlp(state["hidden.weight"].shape[1], classes, hidden=width)
    else:
        head = Cosine(width, classes) if kind == "cosine" else Linear(width, classes)
    try:
        head.load_state_dict(state)
    except RuntimeError as error:  # tensors whose shapes do not fit each other
        raise MismatchError(f"The stored {kind!r} head does not fit together: {error}.") from None
    return head


def kind(head: nn.Module) -> HeadKind:
    """Return what a head is; `own` where it is neither of this module nor a linear layer with a bias."""
    if isinstance(head, Linear | Mlp | Cosine):
        return head.kind
    return "linear" if isinstance(head, nn.Linear) and head.bias is not None else "own"


_NAMES: dict[HeadKind, set[str]] = {
    "linear": {"weight", "bias"},
    "mlp": {"hidden.weight", "hidden.bias", "weight", "bias"},
    "cosine": {"weight", "scale"},
}
