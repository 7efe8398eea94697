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
    mean = torch.tensor(spec.mean).view(3, 1, 1)
    std = torch.tensor(spec.std).view(3, 1, 1)
    values = pictures.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return values.div_(255).sub_(mean).div_(std)
