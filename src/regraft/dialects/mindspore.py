"""What the MindSpore dialects share: `Model`, and the names that it is used with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from regraft.data.batches import Batch
from regraft.dialects.mindspore_monitors import (
    Callback,
    Facts,
    LossMonitor,
    RunContext,
    TimeMonitor,
)
from regraft.dialects.mindspore_optim import Optimizer
from regraft.dialects.mindspore_rates import PlannedRates
from regraft.dialects.mindspore_tensors import Cell, Parameter, Tensor, parameters
from regraft.engine.device import Device
from regraft.engine.loop import Plan, train
from regraft.engine.schedules import Schedule, Span
from regraft.engine.state import State
from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.hub.freezing import Frozen

__all__ = [
    "Callback",
    "Cell",
    "LossMonitor",
    "Model",
    "Optimizer",
    "Parameter",
    "RunContext",
    "Tensor",
    "TimeMonitor",
    "parameters",
]

log = logging.getLogger(__name__)

#: Where a network keeps how many epochs it has learned for.
_LEARNED = "learned_epochs"

Logits = npt.NDArray[np.float32]
Targets = npt.NDArray[np.int64]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Metric(Protocol):
    """A metric of one's own."""

    def clear(self) -> None:
        """Begin anew."""

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Look at a batch."""

    def eval(self) -> Any:
        """Return the result."""


class Dataset(Protocol):
    """Batches of pictures and targets, which know how many they are."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sequence[torch.Tensor]]: ...


class Model:
    """A network with what it takes to train and to measure it.

    What is frozen keeps the statistics of its batch-norms, too; `freeze_stats=False` lets them move, as they
    do in MindSpore.
    """

    def __init__(
        self,
        network: nn.Module,
        loss_fn: Loss | None = None,
        optimizer: Optimizer | None = None,
        metrics: Iterable[str] | Mapping[str, str | Metric] | None = None,
        eval_network: nn.Module | None = None,
        *,
        freeze_stats: bool = True,
    ) -> None:
        self._device = Device("float32")
        self._network = self._device.settle(network)
        self._eval_network = self._network if eval_network is None else self._device.settle(eval_network)
        self._loss = loss_fn
        self._optimizer = optimizer
        self._metrics = _metrics(metrics or ())
        self._freeze_stats = freeze_stats
        self._state = State(network, optimizer.wrapped) if optimizer else None

    def train(
        self,
        epoch: int,
        train_dataset: Dataset,
        callbacks: Callback | Sequence[Callback] | None = None,
        dataset_sink_mode: bool = False,
    ) -> None:
        """Let the network learn for so many epochs; called again, it goes on where it stopped.

        `dataset_sink_mode` changes nothing: it is how an Ascend is fed. Raises RunDiverged where the loss is
        not a number any more.
        """
        if self._loss is None or self._optimizer is None or self._state is None:
            raise InvalidError(
                "The model has no loss or no optimizer, and cannot learn.",
                hint="Give both: Model(network, loss_fn=..., optimizer=...).",
            )
        if not len(train_dataset):
            raise InvalidError("There is no batch to learn from.", hint="Take a smaller batch_size.")
        if isinstance(self._optimizer.rate, PlannedRates):
            self._optimizer.rate.settle(len(train_dataset))
        at = self._state.at
        # whatever ended an earlier training; an epoch that was broken off begins anew
        at.planned, at.ended, at.batch, at.loss_sum, at.seen = 0, "", 0, 0.0, 0
        learned = getattr(self._network, _LEARNED, 0)
        if learned and not at.epoch:
            log.warning(
                "The network has learned for %d epochs already, and goes on from there. Build it anew to "
                "begin from the weights that it began with.",
                learned,
            )
        first = at.epoch
        context = RunContext(
            Facts(
                network=self._network,
                optimizer=self._optimizer,
                epoch_num=epoch,
                batch_num=len(train_dataset),
            )
        )
        watcher = _Watcher(context, [callbacks] if isinstance(callbacks, Callback) else callbacks or ())
        plan = self._plan(first + epoch, self._loss, self._optimizer.rate, watcher)
        try:
            train(self._state, plan, _Epochs(train_dataset), self._device, watcher)
        finally:
            setattr(self._network, _LEARNED, learned + at.epoch - first)
        watcher.close()

    def eval(
        self, valid_dataset: Dataset, callbacks: object = None, dataset_sink_mode: bool = False
    ) -> dict[str, Any]:
        """Measure the network on a data set; the result has a number for each metric, in order of names.

        A picture that was mixed of two counts as the class that has the greater share of it.
        """
        own = {name: metric for name, metric in self._metrics.items() if not isinstance(metric, str)}
        for metric in own.values():
            metric.clear()
        found = []
        for images, targets in valid_dataset:
            logits = self.predict(torch.as_tensor(images))
            for metric in own.values():
                metric.update(logits, Tensor(targets))
            found.append((logits.asnumpy(), Tensor(targets).asnumpy()))
        if not found:
            raise InvalidError("There is no picture to measure on.", hint="Give a data set with some.")
        logits_, targets_ = (np.concatenate(part) for part in zip(*found, strict=True))
        return {
            name: own[name].eval() if name in own else self._measure(str(metric), logits_, targets_)
            for name, metric in self._metrics.items()
        }

    def predict(self, *predict_data: torch.Tensor) -> Tensor:
        """Return what the network says of pictures that were prepared, in evaluation mode."""
        self._eval_network.eval()
        images = [torch.as_tensor(data).as_subclass(torch.Tensor) for data in predict_data]
        return Tensor(
            self._device.compute(
                lambda net, batch: net(batch, *map(self._device.take, images[1:])),
                self._eval_network,
                images[0],
            )
        )

    def _plan(self, epochs: int, loss_fn: Loss, rate: Callable[[int], float], watcher: _Watcher) -> Plan:
        frozen = Frozen(
            names=frozenset(name for name, p in self._network.named_parameters() if not p.requires_grad),
            stages=0,
            stats=self._freeze_stats,
        )

        def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            value = loss_fn(logits, targets)
            watcher.last = value.detach().mean()
            return value if value.ndim else value.expand(len(targets))  # a mean is each picture's share

        span = Span(steps_per_epoch=1, total=1, warmup=0.0, lr=None)
        return Plan(
            epochs=epochs,
            seed=0,
            schedule=Schedule(
                span=span, shape=lambda step, _: rate(step), warm=lambda _: 1.0, by_epoch=False
            ),
            lr=1.0,
            loss=loss,
            classes=0,
            mean=True,
            clip=0.0,
            mode=lambda _: frozen,
            validate=None,
            patience=0,
            min_delta=0.0,
            prepare=lambda images: images,
        )

    def _measure(self, name: str, logits: Logits, targets: Targets) -> float:
        if name == "loss":
            if self._loss is None:
                raise InvalidError("The model has no loss to measure.", hint="Give it one as loss_fn.")
            return float(self._loss(torch.from_numpy(logits), torch.from_numpy(targets)).mean())
        wanted = min(_TOP[name], logits.shape[1])  # there may be fewer classes than five
        if targets.ndim == 2 and targets.shape[1] > 1:  # shares of classes, of pictures that were mixed
            targets = targets.argmax(axis=1)
        best = np.argsort(-logits, axis=1, kind="stable")[:, :wanted]
        return float((best == targets.reshape(-1, 1)).any(axis=1).mean())


