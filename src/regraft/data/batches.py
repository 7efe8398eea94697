"""Batches that a net learns from: the same whatever the workers, the processes, and where a run was resumed.

The order follows from the seed and the epoch. Of several processes each takes its share of every global
batch, so that together they do exactly what one would do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from regraft.data.draws import Identities, again, generator
from regraft.data.mixing import Mix, mixed
from regraft.data.parallel import ordered

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Pictures of one step: those of this process's share."""

    #: Where each picture stands in the whole list.
    positions: torch.Tensor
    #: Bytes [n, 3, size, size], not normalised.
    images: torch.Tensor
    targets: torch.Tensor
    #: The targets of the pictures that were mixed in, and which part of a picture is its own; None where
    #: nothing is mixed.
    partners: torch.Tensor | None
    lam: torch.Tensor | None
    #: How many pictures the step has in all processes together.
    total: int

    def __len__(self) -> int:
        return len(self.positions)

    def part(self, which: slice) -> Batch:
        """Return some of the pictures, for a device that cannot hold all of them."""
        return Batch(
            positions=self.positions[which],
            images=self.images[which],
            targets=self.targets[which],
            partners=None if self.partners is None else self.partners[which],
            lam=None if self.lam is None else self.lam[which],
            total=self.total,
        )


P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)


class Making(Protocol[P_contra]):
    """What makes a net's input of pictures, such as a pipeline of augmentations."""

    @property
    def size(self) -> int:
        """Side of the squares that it makes, where it makes some."""

    @property
    def alone(self) -> bool:
        """Whether no other thread may run beside it."""

    def __call__(
        self, pictures: P_contra, places: Places, identities: Identities, *, seed: int, epoch: int
    ) -> torch.Tensor:
        """Return what the net gets of the pictures at some places: [n, ...]."""


class Batches:
    """The batches of every epoch.

    With `weights` pictures are drawn by chance in proportion to them, and may come several times in an
    epoch; otherwise each comes once. `mixup` and `cutmix` are parameters of beta distributions; with both,
    chance takes one of them for each batch. So many `workers` (threads) prepare batches ahead; none prepares
    them in between.
    """

    def __init__(
        self,
        pictures: P,
        pipeline: Making[P],
        targets: Sequence[int],
        identities: Identities,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        weights: Sequence[float] | None = None,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> None:
        self._make = partial(pipeline, pictures)
        self._size = pipeline.size
        self._targets = torch.tensor(list(targets), dtype=torch.int64)
        self._identities = identities
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._weights = None if weights is None else np.asarray(weights) / np.sum(weights)
        self._rank = rank
        self._world = world
        # a step that seeds the process's generators would disturb a net that learns beside it
        self._workers = 0 if pipeline.alone else workers
        self._mix = Mix(mixup=mixup, cutmix=cutmix)

    def __len__(self) -> int:
        """Return how many steps an epoch has; the last one may be small."""
        return math.ceil(len(self._targets) / self._batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from the one numbered `start` on."""
        order, own = self._order(epoch)
        prepare = partial(self._batch, epoch, order, own)
        numbers = range(start, len(self))
        if self._workers:
            yield from ordered(
                prepare, numbers, ahead=2 * self._workers, threads=self._workers, prepare=_one_thread
            )
        else:
            yield from map(prepare, numbers)

    def _order(self, epoch: int) -> tuple[Places, Identities]:
        """Return the positions in the order of an epoch, and what chance knows each of them by."""
        count = len(self._targets)
        if self._weights is not None:
            chosen = generator(f"sample:{self._seed}:{epoch}").choice(count, count, p=self._weights)
        elif self._shuffle:
            chosen = generator(f"order:{self._seed}:{epoch}").permutation(count)
        else:
            chosen = np.arange(count)
        order = chosen.astype(np.int64)
        return order, again(self._identities[order], _turns(order))

    def _batch(self, epoch: int, order: Places, own: Identities, number: int) -> Batch:
        which = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, len(order)))
        total = len(which)
        first, end = (total * rank // self._world for rank in (self._rank, self._rank + 1))
        share = which[first:end]
        plan = self._mix.plan(self._seed, epoch, number, self._size)
        partners = which[::-1][first:end]
        # the partners of a share may be in that of another process: they are prepared here as well
        wanted, places = np.unique(share if plan is None else np.append(share, partners), return_inverse=True)
        images = self._make(order[wanted], own[wanted], seed=self._seed, epoch=epoch)
        images = images[torch.from_numpy(places).to(images.device)]
        positions = torch.from_numpy(order[share])
        targets = self._targets[positions]
        if plan is None:
            return Batch(
                positions=positions, images=images, targets=targets, partners=None, lam=None, total=total
            )
        return Batch(
            positions=positions,
            images=mixed(images[: len(share)], images[len(share) :], plan),
            targets=targets,
            partners=self._targets[torch.from_numpy(order[partners])],
            lam=torch.full((len(share),), plan.lam),
            total=total,
        )


def _turns(order: Places) -> npt.NDArray[np.uint64]:
    """Return, for each place, how often the same position stands before it."""
    turns = np.zeros(len(order), dtype=np.uint64)
    by_position = np.argsort(order, kind="stable")
    ordered_positions = order[by_position]
    starts = np.flatnonzero(np.diff(ordered_positions, prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    turns[by_position] = np.arange(len(order)) - np.repeat(starts, lengths)
    return turns


def _one_thread() -> None:
    torch.set_num_threads(1)  # of this thread alone: the net needs the processor more
