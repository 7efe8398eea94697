"""The ways to tune that a search tries: all begin with what is known already, and take small steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to tune: how it is called, and what it changes in the recipe."""

    name: str
    train: Mapping[str, Any]
    model: Mapping[str, Any]
    optim: Mapping[str, Any]
    #: Whether activations below what learns can be kept: then pictures are not augmented.
    kept: bool = False


def ways_of(architecture: str) -> tuple[Way, ...]:
    """Return the ways to tune a net, the one first that is taken where there is time for one alone."""
    from regraft.hub import nets
    from regraft.hub.stages import stages

    half = len(stages(nets.outline(architecture))) // 2
    return (
        Way(name="lp-ft", train={}, model={"freeze": 0}, optim={}),
        Way(
            name="lp-ft of the upper half",
            train={"boundary": "auto"},
            model={"freeze": half},
            optim={"lr": 2e-4},
            kept=True,
        ),
        Way(
            name="adapters",
            train={"strategy": "adapters"},
            model={"adapter": "norm", "freeze": 0},
            optim={},
        ),
    )
