"""The loop: a net and batches in, a tuned net out; whoever watches it decides when the state is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import torch
from torch import nn

from regraft.engine import distributed
from regraft.engine.device import Device
from regraft.engine.losses import mixed_targets
from regraft.engine.optim import set_rate
from regraft.engine.schedules import Schedule
from regraft.engine.state import State
from regraft.errors import RunDiverged, RunError

log = logging.getLogger(__name__)

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

#: On a GPU the losses are looked at every so many steps: looking waits for all that is under way.
_LOOK = 16


class Batch(Protocol):
    """Pictures as the net takes them, and what is in them: this process's share of one step."""

    @property
    def images(self) -> torch.Tensor:
        """What the net gets, before it is prepared on the device."""

    @property
    def targets(self) -> torch.Tensor:
        """What is in the pictures [n]."""

    @property
    def positions(self) -> torch.Tensor:
        """Which pictures of the train split these are [n]."""

    @property
    def total(self) -> int:
        """Pictures of the step in all processes together."""

    @property
    def partners(self) -> torch.Tensor | None:
        """The targets that were mixed in [n]; None where nothing is mixed."""

    @property
    def lam(self) -> torch.Tensor | None:
        """The part of each picture that is its own [n]."""

    def part(self, which: slice) -> Batch:
        """Return some of the pictures."""


class Batches(Protocol):
    """The batches of every epoch, which follow from the epoch alone."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from the one at `start` on."""


class Mode(Protocol):
    """What of a net learns."""

    def apply(self, net: nn.Module) -> None:
        """Let parameters learn, or not."""

    def train(self, net: nn.Module) -> None:
        """Put the net's modules into the mode that they learn in, or not."""


class Watcher(Protocol):
    """Whoever looks on: writes lines and checkpoints, and raises to end the training there and then."""

    def step(self, state: State, *, rate: float, loss: float | None, pictures: int) -> None:
        """Hear of a finished step; the loss is None where nobody has looked at it yet."""

    def epoch(self, state: State, *, better: bool) -> None:
        """Hear of a finished epoch."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train: nothing in it changes on the way."""

    epochs: int
    seed: int
    schedule: Schedule
    #: Base rate of all groups, before their own scale and the schedule's factor.
    lr: float
    #: Losses of the pictures of a batch [n].
    loss: Loss
    classes: int
    #: Whether the losses of a step are averaged or summed.
    mean: bool
    #: Greatest norm of the gradients; 0 does not clip.
    clip: float
    #: What learns in an epoch.
    mode: Callable[[int], Mode]
    #: Mean loss and accuracy on the pictures that are chosen by; None where there are none.
    validate: Callable[[nn.Module], tuple[float, float]] | None
    #: Epochs without an improvement of at least `min_delta` after which training ends; 0 never does.
    patience: int
    min_delta: float
    #: Bytes of pictures into what the net wants, on its device.
    prepare: Callable[[torch.Tensor], torch.Tensor]
    #: What else pulls at the gradients, after all pictures.
    pull: Callable[[], None] | None = None


def train(state: State, plan: Plan, batches: Batches, device: Device, watcher: Watcher) -> None:
    """Train from where the state stands to the end of the plan.

    Raises RunDiverged where a loss is not finite, and whatever the watcher raises.
    """
    at = state.at
    if at.planned < plan.epochs:  # a new training, or one that shall go on after its end
        at.planned, at.began, at.ended = plan.epochs, at.epoch, ""
    for epoch in range(at.epoch, plan.epochs):
        if at.ended:
            break
        plan.mode(epoch).apply(state.net)
        plan.mode(epoch).train(state.net)
        unseen: list[tuple[torch.Tensor, Batch]] = []
        for batch in batches.epoch(epoch, start=at.batch):
            factor = plan.schedule(at.step, at.losses)
            set_rate(state.optimizer, plan.lr, factor)
            unseen.append((take_step(state, plan, batch, device), batch))
            at.step += 1
            at.batch += 1
            looking = device.kind != "cuda" or at.batch % _LOOK == 0 or at.batch == len(batches)
            loss = _look(state, unseen) if looking else None
            watcher.step(state, rate=factor, loss=loss, pictures=batch.total)
            if at.ended:  # the watcher has had enough; what is done of the epoch is measured
                break
        at.epoch, at.batch = epoch + 1, 0
        better = _close(state, plan)
        watcher.epoch(state, better=better)


def take_step(state: State, plan: Plan, batch: Batch, device: Device) -> torch.Tensor:
    """Learn from one batch; return the sum of its pictures' losses over all processes."""
    while True:
        try:
            total = _gradients(state, plan, batch, device)
            break
        except RuntimeError as error:
            if not _memory_is_short(error):
                raise
            _halve(state, batch)
    if device.kind != "cuda" and not bool(total.isfinite()):
        raise _diverged(state, batch, state.at.step)  # before the net is spoiled
    distributed.add_gradients(state.net.parameters())
    distributed.share_statistics(state.net)
    _learn(state, plan)
    if state.average is not None:
        state.average.update(state.net, state.at.step)
    return total


def _gradients(state: State, plan: Plan, batch: Batch, device: Device) -> torch.Tensor:
    """Add up the gradients of a batch, some pictures at a time: the same as of all at once."""
    state.optimizer.zero_grad(set_to_none=True)
    # what chance there is inside of a net follows from the step, so that a resumed training meets it again
    torch.manual_seed(plan.seed * 1_000_003 + state.at.step * distributed.world() + distributed.rank())
    count = len(batch.targets)
    size = min(state.at.micro_batch or count, count) or 1
    total = torch.zeros((), device=device.kind)
    starts = range(0, count, size)
    for start in starts:
        part = batch.part(slice(start, start + size)) if len(starts) > 1 else batch
        with device.autocast():
            logits = state.runner(plan.prepare(device.take(part.images)))
        losses = plan.loss(logits.float(), _targets(part, plan.classes, device))
        loss = losses.sum()
        total += loss.detach()
        scaled = loss / batch.total if plan.mean else loss
        (state.scaler.scale(scaled) if state.scaler else scaled).backward()  # type: ignore[no-untyped-call]
    return distributed.add(total)


def _targets(batch: Batch, classes: int, device: Device) -> torch.Tensor:
    targets = batch.targets.to(device.kind)
    if batch.partners is None or batch.lam is None:
        return targets
    return mixed_targets(targets, batch.partners.to(device.kind), batch.lam.to(device.kind), classes)


def _learn(state: State, plan: Plan) -> None:
    if state.scaler is not None:
        state.scaler.unscale_(state.optimizer)
    if plan.pull is not None:
        plan.pull()
    if plan.clip:
        learning = [p for group in state.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(learning, plan.clip)
    if state.scaler is not None:
        state.scaler.step(state.optimizer)
        state.scaler.update()
    else:
        state.optimizer.step()


def _look(state: State, unseen: list[tuple[torch.Tensor, Batch]]) -> float:
    """Add the losses of finished steps to the epoch's; return the mean of the last one."""
    for step, (total, batch) in enumerate(unseen, state.at.step - len(unseen)):
        value = float(total)
        if not isfinite(value):
            raise _diverged(state, batch, step)
        state.at.loss_sum += value
        state.at.seen += batch.total
    last = unseen[-1]
    unseen.clear()
    return float(last[0]) / last[1].total


def _close(state: State, plan: Plan) -> bool:
    """Measure what the epoch gave; tell whether it is the best so far."""
    at = state.at
    rate = plan.schedule(at.step - 1, at.losses)
    loss, accuracy = None, None
    if plan.validate is not None:
        with state.averaged():
            loss, accuracy = plan.validate(state.net)
        at.losses.append(loss)
    at.epochs.append(
        {
            "epoch": at.epoch,
            "rate": rate,
            "train_loss": at.loss_sum / max(at.seen, 1),
            "loss": loss if loss is not None and isfinite(loss) else None,
            "accuracy": accuracy,
        }
    )
    at.loss_sum, at.seen = 0.0, 0
    if loss is None:  # nothing to choose by: the last is taken
        at.best = at.epoch
        return True
    better = isfinite(loss) and (at.best_loss is None or loss < at.best_loss - plan.min_delta)
    if better:
        at.best, at.best_loss = at.epoch, loss
    elif plan.patience and at.epoch - max(at.best, at.began) >= plan.patience:
        at.ended = f"no improvement in {plan.patience} epochs"
    return better


def evaluate(
    net: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    device: Device,
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy over batches and their targets, of all processes together.

    `forward` makes logits of a batch by the net, which is in eval mode then, and afterwards.
    """
    net.eval()
    sums = torch.zeros(3, dtype=torch.float64)
    for images, targets in batches:
        logits = device.compute(lambda _, batch: forward(batch), net, images).double()
        sums[0] += nn.functional.cross_entropy(logits, targets, reduction="sum")
        sums[1] += (logits.argmax(1) == targets).sum()
        sums[2] += len(targets)
    loss, right, count = distributed.add(sums).tolist()
    return loss / count, right / count


def _memory_is_short(error: RuntimeError) -> bool:
    words = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "allocate memory" in words
        or "not enough memory" in words
        or "could not create a primitive" in words  # all that oneDNN says
    )


def _halve(state: State, batch: Batch) -> None:
    """Take half as many pictures at once from now on; raises RunError where it is one already."""
    size = min(state.at.micro_batch or len(batch.targets), len(batch.targets))
    if size <= 1:
        raise RunError(
            "Not even one picture at a time fits into memory.",
            hint="Freeze more of the net (model.freeze), or let it see smaller pictures (data.size).",
        )
    state.at.micro_batch = (size + 1) // 2
    state.optimizer.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    log.warning(
        "Memory ran out: the net sees %d pictures at once from now on; a step still has %d.",
        state.at.micro_batch,
        batch.total,
    )


def _diverged(state: State, batch: Batch, step: int) -> RunDiverged:
    return RunDiverged(
        f"The loss is not a number any more in epoch {state.at.epoch + 1}, step {step + 1}.",
        hint="Lower the rate (optim.lr), clip gradients (optim.clip = 1), or compute in float32.",
        positions=batch.positions.tolist(),
    )
