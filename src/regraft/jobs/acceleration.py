"""What pays on a GPU: decoded pictures that stay there from the first step on, and a net that is compiled."""

from __future__ import annotations

import torch

from regraft.jobs.session import Session
from regraft.recipe import Recipe

#: The part of a device's free memory that pictures may take; the net and its gradients need the rest.
_SHARE = 0.6
#: A training with fewer steps before it ends before compiling has paid back.
_STEPS = 500


def accelerate(session: Session, *, room: int) -> None:
    """Bring the pictures to the net where they fit, and compile the net where that pays.

    `room` is how many bytes the device has free in memory of its own.
    """
    kind = session.device.kind
    if session.pixels.size < _SHARE * room:
        session.batches = session.batch_up(session.pixels.resident(kind), session.steps)
    recipe = session.task.recipe
    steps = recipe.train.epochs * len(session.batches) - session.state.at.step
    if compiles(recipe, kind=kind, steps=steps):
        # a last batch that is smaller is compiled for itself: shapes that may change make slower code
        session.state.runner = torch.compile(session.net, dynamic=False)


def compiles(recipe: Recipe, *, kind: str, steps: int) -> bool:
    """Tell whether a net is compiled that has so many steps before it."""
    asked = recipe.train.compile
    return (kind == "cuda" and steps >= _STEPS) if asked == "auto" else asked
