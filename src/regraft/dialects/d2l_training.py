"""Training in the words of Dive into Deep Learning: its sums, clocks and curves, and its loop for vision."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

import regraft
from regraft.engine.losses import mean_equivalent
from regraft.errors import InvalidError, RunDiverged
from regraft.hub.freezing import Frozen
from regraft.reports.live_curve import LiveCurve

#: Losses of the pictures of a batch, or their mean or sum.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Batches = Iterable[Sequence[torch.Tensor]]

#: The train curves get so many points in an epoch, or one for each batch where there are fewer.
_POINTS = 5


class Accumulator:
    """Sums of several numbers."""

    def __init__(self, n: int) -> None:
        self.data = [0.0] * n

    def add(self, *args: float) -> None:
        """Add a number to each sum."""
        self.data = [total + float(value) for total, value in zip(self.data, args, strict=True)]

    def reset(self) -> None:
        """Begin at zero again."""
        self.data = [0.0] * len(self.data)

    def __getitem__(self, idx: int) -> float:
        return self.data[idx]


class Timer:
    """Seconds, from each start to its stop."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Start."""
        self.tik = time.perf_counter()

    def stop(self) -> float:
        """Stop, keep the seconds since the start, and return them."""
        self.times.append(time.perf_counter() - self.tik)
        return self.times[-1]

    def avg(self) -> float:
        """Return the mean of what was kept."""
        return self.sum() / len(self.times)

    def sum(self) -> float:
        """Return the sum of what was kept."""
        return sum(self.times)

    def cumsum(self) -> list[float]:
        """Return the sums so far."""
        return list(accumulate(self.times))


class Animator:
    """A curve that is drawn while points are added; `LiveCurve` says where it appears.

    Limits, formats and sizes are taken and have no effect: the axes follow from the points. Lines without a
    name in the legend are called `y1`, `y2` and so on, or `y` where there is one.
    """

    #: What is drawn, from the first point on.
    curve: LiveCurve

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        legend: str | Sequence[str] | None = None,
        xlim: object = None,
        ylim: object = None,
        xscale: str = "linear",
        yscale: str = "linear",
        fmts: object = None,
        nrows: int = 1,
        ncols: int = 1,
        figsize: object = None,
        *,
        path: str | None = None,
    ) -> None:
        self._legend = [legend] if isinstance(legend, str) else list(legend or ())
        self._make = partial(
            LiveCurve,
            across=xlabel or "",
            up=ylabel or "",
            log=xscale == "log",
            path=Path(path) if path else None,
            say=say,
        )

    def add(self, x: float, y: Any) -> None:
        """Add a point to each line, in the order of the legend: a number, or several, or an array of them.

        None adds nothing to a line. How many lines there are follows from the legend and the first point.
        """
        given = y.tolist() if hasattr(y, "tolist") else y
        values = [
            None if value is None else float(value)
            for value in (given if isinstance(given, Sequence) else [given])
        ]
        if not hasattr(self, "curve"):
            numbers = range(len(self._legend) + 1, len(values) + 1)
            single = len(values) == 1
            self.curve = self._make([*self._legend, *("y" if single else f"y{n}" for n in numbers)])
        left = len(self.curve.points) - len(values)
        self.curve.add(float(x), [*values, *[None] * left])


def try_gpu(i: int = 0) -> torch.device:
    """Return GPU number `i`, or the processor where there is none."""
    return torch.device(f"cuda:{i}" if torch.cuda.device_count() > i else "cpu")


def try_all_gpus() -> list[torch.device]:
    """Return all GPUs, or the processor where there is none."""
    return [try_gpu(i) for i in range(max(1, torch.cuda.device_count()))]


def accuracy(y_hat: torch.Tensor, y: torch.Tensor) -> float:
    """Count the pictures whose class is right, of logits [n, classes] or of classes [n]."""
    named = y_hat.argmax(dim=1) if y_hat.ndim > 1 and y_hat.shape[1] > 1 else y_hat
    return float((named.to(y.dtype) == y).sum())


def evaluate_accuracy_gpu(net: nn.Module, data_iter: Batches, device: torch.device | None = None) -> float:
    """Return the part of the pictures whose class is right; the net is in eval mode then, and afterwards."""
    net.eval()
    device = device or next(net.parameters()).device
    metric = Accumulator(2)
    with torch.inference_mode():
        for images, targets in data_iter:
            metric.add(accuracy(net(images.to(device)), targets.to(device)), targets.numel())
    if not metric[1]:
        raise InvalidError("There is no picture to measure with.", hint="Look into the test folder.")
    return metric[0] / metric[1]


def train_batch_ch13(
    net: nn.Module,
    X: torch.Tensor,  # noqa: N803 (the book's own word)
    y: torch.Tensor,
    loss: Loss,
    trainer: torch.optim.Optimizer,
    devices: Sequence[torch.device],
) -> tuple[float, float]:
    """Take one step on the sum of a batch's losses; return that sum, and how many pictures were right.

    Modules that are frozen as a whole keep their batch-norm statistics. Raises RunDiverged, before the
    step, where a loss is not finite.
    """
    images, targets = X.to(devices[0]), y.to(devices[0])
    still = frozenset(name for name, parameter in net.named_parameters() if not parameter.requires_grad)
    Frozen(names=still, stages=0).train(net)
    trainer.zero_grad()
    pred = net(images)
    losses = loss(pred, targets)
    total = losses.sum()
    if not bool(total.isfinite()):
        raise RunDiverged(
            "The loss of a batch is not a finite number.",
            hint="Lower the rate: with summed losses it acts as often as a batch has pictures.",
        )
    total.backward()  # type: ignore[no-untyped-call]  # torch does not declare it
    trainer.step()
    averaged = getattr(loss, "reduction", "none") == "mean"
    return float(total.detach()) * (len(targets) if averaged else 1), accuracy(pred.detach(), targets)


