"""A training, put together: the net, what of it learns, its batches, and how far it is.

It is built from the run's record alone, in the same way in the first process, in one that resumes, and in
each of several that train together. What changes on the way is in the run's checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import nn

from regraft import suggest
from regraft.data import loading
from regraft.data.augment import pipeline
from regraft.data.batches import Batches, Making, P
from regraft.data.draws import identities
from regraft.data.pixels import PixelKey, Pixels, open_pixels
from regraft.engine import device, distributed, losses, optim, schedules
from regraft.engine.averages import Ema
from regraft.engine.groups import parameter_groups
from regraft.engine.loop import Plan, evaluate
from regraft.engine.state import State
from regraft.errors import InvalidRecipe
from regraft.hub import adapters, heads, nets
from regraft.hub.stages import layers
from regraft.jobs import machine, modes
from regraft.jobs.learners import Places, learners
from regraft.jobs.trunk import load_net
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import InputSpec, ModelVersion, Row
from regraft.store.journal import Run
from regraft.store.opening import Store

#: Pictures of a batch that is only looked at.
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be learned: the same for every process that works on it."""

    store: Store
    run: Run
    base: ModelVersion
    labels: tuple[str, ...]
    rows: Sequence[Row]
    #: Without open questions.
    recipe: Recipe
    #: The split that the result is measured on.
    measured: str
    progress: Progress

    @cached_property
    def targets(self) -> Places:
        """The target of every row."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[row.label] for row in self.rows], dtype=np.int64)

    @property
    def spec(self) -> InputSpec:
        """How pictures are prepared for the tuned net."""
        return suggest.seen(self.recipe.data, self.base.input)

    def pixels(self, places: Places, *, whole: bool) -> Pixels:
        """Return the decoded pictures of some rows: whole, or as evaluation sees them."""
        libraries = machine.libraries("pillow")
        key = (
            PixelKey.whole(self.recipe.data.cache_side, libraries)
            if whole
            else PixelKey.prepared(self.spec, libraries)
        )
        rows = [self.rows[place] for place in places]
        return open_pixels(self.store.cache, key, rows, self.store.packs.read, self.progress)


class Session:
    """The parts of one training."""

    def __init__(self, task: Task) -> None:
        self.task = task
        train = task.recipe.train
        self.learners = learners(
            task.rows,
            task.targets,
            measured=task.measured,
            holdout=task.recipe.eval.holdout,
            seed=train.seed,
        )
        self.counts = np.bincount(task.targets[self.learners.train], minlength=len(task.labels))
        self.balance = losses.resolve_balance(train.balance, self.counts.tolist())
        self.device = device.Device(train.precision)  # type: ignore[arg-type]  # it is resolved
        self.net = build_net(task)
        added = frozenset[str]()
        if train.strategy == "adapters":
            added = adapters.add(self.net, task.recipe.model.adapter, seed=train.seed)
        if train.sync_batchnorm and distributed.active():
            self._share_batches()
        self.modes = modes.build(self.net, task.recipe, added)
        self.device.settle(self.net)
        self.prepare = partial(loading.normalise_batch, spec=task.spec)
        data = task.recipe.data
        self.steps = pipeline.build(data.augment, size=data.size, resize="squash")
        # of a picture that no step cuts a part out of, the net sees what evaluation sees
        self.pixels = task.pixels(self.learners.train, whole=pipeline.chooses(data.augment))
        self.batches = self.batch_up(self.pixels, self.steps)
        self.state = self._state()
        self.plan = self._plan()

    def _share_batches(self) -> None:
        """Let batch-norm layers see the pictures of all processes."""
        rest = len(self.learners.train) % self.task.recipe.train.batch_size
        if 0 < rest < distributed.world():
            raise InvalidRecipe(
                f"The last batch of {rest} is too small for {distributed.world()} devices to share its "
                "batch-norm statistics.",
                hint="Take another train.batch_size, or leave train.sync_batchnorm out.",
                where="train.batch_size",
            )
        distributed.share_batches(self.net)

    def batch_up(self, pictures: P, making: Making[P]) -> Batches:
        """Return the batches of the pictures that are learned from, in some form."""
        task, train = self.task, self.task.recipe.train
        places = self.learners.train
        targets = task.targets[places]
        return Batches(
            pictures,
            making,
            targets.tolist(),
            identities([task.rows[place].digest for place in places]),
            batch_size=train.batch_size,
            seed=train.seed,
            weights=(1.0 / self.counts)[targets].tolist() if self.balance == "sampler" else None,
            rank=distributed.rank(),
            world=distributed.world(),
            workers=task.recipe.data.workers,
            mixup=train.mixup,
            cutmix=train.cutmix,
        )

    def _state(self) -> State:
        recipe = self.task.recipe
        last = self.modes(recipe.train.epochs - 1)
        last.apply(self.net)
        learning = {name: p for name, p in self.net.named_parameters() if p.requires_grad}
        groups = parameter_groups(learning, layers=layers(self.net), optim=recipe.optim)
        optimizer = optim.build(
            recipe.optim.optimizer, groups, lr=float(recipe.optim.lr), weight_decay=recipe.optim.weight_decay
        )
        constant = frozenset(name for name, p in self.net.named_parameters() if not p.requires_grad)
        changing = {name: value for name, value in self.net.state_dict().items() if name not in constant}
        return State(
            self.net,
            optimizer,
            average=Ema(changing, recipe.train.ema) if recipe.train.ema else None,
            scaler=self.device.scaler(),
            constant=constant,
        )

    def _plan(self) -> Plan:
        task, recipe, train = self.task, self.task.recipe, self.task.recipe.train
        weights = losses.class_weights(self.counts.tolist()) if self.balance == "weights" else None
        pull = None
        if train.l2sp:
            start = {f"trunk.{name}": value.clone() for name, value in self.net.trunk.state_dict().items()}
            pull = losses.pull(dict(self.net.named_parameters()), start, train.l2sp)
        return Plan(
            epochs=train.epochs,
            seed=train.seed,
            schedule=schedules.build(recipe.optim, steps_per_epoch=len(self.batches), epochs=train.epochs),
            lr=float(recipe.optim.lr),
            loss=losses.build(
                train.loss,
                classes=len(task.labels),
                label_smoothing=train.label_smoothing,
                class_weights=weights,
            ),
            classes=len(task.labels),
            mean=train.reduction == "mean",
            clip=recipe.optim.clip,
            mode=self.modes,
            validate=self._validation() if len(self.learners.chosen_by) else None,
            patience=train.patience,
            min_delta=train.min_delta,
            prepare=self.prepare,
            pull=pull,
        )

    def _validation(self) -> Callable[[nn.Module], tuple[float, float]]:
        places = np.array_split(self.learners.chosen_by, distributed.world())[distributed.rank()]
        pixels = self.task.pixels(places, whole=False)
        return self.validation(
            places, partial(stack, pixels), lambda pictures: self.net(self.prepare(pictures))
        )

    def validation(
        self,
        places: Places,
        take: Callable[[Sequence[int]], torch.Tensor],
        forward: Callable[[torch.Tensor], torch.Tensor],
    ) -> Callable[[nn.Module], tuple[float, float]]:
        """Return what measures mean loss and accuracy on the pictures that are chosen by.

        `take` gives some of them in the form that `forward` makes logits of.
        """
        targets = torch.from_numpy(self.task.targets[places])
        numbers = range(len(places))

        def measure(net: nn.Module) -> tuple[float, float]:
            size = min(BATCH, self.state.at.micro_batch or BATCH)  # what memory has room for
            parts = (numbers[start : start + size] for start in numbers[::size])
            shown = ((take(part), targets[part.start : part.stop]) for part in parts)
            return evaluate(net, shown, self.device, forward)

        return measure

    def try_step(self, images: torch.Tensor) -> None:
        """Go forward and backward once, to see how long it takes; nothing changes."""
        with self.untouched():
            with self.device.autocast():
                logits = self.net(self.prepare(self.device.take(images)))
            logits.float().square().mean().backward()
            self.net.zero_grad(set_to_none=True)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Put the running statistics back afterwards."""
        learned = dict(self.net.named_parameters())
        was = {name: value.clone() for name, value in self.net.state_dict().items() if name not in learned}
        try:
            yield
        finally:
            self.state.put_weights(was)

    def old_head(self) -> nn.Module:
        """Return the classifier that the base model has."""
        return load_net(self.task.store, self.task.base).head


def build_net(task: Task) -> nets.Net:
    """Return the net that training begins from: pretrained, or not where that is the strategy; a new head."""
    model, train = task.recipe.model, task.recipe.train
    torch.manual_seed(train.seed)  # what an architecture begins with by chance
    if train.strategy == "scratch":
        net = nets.build(task.base.architecture, drop_path=model.drop_path)
    else:
        net = load_net(task.store, task.base, drop_path=model.drop_path)
    head = heads.build(
        model.head,
        net.num_features,
        len(task.labels),
        init=model.head_init,
        dropout=model.dropout,
        seed=train.seed,
    )
    return nets.replace_head(net, head)


def stack(pixels: Pixels, places: Sequence[int]) -> torch.Tensor:
    """Return pictures of one size as bytes [n, 3, height, width]."""
    pictures = np.stack([pixels.picture(place) for place in places])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)
