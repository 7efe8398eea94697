"""`create_dataset` of MindSpore's models: a folder of class folders, stored, and shown in batches."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from regraft.data.sources.arrange import SPLITS, junk, text
from regraft.dialects import mindspore_tensors
from regraft.dialects.mindspore_data import Loader, tell_left_out
from regraft.dialects.mindspore_rates import PlannedRates
from regraft.errors import InvalidError, MismatchError
from regraft.records import InputSpec
from regraft.refs import make_name
from regraft.workspace.dataset import Dataset
from regraft.workspace.main import Workspace
from regraft.workspace.main import open as open_workspace

log = logging.getLogger(__name__)

#: What `create_dataset` of MindSpore's models does to train pictures, after a random part was cut out.
_AUGMENT = ("random-resized-crop", "flip", "color-jitter")
#: What it shows of others: all of them squashed to this side, then the middle.
_WHOLE = InputSpec(
    size=256,
    crop=1.0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    interpolation="bilinear",
    resize="squash",
)
_SIDE = 224


class Tensor(mindspore_tensors.Tensor):
    """A tensor that answers as one of MindSpore, and knows of what data set it is a batch."""

    #: Of a batch: how many of them `create_dataset` makes of an epoch.
    steps_per_epoch: int | None = None

    def __new__(cls, data: object, dtype: torch.dtype | None = None) -> Any:
        """Take numbers, an array or another tensor; rates that are still planned stay what they are."""
        if isinstance(data, PlannedRates):
            return data
        made = cast(Tensor, super().__new__(cls, data, dtype))
        if isinstance(data, Tensor):
            made.steps_per_epoch = data.steps_per_epoch
        return made


class Pictures(Loader):
    """Batches of a folder of class folders: pictures [n, 3, 224, 224], prepared, and numbers of classes."""

    def __init__(
        self,
        dataset: Dataset,
        classes: Sequence[str],
        *,
        learn: bool,
        batch_size: int,
        repeat_num: int,
        seed: int,
    ) -> None:
        made = (
            dataset.batches(_AUGMENT, size=_SIDE, batch_size=batch_size, seed=seed)
            if learn
            else dataset.batches((), size=_WHOLE.size, spec=_WHOLE, batch_size=batch_size, shuffle=False)
        )
        super().__init__(
            made,
            _WHOLE,
            count=len(dataset),
            batch_size=batch_size,
            classes=len(classes),
            labels=classes,
            stored=dataset.labels,
            drop_remainder=learn,
        )
        #: The version that the pictures were stored as.
        self.dataset = dataset
        self._repeat = repeat_num

    def __len__(self) -> int:
        return super().__len__() * self._repeat

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch, of `repeat_num` passes: always the same for the same number."""
        edge = (_WHOLE.size - _SIDE) // 2
        for turn in range(number * self._repeat, (number + 1) * self._repeat):
            for images, targets in super().epoch(turn):
                seen = images if images.shape[-1] == _SIDE else images[..., edge:-edge, edge:-edge]
                yield self._mark(seen), self._mark(targets)

    def get_dataset_size(self) -> int:
        """Return how many batches an epoch has."""
        return len(self)

    def _mark(self, values: torch.Tensor) -> Tensor:
        """Let a batch know how many there are, for schedules that were not told."""
        marked: Tensor = Tensor(values)
        marked.steps_per_epoch = len(self)
        return marked


def create_dataset(
    dataset_path: str | Path,
    do_train: bool,
    batch_size: int = 32,
    platform: str = "Ascend",  # noqa: ARG001
    repeat_num: int = 1,
    *,
    seed: int = 0,
    workspace: Workspace | Path | str | None = None,
) -> Pictures:
    """Store a folder of class folders in the workspace, and return batches of it.

    With `do_train` a random part of each picture is shown, perhaps mirrored, in changed colours, in random
    order, and only full batches come; otherwise the middle of every picture comes, in order. A folder that
    is called like a split that is held out is never changed by chance, whatever `do_train` says. What is left
    out, such as a picture that is there twice, is a warning. `platform` means nothing. Raises InvalidError
    where there is no full batch to learn from, and MismatchError where a split beside the folder has other
    classes.
    """
    folder = Path(dataset_path)
    split = SPLITS.get(folder.name.casefold(), "")
    names = _check_classes(folder, split)
    learn = do_train and split in ("", "train")
    if do_train and not learn:
        log.warning(
            "%s is held out: its pictures are not changed by chance, and no rest of a batch is dropped, "
            "although do_train is True. Write do_train=False.",
            folder,
        )
    place = workspace if isinstance(workspace, Workspace) else open_workspace(workspace)
    dataset = store(place, folder)
    tell_left_out(dataset, dataset.refused, kept=len(dataset), place=repr(str(folder)))
    if learn and len(dataset) < batch_size:
        raise InvalidError(
            f"{str(folder)!r} has {len(dataset)} pictures, which are no batch of {batch_size}.",
            hint=f"Take a batch_size of {len(dataset)} or less.",
            where="batch_size",
        )
    return Pictures(
        dataset,
        number(names, dataset),
        learn=learn,
        batch_size=batch_size,
        repeat_num=repeat_num,
        seed=seed,
    )


def store(place: Workspace, folder: Path) -> Dataset:
    """Store what a folder holds now as a version of a dataset, which is called after it and the one above."""
    path = Path(os.path.abspath(folder))  # noqa: PTH100 (a link keeps the name that it goes by)
    return place.datasets.get(str(place.datasets.add(make_name("-".join(path.parts[-2:])), folder).version))


def number(names: Collection[str], dataset: Dataset) -> tuple[str, ...]:
    """Return classes in the order of their numbers: that of class folders as text, so that 10 is before 2.

    A folder whose pictures are all left out keeps its number. Without class folders it is what is stored.
    """
    return tuple(sorted(names if {*names}.issuperset(dataset.labels) else dataset.labels))


def _check_classes(folder: Path, split: str) -> set[str]:
    """Return the names of class folders; refuse a folder of splits, and splits with different classes."""
    own = class_folders(folder)
    if below := sorted(name for name in own if name.casefold() in SPLITS):
        raise InvalidError(
            f"{str(folder)!r} holds splits: {', '.join(below)}.",
            hint=f"Name one of them: {str(folder / below[0])!r}.",
            where="dataset_path",
        )
    beside = sorted(name for name in class_folders(folder.absolute().parent) if name.casefold() in SPLITS)
    for name in beside if split else ():
        if own and (other := class_folders(folder.absolute().parent / name)) != own:
            raise MismatchError(
                f"{folder.name!r} and {name!r} have different classes: {', '.join(sorted(own ^ other))}.",
                hint="Classes are numbered by their names: make the same folders in both; one may be empty.",
            )
    return own


def class_folders(path: Path) -> set[str]:
    """Return the names of the folders in a folder, without those that systems leave behind."""
    children = path.iterdir() if path.is_dir() else ()
    return {text(child.name) for child in children if child.is_dir() and not junk(child.name)}
