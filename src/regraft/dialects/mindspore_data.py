"""Data sets as the MindSpore dialects hand them out: pictures of a Regraft dataset, made ready in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy.typing as npt
import torch
from PIL import Image

from regraft.data import loading
from regraft.data.batches import Batch, Batches
from regraft.dialects.mindspore_tensors import Tensor
from regraft.engine.losses import mixed_targets
from regraft.errors import InvalidError
from regraft.records import InputSpec, Refused
from regraft.reports import words
from regraft.workspace.dataset import Dataset

log = logging.getLogger(__name__)


def tell_left_out(dataset: Dataset, refused: Sequence[Refused], *, kept: int, place: str) -> None:
    """Warn of the files of a place that are not among the pictures, with the first reason."""
    if refused:
        log.warning(
            "%d of the %s in %s are left out, such as %r: %s. All of them: regraft dataset info %s",
            len(refused),
            words.number(kept + len(refused), "file"),
            place,
            refused[0].key,
            refused[0].reason,
            dataset.version,
        )


class Loader:
    """Batches of pictures and labels: each iteration is another epoch, in another order where it is shuffled.

    What happens to a picture follows from the seed, the epoch and the picture; threads change nothing.
    """

    def __init__(
        self,
        batches: Batches,
        spec: InputSpec,
        *,
        count: int,
        batch_size: int,
        classes: int,
        labels: Sequence[str],
        stored: Sequence[str],
        drop_remainder: bool = False,
        channels: int = 3,
    ) -> None:
        self._labels = tuple(labels)
        #: Numbers of classes by those that the pictures are stored with; a class may have no picture.
        self._numbers = torch.tensor([self._labels.index(label) for label in stored])
        self._batches = batches
        self._spec = spec
        self._batch_size = batch_size
        self._classes = classes
        self._channels = channels
        self._length = count // batch_size if drop_remainder else len(batches)
        self._begun = 0
        if not count:
            raise InvalidError(
                "There is no picture to make a batch of.",
                hint="See what create_dataset leaves out, and why: regraft dataset info NAME.",
            )
        if not self._length:
            raise InvalidError(
                f"The {count} pictures are less than one batch of {batch_size}, and the rest is dropped.",
                hint="Take a smaller batch_size, or drop_remainder=False.",
                where="batch_size",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""
        return self._labels

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return self._length

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        number = self._begun
        self._begun += 1
        return self.epoch(number)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch, counted from 0: always the same for the same number."""
        for batch in islice(self._batches.epoch(number), self._length):
            images = loading.normalise_batch(batch.images, self._spec)[:, : self._channels]
            yield Tensor(images), Tensor(self._targets(batch))

    def get_dataset_size(self) -> int:
        """Return how many batches an epoch has."""
        return self._length

    def get_batch_size(self) -> int:
        """Return how many pictures a batch has; the last one may have fewer."""
        return self._batch_size

    def pictures(self, images: torch.Tensor) -> list[Image.Image]:
        """Return prepared pictures as they look."""
        mean, std = (torch.tensor(part).view(3, 1, 1) for part in (self._spec.mean, self._spec.std))
        bytes_ = ((Tensor(images).float().cpu() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        return [Image.fromarray(one) for one in Tensor(bytes_.permute(0, 2, 3, 1).contiguous()).asnumpy()]

    def create_tuple_iterator(
        self, num_epochs: int = -1, output_numpy: bool = False
    ) -> Iterator[tuple[Tensor, Tensor] | tuple[npt.NDArray[Any], ...]]:
        """Yield the batches of the next epoch; `num_epochs` changes nothing."""
        for images, labels in self:
            yield (images.asnumpy(), labels.asnumpy()) if output_numpy else (images, labels)

    def create_dict_iterator(
        self, num_epochs: int = -1, output_numpy: bool = False
    ) -> Iterator[dict[str, object]]:
        """Yield the same as tables of `image` and `label`."""
        for images, labels in self.create_tuple_iterator(num_epochs, output_numpy):
            yield {"image": images, "label": labels}

    def _targets(self, batch: Batch) -> torch.Tensor:
        """Return numbers of classes; shares of each class where pictures are mixed."""
        targets = self._numbers[batch.targets]
        if batch.partners is None or batch.lam is None:
            return targets
        return mixed_targets(targets, self._numbers[batch.partners], batch.lam, self._classes)
