"""The machine under a net: which processor, how many threads, which precision and memory layout."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import os
import platform
import time
from collections.abc import Callable
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
        self._bfloat16 = dtype == "bfloat16"
        self._layout = torch.channels_last if layout else torch.contiguous_format

    def place(self, net: nn.Module) -> nn.Module:
        """Bring a net here for inference, in place; return it."""
        net = net.eval().requires_grad_(False).to(self.kind)
        net.to(memory_format=self._layout)  # type: ignore[call-overload]  # torch does not declare it
        return net

    def compute(self, forward: Forward, net: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        """Call `forward(net, batch)` without gradients; return float32 in main memory."""
        batch = batch.to(self.kind).contiguous(memory_format=self._layout)
        with torch.inference_mode(), torch.autocast(self.kind, torch.bfloat16, enabled=self._bfloat16):
            return forward(net, batch).float().cpu()


def find_kind() -> str:
    """Return `cuda`, `mps` or `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fastest_precision(forward: Forward, net: nn.Module, batch: torch.Tensor) -> Precision:
    """Time one batch in each precision, in turn, and return the fastest.

    bfloat16 has to win by a margin, because it changes the numbers in the third digit.
    """
    choices: list[Precision] = ["float32", "float32+channels_last", "bfloat16+channels_last"]
    arms = {choice: (device := Device(choice), device.place(copy.deepcopy(net))) for choice in choices}
    best = dict.fromkeys(choices, float("inf"))
    for _ in range(_ROUNDS):
        for choice, (device, placed) in arms.items():
            best[choice] = min(best[choice], _seconds(partial(device.compute, forward, placed, batch)))
    exact = min(choices[:2], key=lambda choice: best[choice])
    return choices[2] if best[choices[2]] * WORTH < best[exact] else exact


def choose_threads(work: Callable[[], object]) -> int:
    """Time some work with one thread and with one for each core; keep the faster number, and return it.

    With another process on a core, threads that wait for each other lose more than they gain. The number
    of threads does not change what a forward pass computes, so that this may differ from run to run.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    best = {}
    for threads in dict.fromkeys((cores, 1)):
        torch.set_num_threads(threads)
        work()
        best[threads] = min(_seconds(work) for _ in range(_ROUNDS - 1))
    chosen = min(best, key=lambda threads: best[threads])
    torch.set_num_threads(chosen)
    return chosen


def keep_memory() -> bool:
    """Tell the C library to keep freed memory instead of giving it back at every step; glibc alone.

    Large tensors otherwise fault in their pages anew each time. Call it before the first tensor.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    # values of <malloc.h>: M_MMAP_MAX = -4, M_TRIM_THRESHOLD = -1, M_TOP_PAD = -2
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(-4, 0), mallopt(-1, 2**31 - 1), mallopt(-2, 64 * 2**20)])
    return False


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