def train_ch13(
    net: nn.Module,
    train_iter: Any,
    test_iter: Batches,
    loss: Loss,
    trainer: torch.optim.Optimizer,
    num_epochs: int,
    devices: Sequence[torch.device] | None = None,
    *,
    curve: str | None = None,
) -> LiveCurve:
    """Train a net, draw its curves, and say what came of it in the book's two lines; GPUs share each batch.

    As in the book a batch's losses are summed before the step, and a line before the first one says what that
    means for the rates. `curve` is the SVG file to draw into. Without it the curves are drawn on a notebook's
    page, or else in a file of the workspace's cache. Returns the curves.
    """
    devices = list(devices or try_all_gpus())
    loss = _with_known_reduction(loss)
    _check(train_iter, trainer, num_epochs)
    net = nn.DataParallel(net, device_ids=devices) if len(devices) > 1 else net
    net = net.to(devices[0])
    live = LiveCurve(["train loss", "train acc", "test acc"], across="epoch", say=say)
    if curve or not live.shown:
        now = time.strftime("%Y%m%d-%H%M%S")
        live.path = Path(curve) if curve else cache("curves") / f"{now}-{os.getpid()}.svg"
    timer, metric, count = Timer(), Accumulator(3), len(train_iter)
    for epoch in range(num_epochs):
        metric.reset()
        for i, (images, targets) in enumerate(train_iter):
            if epoch == i == 0:
                _explain(loss, trainer, len(targets))
            timer.start()
            metric.add(*train_batch_ch13(net, images, targets, loss, trainer, devices), len(targets))
            timer.stop()
            if (i + 1) % max(1, count // _POINTS) == 0 or i + 1 == count:
                live.add(epoch + (i + 1) / count, (metric[0] / metric[2], metric[1] / metric[2], None))
        test_acc = evaluate_accuracy_gpu(net, test_iter)
        live.add(epoch + 1, (None, None, test_acc))
    say(f"loss {metric[0] / metric[2]:.3f}, train acc {metric[1] / metric[2]:.3f}, test acc {test_acc:.3f}")
    say(f"{metric[2] * num_epochs / timer.sum():.1f} examples/sec on {devices}")
    if live.path is not None:
        say(f"The curves are drawn in {live.path}")
    return live


def cache(name: str) -> Path:
    """Return a folder of the workspace's cache."""
    return regraft.open().path / "cache" / name


def say(line: str) -> None:
    """Print a line: the book's code does, and people read along in a notebook."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _with_known_reduction(loss: Loss) -> Loss:
    """Return the loss with a reduction that torch knows."""
    reduction = getattr(loss, "reduction", "none")
    if reduction in ("none", "mean", "sum"):
        return loss
    if str(reduction).lower() != "none":
        raise InvalidError(
            f"The loss has the reduction {reduction!r}.",
            hint="Give it reduction='none', a loss for each picture, as the book does.",
        )
    say(f"reduction={reduction!r} is taken for 'none', a loss for each picture; torch itself refuses it.")
    known: Any = copy.copy(loss)
    known.reduction = "none"
    return cast(Loss, known)


def _check(train_iter: Any, trainer: torch.optim.Optimizer, num_epochs: int) -> None:
    if not len(train_iter) or num_epochs < 1:
        raise InvalidError(
            f"{len(train_iter)} batches and {num_epochs} epochs are no training.",
            hint="Give one or more of each.",
        )
    if not any(parameter.requires_grad for group in trainer.param_groups for parameter in group["params"]):
        raise InvalidError(
            "Whatever the trainer holds is frozen, the new output layer too, so that nothing would learn.",
            hint="d2l.freeze(net) freezes all but the output layer.",
        )


def _explain(loss: Loss, trainer: torch.optim.Optimizer, count: int) -> None:
    """Say what summing means for the rates; for optimisers that adapt theirs it means nothing."""
    if not isinstance(trainer, torch.optim.SGD):
        return
    summed = getattr(loss, "reduction", "none") != "mean"
    rates = {group["lr"]: mean_equivalent(group["lr"], count, "sum") for group in trainer.param_groups}
    decays = {group["weight_decay"]: group["weight_decay"] / count for group in trainer.param_groups}
    if not summed:
        rates = {rate: rate / count for rate in rates}
        decays = {decay: decay * count for decay in decays}
    parts = [f"rate {other:.3g} in place of {rate:g}" for rate, other in rates.items()]
    parts += [f"weight decay {other:.3g} in place of {decay:g}" for decay, other in decays.items() if decay]
    now, then = ("summed", "mean") if summed else ("averaged", "sum, as in the book,")
    said = ", ".join(parts)
    say(f"The {count} losses of a batch are {now}. With their {then} the same steps need {said}.")
