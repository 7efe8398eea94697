"""One step of a training, taken to see what it costs, and forgotten: its time, its memory, its loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import cast

import numpy as np
import torch
from torch import nn

from regraft.data.activations import Number, size_of
from regraft.data.loading import batches
from regraft.data.transforms import prepare
from regraft.engine import device, loop, memory
from regraft.errors import RunDiverged
from regraft.hub import nets
from regraft.hub.boundary import split
from regraft.jobs import trunk
from regraft.jobs.recipe_check import taken
from regraft.jobs.session import Session, Task

#: Pictures of the step that is taken first, in which libraries get ready.
FEW = 8
#: A step that would take longer, in seconds, is not taken with all its pictures: it is worked out.
LONGEST = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStep:
    """What one device does with its share of a batch."""

    #: Where, in which precision, and with how many threads.
    device: str
    precision: str
    threads: int
    #: Pictures that it shall see at once, and those that it saw; of fewer the numbers below are worked out.
    share: int
    pictures: int
    #: Mean loss of these; None of a probe, which is fitted without steps.
    loss: float | None
    #: Of a step, and of looking at as many pictures without learning.
    seconds: float
    forward_seconds: float
    #: In bytes.
    weights: int
    gradients: int
    optimizer: int
    activations: int
    #: Of a checkpoint, in bytes; 0 of a probe.
    checkpoint: int
    #: Of what the frozen part makes of one picture, in bytes; 0 where that cannot be computed once.
    boundary: int
    #: Pictures that memory had room for at once, where those were fewer.
    micro_batch: int

    @property
    def memory(self) -> int:
        """The bytes that a step needs."""
        return self.weights + self.gradients + self.optimizer + self.activations


def learn(task: Task, *, share: int) -> FirstStep:
    """Take a step on the pictures of a task, as many as `share`; the task's recipe has them in one batch.

    Raises RunDiverged where the loss is not a number, and InvalidError where the net cannot take the
    pictures.
    """
    with taken(task.base.architecture):
        session = Session(task)
        state, plan = session.state, session.plan
        mode = plan.mode(plan.epochs - 1)  # the most that ever learns
        mode.apply(state.net)
        mode.train(state.net)
        batch = next(iter(session.batches.epoch(0)))
        seen = min(share, FEW)
        loss, seconds, _ = _step(session, batch.part(slice(seen)))
        seen = share if seconds * share / seen <= LONGEST else seen
        _, seconds, activations = _step(session, batch.part(slice(seen)))  # now that all is ready
        forward = device.seconds(partial(_look, session, batch.images[:seen]))
    parameters = list(state.net.parameters())
    kept = sum(
        _size(value)
        for values in state.optimizer.state.values()
        for value in values.values()
        if isinstance(value, torch.Tensor)
    )
    changing = sum(map(_size, state.weights().values()))
    return FirstStep(
        device=session.device.kind,
        precision=session.device.precision,
        threads=torch.get_num_threads(),
        share=share,
        pictures=seen,
        loss=loss,
        seconds=seconds * share / seen,
        forward_seconds=forward * share / seen,
        weights=sum(map(_size, [*parameters, *state.net.buffers()])),
        gradients=sum(_size(one.grad) for one in parameters if one.grad is not None),
        optimizer=kept,
        activations=activations * share // seen,
        checkpoint=kept + changing * (2 if state.average else 1),
        boundary=_boundary(session),
        micro_batch=state.at.micro_batch,
    )


def look(task: Task, *, share: int) -> FirstStep:
    """Compute the features of the pictures of a task, as a probe does; see `learn`."""
    memory.keep_memory()
    here = device.Device(task.recipe.train.precision)  # type: ignore[arg-type]  # it is resolved
    net = here.place(trunk.load_net(task.store, task.base))
    pictures = [prepare(task.store.packs.read(row), task.spec) for row in task.rows]
    batch = next(batches(pictures, task.spec, batch_size=len(pictures)))
    with taken(task.base.architecture):
        here.compute(_features, net, batch[:FEW])  # the libraries get ready
        seconds = device.seconds(lambda: here.compute(_features, net, batch)) * share / len(batch)
    return FirstStep(
        device=here.kind,
        precision=here.precision,
        threads=torch.get_num_threads(),
        share=share,
        pictures=len(pictures),
        loss=None,
        seconds=seconds,
        forward_seconds=seconds,
        weights=sum(map(_size, [*net.parameters(), *net.buffers()])),
        gradients=0,
        optimizer=0,
        activations=0,
        checkpoint=0,
        boundary=0,
        micro_batch=0,
    )


def _step(session: Session, batch: loop.Batch) -> tuple[float, float, int]:
    """Learn from a batch; return its mean loss, the seconds, and the bytes kept for the way back."""
    losses: list[float] = []
    with _kept(session.net) as kept:
        seconds = device.seconds(
            lambda: losses.append(float(loop.take_step(session.state, session.plan, batch, session.device)))
        )
    session.state.at.step += 1
    loss = losses[0] / len(batch.targets)
    if not isfinite(loss):
        raise RunDiverged("The loss of the first step is not a number.", hint="Compute in float32.")
    return loss, seconds, sum(kept.values())


@contextmanager
def _kept(net: nn.Module) -> Iterator[dict[int, int]]:
    """Note the bytes of all that is kept for a backward pass, by where it lies; weights do not count."""
    own = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield found


def _features(net: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    return nets.features(cast(nets.Net, net), pictures)


def _look(session: Session, images: torch.Tensor) -> None:
    session.net.eval()
    session.device.compute(lambda net, pictures: net(session.prepare(pictures)), session.net, images)


def _boundary(session: Session) -> int:
    """Return how many bytes what is frozen makes of a picture; 0 where that changes."""
    recipe = session.task.recipe
    first, last = (session.modes(epoch).frozen for epoch in (0, recipe.train.epochs - 1))
    if first != last or recipe.train.strategy == "scratch" or recipe.data.augment:
        return 0
    pixels = session.task.pixels(session.learners.train[:2], whole=False)
    pictures = torch.from_numpy(np.stack([pixels.picture(place) for place in range(len(pixels))]))
    example = session.prepare(session.device.take(pictures.permute(0, 3, 1, 2)))
    found = split(session.net, last, example)
    number: Number = "float32" if session.device.precision.startswith("float32") else "bfloat16"
    return size_of(found.shape, 1, number) if found else 0


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
