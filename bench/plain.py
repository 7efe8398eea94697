"""The plain script that Regraft is measured against: a frozen trunk, run anew in every epoch.

It is what a tutorial would write: float32, batches of 32, pictures decoded when they are needed (large JPEG
files at a fraction of their size, which most tutorials forget), Adam on a linear head. It shares nothing
with Regraft but the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

BATCH = 32


@dataclass
class Plain:
    """A frozen net, which gives features, with a head that learns."""

    net: nn.Module
    head: nn.Linear

    def train(self, files: Sequence[Path], targets: torch.Tensor, *, epochs: int) -> None:
        """Train the head; the trunk sees every picture in every epoch."""
        optimizer = torch.optim.Adam(self.head.parameters(), lr=1e-3)
        for epoch in range(epochs):
            order = torch.randperm(len(files), generator=torch.Generator().manual_seed(epoch))
            for rows in order.split(BATCH):
                loss = nn.functional.cross_entropy(
                    self.head(self.features([files[i] for i in rows])), targets[rows]
                )
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()

    def features(self, files: Sequence[Path]) -> torch.Tensor:
        """Decode one batch of pictures and run the trunk."""
        pixels = torch.from_numpy(np.stack([decode(file) for file in files]))
        batch = (pixels.permute(0, 3, 1, 2).float().contiguous() / 255 - 0.5) / 0.5
        with torch.no_grad():
            return self.net(batch)

    def accuracy(self, files: Sequence[Path], targets: torch.Tensor) -> float:
        """Return the fraction of pictures named rightly."""
        right = 0
        for start in range(0, len(files), BATCH):
            logits = self.head(self.features(files[start : start + BATCH]))
            right += int((logits.argmax(1) == targets[start : start + BATCH]).sum())
        return right / len(files)


def decode(file: Path) -> np.ndarray:
    """Resize to a short side of 256, cut out 224 x 224 from the middle."""
    image = Image.open(file)
    image.draft("RGB", tuple(max(1, round(side * 256 / min(image.size))) for side in image.size))
    image = image.convert("RGB")
    width, height = (256 * side // min(image.size) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (round((side - 224) / 2) for side in (width, height))
    return np.asarray(image.crop((left, top, left + 224, top + 224)))
