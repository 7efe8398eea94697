"""A dataset as torch wants one: pictures and targets by position, in an order that workers do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
import torch
from PIL import Image
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data.dataloader import default_collate

from regraft.data import pictures
from regraft.data.draws import generator
from regraft.data.seeding import seeded
from regraft.errors import InvalidError
from regraft.records import Row
from regraft.store.packs import Packs
from regraft.store.tables import rows_of

Transform = Callable[[Image.Image], object]


class Turn(int):
    """A position in one epoch: an int that knows what the chance of its picture is drawn from."""

    #: Such as `0:3`, the seed and the epoch.
    draw: str

    def __new__(cls, position: int, draw: str) -> Turn:
        """Make the position know its draw."""
        turn = super().__new__(cls, position)
        turn.draw = draw
        return turn

    def __reduce__(self) -> tuple[type[Turn], tuple[int, str]]:
        return Turn, (int(self), self.draw)


class Shuffle(Sampler[int]):
    """The positions of a dataset in an order that follows from seed and epoch alone.

    Of `world` processes each gives its `rank` and gets every world-th position: together they have each one
    once. Some may then have one position more than others, and so one batch more; `even` leaves out the few
    at the end for which there is none in every rank. With `in_order` nothing is shuffled; the positions still
    carry the seed and the epoch, from which a TorchView draws what is random in its transform.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        even: bool = False,
        in_order: bool = False,
    ) -> None:
        if not 0 <= rank < world:
            raise InvalidError(
                f"There is no rank {rank} in a world of {world}.",
                hint="Ranks count from 0 to world - 1.",
                where="rank",
            )
        self._seed = seed
        self._epoch = epoch
        self._order = range(count - count % world if even else count)[rank::world]
        self._count = count
        self._in_order = in_order

    def set_epoch(self, epoch: int) -> None:
        """Give the order of another epoch from the next iteration on."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[int]:
        draw = f"{self._seed}:{self._epoch}"
        if self._in_order:
            return (Turn(place, draw) for place in self._order)
        permutation = generator(f"order:{draw}").permutation(self._count)
        return (Turn(permutation[place], draw) for place in self._order)


class TorchView(TorchDataset[tuple[object, int]]):
    """Pictures, transformed where there is a transform, and their targets; like torchvision's ImageFolder.

    In what `loader` gives, the transform finds the generators of torch, numpy and random (but not those that
    it makes itself) in a state that follows from the seed, the epoch and the picture: workers, ranks and
    batches change nothing, and the generators of the caller stay as they are. Looking at `view[3]` seeds
    nothing.
    """

    def __init__(
        self,
        packs: Packs,
        tables: Iterable[pa.Table],
        labels: Sequence[str],
        transform: Transform | None,
        *,
        forks: bool = True,
    ) -> None:
        self._packs = packs
        # one table in Arrow's memory: a forked worker shares it, and looking up a row copies nothing
        parts = [*tables] or [pa.table({"label": pa.array([], pa.string())})]
        self._table = pa.concat_tables(parts).combine_chunks()
        self._forks = forks
        self.transform = transform
        self.classes = list(labels)
        self.class_to_idx = {label: number for number, label in enumerate(labels)}

    @property
    def targets(self) -> list[int]:
        """The target of every picture: its label's place in `classes`."""
        return [self.class_to_idx[label] for label in self._table.column("label").to_pylist()]

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, position: int) -> tuple[object, int]:
        """Return the picture at a position, upright and RGB or as the transform leaves it, and its target.

        Raises IndexError; IntegrityError where the stored picture is damaged.
        """
        row = self.row(position)
        with pictures.quiet():
            image = pictures.decode(self._packs.read(row))
        target = self.class_to_idx[row.label]
        if self.transform is None:
            return image, target
        if not isinstance(position, Turn):
            return self.transform(image), target
        with seeded(f"{position.draw}:{row.digest}"):
            return self.transform(image), target

    def row(self, position: int) -> Row:
        """Return the row of the picture at a position; raises IndexError."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"picture {int(position)} of {len(self)}")
        return next(rows_of(self._table.slice(position % len(self), 1)))

    def loader(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        even: bool = False,
    ) -> DataLoader[tuple[object, int]]:
        """Return batches of one epoch, which follow from the seed and the epoch, whatever the workers.

        For the next epoch ask for another loader, or call `loader.sampler.set_epoch`. `rank`, `world` and
        `even` are those of Shuffle. Without a transform a batch is a list of pictures and a tensor of
        targets.
        """
        order = Shuffle(
            len(self), seed=seed, epoch=epoch, rank=rank, world=world, even=even, in_order=not shuffle
        )
        return DataLoader(
            self,
            batch_size,
            sampler=order,
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=_plain if self.transform is None else default_collate,
            # without one of its own, each iteration would take a number from the caller's generator
            generator=torch.Generator().manual_seed(seed),
            multiprocessing_context=None if self._forks or not workers else "spawn",
        )


def _plain(items: list[tuple[object, int]]) -> tuple[list[object], torch.Tensor]:
    return [image for image, _ in items], torch.tensor([target for _, target in items])
