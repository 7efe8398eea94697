"""Batches for a net, out of prepared pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from regraft.data.transforms import Prepared
from regraft.records import InputSpec


def batches(pictures: Iterable[Prepared], spec: InputSpec, *, batch_size: int) -> Iterator[torch.Tensor]:
    """Yield normalised pictures [n, 3, size, size] in order, `batch_size` at a time."""
    remaining = iter(pictures)
    while part := list(islice(remaining, batch_size)):
        yield normalise(torch.from_numpy(np.stack(part)), spec)


def normalise(pictures: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Turn bytes [n, height, width, 3] into floats [n, 3, height, width] of the spec's mean and std."""
    values = pictures.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return _scaled(values, spec)


def normalise_batch(images: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Turn bytes [n, 3, height, width] into floats of the spec's mean and std, on the device they are on."""
    return _scaled(images.to(torch.float32), spec)


def _scaled(values: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    mean, std = (
        torch.tensor(numbers, device=values.device).view(3, 1, 1) for numbers in (spec.mean, spec.std)
    )
    return values.div_(255).sub_(mean).div_(std)
