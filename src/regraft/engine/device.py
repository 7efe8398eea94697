"""The machine under a net: which processor, how many threads, which precision and memory layout."""

from __future__ import annotations

import copy
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from regraft.records import Precision

Forward = Callable[[nn.Module, torch.Tensor], torch.Tensor]

#: A precision that changes the numbers has to be this much faster than the best that does not.
WORTH = 1.15
_ROUNDS = 3


class Device:
    """One processor with one precision; nets and batches pass through it."""

    def __init__(self, precision: Precision, *, kind: str | None = None) -> None:
        self.kind = kind or find_kind()
        self.precision = precision
        dtype, _, layout = precision.partition("+")
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._reduced = dtype != "float32"
        self._layout = torch.channels_last if layout else torch.contiguous_format

    def place(self, net: nn.Module) -> nn.Module:
        """Bring a net here for inference, in place; return it."""
        return self.settle(net.eval().requires_grad_(False))

    def settle(self, net: nn.Module) -> nn.Module:
        """Bring a net here in this device's memory layout, in place; return it."""
        net = net.to(self.kind)
        net.to(memory_format=self._layout)  # type: ignore[call-overload]  # torch does not declare it
        return net

    def compute(self, forward: Forward, net: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        """Call `forward(net, batch)` without gradients; return float32 in main memory."""
        with torch.inference_mode(), self.autocast():
            return forward(net, self.take(batch)).float().cpu()

    def take(self, batch: torch.Tensor) -> torch.Tensor:
        """Bring a batch here; one of pictures or maps in this device's memory layout."""
        batch = batch.to(self.kind, non_blocking=True)
        return batch.contiguous(memory_format=self._layout) if batch.ndim == 4 else batch

    def autocast(self) -> torch.autocast:
        """Compute in this device's precision within the context."""
        return torch.autocast(
            self.kind, self._dtype if self._reduced else torch.bfloat16, enabled=self._reduced
        )

    def scaler(self) -> torch.amp.GradScaler | None:
        """Return what keeps small gradients from vanishing in float16; None where nothing has to."""
        return torch.amp.GradScaler(self.kind) if self._dtype is torch.float16 else None

    def memory(self) -> float:
        """Return the most memory that this process has had here, in MB."""
        if self.kind == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def find_room(kind: str) -> int:
    """Return how many bytes of memory of its own a kind of processor has free; 0 where it has none."""
    return torch.cuda.mem_get_info()[0] if kind == "cuda" else 0


def find_kind() -> str:
    """Return `cuda`, `mps` or `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fastest_precision(forward: Forward, net: nn.Module, batch: torch.Tensor) -> Precision:
    """Time one batch in each precision, in turn, and return the fastest for inference."""
    arms = {}
    for choice in _choices():
        device = Device(choice)
        placed = device.place(copy.deepcopy(net))
        arms[choice] = partial(device.compute, forward, placed, batch)
    return _fastest(arms)


def fastest_training(net: nn.Module, batch: torch.Tensor) -> Precision:
    """Time a step forward and backward in each precision, in turn, and return the fastest.

    `net` comes as it will be trained: what is frozen stays so.
    """

    def step(device: Device, placed: nn.Module) -> None:
        with device.autocast():
            placed(device.take(batch)).float().square().mean().backward()

    arms = {}
    for choice in _choices():
        device = Device(choice)
        placed = device.settle(copy.deepcopy(net))
        arms[choice] = partial(step, device, placed)
    return _fastest(arms)


def _choices() -> tuple[Precision, ...]:
    return ("float32", "float32+channels_last", "bfloat16+channels_last")


def _fastest(arms: Mapping[Precision, Callable[[], object]]) -> Precision:
    """Time some work in each precision; the one that changes the numbers in the third digit has to win by a
    margin.

    One thread works: on a busy machine threads wait for each other, which says nothing of a precision.
    """
    best = dict.fromkeys(arms, float("inf"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(_ROUNDS):
            for choice, work in arms.items():
                best[choice] = min(best[choice], seconds(work))
    finally:
        torch.set_num_threads(threads)
    exact = min((choice for choice in arms if choice.startswith("float32")), key=lambda choice: best[choice])
    quick = min(arms, key=lambda choice: best[choice])
    return quick if best[quick] * WORTH < best[exact] else exact


def count_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_threads(work: Callable[[], object]) -> int:
    """Time some work with one thread and with one for each core; keep the faster number, and return it.

    With another process on a core, threads that wait for each other lose more than they gain. The number
    of threads does not change what a forward pass computes, so that this may differ from run to run; it does
    change gradients, so that a training keeps the number it began with.
    """
    best = {}
    for threads in dict.fromkeys((count_cores(), 1)):
        torch.set_num_threads(threads)
        work()
        best[threads] = min(seconds(work) for _ in range(_ROUNDS - 1))
    chosen = min(best, key=lambda threads: best[threads])
    torch.set_num_threads(chosen)
    return chosen


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes; a GPU is waited for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