#: Of how many names the right one has to be among.
_TOP = {"accuracy": 1, "acc": 1, "top_1_accuracy": 1, "top_5_accuracy": 5}


class _Watcher:
    """Tells the callbacks what the loop tells, in MindSpore's words."""

    def __init__(self, context: RunContext, callbacks: Sequence[Callback]) -> None:
        #: The loss of the last batch, where it was computed: looking at it would make a GPU wait.
        self.last = torch.zeros(())
        self._context = context
        self._facts = context.original_args()
        self._callbacks = callbacks
        for callback in callbacks:
            callback.begin(context)
        self._begin_epoch()

    def step(self, state: State, *, rate: float, loss: float | None, pictures: int) -> None:
        self._facts.cur_step_num += 1
        self._facts.net_outputs = Tensor(self.last if loss is None else torch.tensor(loss))
        for callback in self._callbacks:
            callback.step_end(self._context)
        if self._context.stopped:
            state.at.ended = "a callback asked for it"

    def epoch(self, state: State, *, better: bool) -> None:
        for callback in self._callbacks:
            callback.epoch_end(self._context)
        if self._context.stopped:
            state.at.ended = "a callback asked for it"
        elif self._facts.cur_epoch_num < self._facts.epoch_num:
            self._facts.cur_epoch_num += 1
            self._begin_epoch()

    def close(self) -> None:
        for callback in self._callbacks:
            callback.end(self._context)

    def _begin_epoch(self) -> None:
        for callback in self._callbacks:
            callback.epoch_begin(self._context)


class _Epochs:
    """A data set as the loop asks for it: epoch by epoch."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        by_number = getattr(self._dataset, "epoch", None)  # ours know which epoch they are asked for
        count = 0
        for images, targets in iter(self._dataset) if by_number is None else by_number(epoch):
            positions = torch.arange(count, count + len(targets))
            count += len(targets)
            yield Batch(
                positions=positions,
                images=torch.as_tensor(images).as_subclass(torch.Tensor),
                targets=torch.as_tensor(targets).as_subclass(torch.Tensor),
                partners=None,
                lam=None,
                total=len(targets),
            )


def _metrics(asked: Iterable[str] | Mapping[str, str | Metric]) -> dict[str, str | Metric]:
    """Return metrics by their names; raises NotFoundError for one that is not known."""
    table = asked if isinstance(asked, Mapping) else {name: name for name in sorted(asked)}
    for metric in table.values():
        if isinstance(metric, str) and metric not in (*_TOP, "loss"):
            raise NotFoundError(
                f"There is no metric {metric!r}.",
                hint=did_you_mean(metric, _TOP, otherwise=f"There is {', '.join(_TOP)}, loss."),
            )
    return dict(table)
