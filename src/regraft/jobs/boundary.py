"""Keep what the frozen part of a net makes of each picture, where it is worth it, and train what is above."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from regraft.data.activations import ActivationKey, Activations, Number, open_activations, size_of, worth
from regraft.data.draws import Identities
from regraft.data.pixels import PixelKey
from regraft.engine import distributed
from regraft.engine.device import seconds
from regraft.hub.boundary import Boundary, split
from regraft.jobs import machine, recipe_check
from regraft.jobs.learners import Places
from regraft.jobs.session import BATCH, Session, stack

#: Pictures of the batch on which both ways are timed, and how often.
_TRIED, _ROUNDS = 8, 2
#: Bytes that are read in a second from what was kept, at least.
_READ = 5e8


@dataclass(frozen=True, kw_only=True, slots=True)
class Taking:
    """Takes what was kept of pictures, in place of preparing them."""

    size: int = 0
    alone: bool = False

    def __call__(
        self, pictures: Activations, places: Places, identities: Identities, *, seed: int, epoch: int
    ) -> torch.Tensor:
        """Return the activations at some places."""
        return pictures.take(places)


def choose(session: Session) -> bool:
    """Tell whether activations should be kept: by the recipe, or by what a batch costs either way."""
    asked = session.task.recipe.train.boundary
    boundary = None if asked == "recompute" else _split(session)
    if boundary is None and asked == "cache":
        raise recipe_check.nothing_stays()
    if boundary is None:
        return False
    if asked == "cache":
        return True
    task, device = session.task, session.device
    count = len(session.learners.train) + len(session.learners.chosen_by)
    pictures = device.take(_example(session, _TRIED))
    activations = _run(session, boundary.lower, pictures)
    number = _number(activations)
    needed = size_of(boundary.shape, count, number)

    def above() -> None:
        loss = _run(session, boundary.upper, activations).float().square().mean()
        torch.autograd.backward(loss)
        session.net.zero_grad(set_to_none=True)

    mode = session.modes(0)
    mode.apply(session.net)
    mode.train(session.net)
    with session.untouched():
        lower = min(seconds(lambda: _run(session, boundary.lower, pictures)) for _ in range(_ROUNDS))
        upper = min(seconds(above) for _ in range(_ROUNDS))
    return worth(
        seconds_lower=lower,
        seconds_upper=upper,
        seconds_read=size_of(boundary.shape, _TRIED, number) / _READ,
        epochs=task.recipe.train.epochs,
        bytes_needed=needed,
        bytes_free=_free(task.store.root),
    )


def keep(session: Session) -> None:
    """Let a session train on activations: those that are not kept yet are computed now."""
    boundary = _split(session)
    if boundary is None:
        raise ValueError("the net has no boundary")
    activations = _open(session, boundary, session.learners.train)
    session.batches = session.batch_up(activations, Taking())
    session.state.runner = boundary.upper
    validate = None
    if len(session.learners.chosen_by):
        places = np.array_split(session.learners.chosen_by, distributed.world())[distributed.rank()]
        seen = _open(session, boundary, places)
        validate = session.validation(
            places, lambda chosen: seen.take(np.array(chosen, dtype=np.int64)), boundary.upper
        )
    session.plan = replace(session.plan, prepare=_as_it_is, validate=validate)


def _split(session: Session) -> Boundary | None:
    """Return the boundary of a net that stays the same, below which there is no chance; None without one."""
    recipe, train = session.task.recipe, session.task.recipe.train
    if train.strategy == "scratch":
        return None  # what is frozen is random, and not what the base model's digest stands for
    first, last = (session.modes(epoch).frozen for epoch in (0, train.epochs - 1))
    if recipe.data.augment or train.mixup or train.cutmix or first != last:
        return None
    example = session.device.take(_example(session, 2))
    return split(session.net, last, session.prepare(example))


def _open(session: Session, boundary: Boundary, places: Places) -> Activations:
    task, device = session.task, session.device
    pixels = task.pixels(places, whole=False)
    example = _run(session, boundary.lower, device.take(_example(session, 2)))
    key = ActivationKey(
        trunk=task.base.trunk,
        adapter=task.base.adapter or "",
        architecture=task.base.architecture,
        boundary=boundary.name,
        shape=boundary.shape,
        number=_number(example),
        pixels=PixelKey.prepared(task.spec, machine.libraries("pillow")),
        input=task.spec,
        precision=device.precision,
        libraries=machine.libraries("torch", "timm", "torchvision", "pillow"),
        processor=machine.processor(),
    )

    def compute(chosen: Sequence[int]) -> Iterator[torch.Tensor]:
        for start in range(0, len(chosen), BATCH):
            pictures = stack(pixels, chosen[start : start + BATCH])
            yield _run(session, boundary.lower, device.take(pictures))

    digests = [task.rows[place].digest for place in places.tolist()]
    return open_activations(task.store.cache, key, digests, compute, task.progress)


def _run(session: Session, part: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
    """Call a part of the net in the session's precision; pictures, which are bytes, are prepared first."""
    with session.device.autocast():
        return part(session.prepare(batch) if batch.dtype is torch.uint8 else batch)


def _example(session: Session, count: int) -> torch.Tensor:
    places = session.learners.train[:count]
    return stack(session.task.pixels(places, whole=False), range(len(places)))


def _number(activations: torch.Tensor) -> Number:
    return "float32" if activations.dtype is torch.float32 else _SMALL[activations.dtype]


def _as_it_is(activations: torch.Tensor) -> torch.Tensor:
    return activations


def _free(root: Path) -> int:
    facts = os.statvfs(root)
    return facts.f_bavail * facts.f_frsize


_SMALL: dict[torch.dtype, Number] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}
