"""Callbacks: who looks on while a model learns, and what they print."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from torch import nn

from regraft.dialects.mindspore_optim import Optimizer
from regraft.dialects.mindspore_tensors import Tensor


@dataclass(kw_only=True)
class Facts:
    """What a callback may ask about a training."""

    network: nn.Module
    optimizer: Optimizer
    epoch_num: int
    #: Steps of an epoch.
    batch_num: int
    #: Counted from 1.
    cur_epoch_num: int = 1
    #: Counted from 1, over all epochs.
    cur_step_num: int = 0
    #: The loss of the last step.
    net_outputs: Tensor = field(default_factory=lambda: Tensor(0.0))


class RunContext:
    """What a callback is called with."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.stopped = False

    def original_args(self) -> Facts:
        """Return what is known of the training."""
        return self._facts

    def request_stop(self) -> None:
        """End the training after this step."""
        self.stopped = True


class Callback:
    """Whoever looks on while a model learns; each method may be left as it is."""

    def begin(self, run_context: RunContext) -> None:
        """Hear that training begins."""

    def epoch_begin(self, run_context: RunContext) -> None:
        """Hear that an epoch begins."""

    def step_end(self, run_context: RunContext) -> None:
        """Hear that a step is over."""

    def epoch_end(self, run_context: RunContext) -> None:
        """Hear that an epoch is over."""

    def end(self, run_context: RunContext) -> None:
        """Hear that training is over."""


class LossMonitor(Callback):
    """Print the loss after every so many steps."""

    def __init__(self, per_print_times: int = 1) -> None:
        self._every = per_print_times

    def step_end(self, run_context: RunContext) -> None:
        """Print a line when its time has come."""
        facts = run_context.original_args()
        if self._every and facts.cur_step_num % self._every == 0:
            step = (facts.cur_step_num - 1) % facts.batch_num + 1
            _say(f"epoch: {facts.cur_epoch_num} step: {step}, loss is {float(facts.net_outputs)}")


class TimeMonitor(Callback):
    """Print how long an epoch took; the number that the original takes is never looked at there either."""

    def __init__(self, data_size: int | None = None) -> None:
        self._start = 0.0

    def epoch_begin(self, run_context: RunContext) -> None:
        """Look at the clock."""
        self._start = time.perf_counter()

    def epoch_end(self, run_context: RunContext) -> None:
        """Print the time of the epoch, and of a step."""
        spent = (time.perf_counter() - self._start) * 1000
        steps = run_context.original_args().batch_num
        _say(f"Train epoch time: {spent:5.3f} ms, per step time: {spent / steps:5.3f} ms")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")  # notebooks expect these lines there
    sys.stdout.flush()
