"""Look on while a net trains: write lines and checkpoints, and end the training when somebody asks for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from regraft.engine import distributed
from regraft.engine.device import Device
from regraft.engine.loop import Batch, Batches
from regraft.engine.state import State
from regraft.errors import RunStopped
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.store.journal import Run

#: Seconds between two lines of metrics within an epoch.
_PAUSE = 2.0


class Watch:
    """One process's eyes on a training; the first process alone writes."""

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        device: Device,
        progress: Progress,
        *,
        steps_per_epoch: int,
    ) -> None:
        self._run = run
        self._train = recipe.train
        self._device = device
        self._progress = progress
        self._steps = steps_per_epoch
        self._keep = run.checkpoints(recipe.train.keep)
        self._writes = distributed.rank() == 0
        self._began = self._spoken = self._saved = time.monotonic()
        self._first: int | None = None
        self._pictures = 0
        #: Seconds that the loop waited for pictures.
        self.waited = 0.0

    def timed(self, batches: Batches) -> Batches:
        """Return the same batches; how long the loop waits for them is counted."""
        return _Timed(batches, self)

    def step(self, state: State, *, rate: float, loss: float | None, pictures: int) -> None:
        """Say how far the epoch is, keep the state now and then, and end where somebody asks."""
        now = time.monotonic()
        at = state.at
        if self._first is None:
            self._first = at.step - 1
        self._pictures += pictures
        if self._writes:
            self._progress(f"Epoch {at.epoch + 1} of {self._train.epochs}", at.batch, self._steps)
            if loss is not None and now - self._spoken >= _PAUSE:
                self._spoken = now
                self._run.metric(step=at.step, loss=loss, lr=self._rates(state), **self._speed(state, now))
        if loss is None:
            return  # what nobody has looked at is not kept
        limit = self._train.time_limit
        if limit and distributed.any_of(now - self._began > limit):
            at.ended = f"the time limit of {limit:g} s"
        asked = distributed.any_of(self._run.asked)
        if at.ended or (asked and at.batch == self._steps):
            return  # the epoch is closed first, and asks again
        late = now - self._saved >= self._train.checkpoint_seconds
        if asked or (late and at.batch < self._steps):
            self._save(state, best=False)
        if asked:
            self._end()

    def epoch(self, state: State, *, better: bool) -> None:
        """Write the epoch's line and keep the state."""
        now = time.monotonic()
        done = state.at.epochs[-1]
        if self._writes:
            self._progress(_line(done, self._train.epochs, better=better), 0, 0)
            self._run.metric(
                epoch=done["epoch"],
                step=state.at.step,
                loss=done["train_loss"],
                val_loss=done["loss"],
                val_accuracy=done["accuracy"],
                lr=self._rates(state),
                **self._speed(state, now),
            )
        self._save(state, best=better)
        if distributed.any_of(self._run.asked):
            self._end()

    def _end(self) -> None:
        distributed.wait()  # the first process has saved
        self._run.check()
        raise RunStopped(f"Another process of run {self._run.id} was asked to end.")  # and all end together

    def _save(self, state: State, *, best: bool) -> None:
        if self._writes:
            self._keep.put(state.at.step, state.pack(), best=best)
        self._saved = time.monotonic()

    def _rates(self, state: State) -> dict[str, float]:
        return {group["name"]: float(group["lr"]) for group in state.optimizer.param_groups}

    def _speed(self, state: State, now: float) -> dict[str, float]:
        seconds = max(now - self._began, 1e-9)
        steps = state.at.step - (self._first or 0)
        left = self._train.epochs * self._steps - state.at.step
        return {
            "pictures_per_second": self._pictures / seconds,
            "data_share": self.waited / seconds,
            "memory_mb": self._device.memory(),
            "seconds_left": left * seconds / max(steps, 1),
        }


def _line(done: Mapping[str, Any], epochs: int, *, better: bool) -> str:
    """Say what an epoch gave."""
    words = f"Epoch {done['epoch']} of {epochs}: loss {done['train_loss']:.4f}"
    if done["accuracy"] is None:
        return words
    if done["loss"] is None:
        return f"{words}, validation loss is not a number"
    best = ", the best so far" if better else ""
    return f"{words}, validation loss {done['loss']:.4f}, accuracy {done['accuracy']:.1%}{best}"


class _Timed:
    """Batches, and how long somebody waits for each."""

    def __init__(self, batches: Batches, watch: Watch) -> None:
        self._batches = batches
        self._watch = watch

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from the one at `start` on."""
        coming = self._batches.epoch(epoch, start)
        while True:
            asked = time.monotonic()
            batch = next(coming, None)
            self._watch.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch
