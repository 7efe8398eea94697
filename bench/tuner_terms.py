"""What every tuner is given, and the pretrained net that all of them begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import timm
import torch

#: Pictures in a batch, and about how many are shown in all: five epochs of 600.
BATCH, SHOWN = 32, 3_000


@dataclass(frozen=True, kw_only=True)
class Task:
    """A fine-tuning: pictures in class folders, weights, and the pictures to name at the end."""

    #: With `train` in it, which holds a folder for each class.
    folder: Path
    #: Pictures that nothing is learned from or chosen by.
    asked: tuple[Path, ...]
    #: Weights of timm's `architecture`, and how it wants its pictures.
    weights: Path
    architecture: str
    size: int
    crop: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    #: An empty folder to write into.
    home: Path

    @property
    def classes(self) -> list[str]:
        """The names of the class folders, in the order in which every tool counts them."""
        return sorted(path.name for path in (self.folder / "train").iterdir())

    @property
    def epochs(self) -> int:
        """How many epochs all of the net is tuned for."""
        return max(2, SHOWN // sum(1 for _ in (self.folder / "train").rglob("*.*")))


def load(task: Task, net: torch.nn.Module) -> None:
    """Load the weights into a net of timm's; they have no classifier."""
    found = net.load_state_dict(torch.load(task.weights, weights_only=True), strict=False)
    left = [name for name in found.missing_keys if not name.startswith("classifier.")]
    if left or found.unexpected_keys:
        raise ValueError(f"weights that do not fit: {left[:3]}, {found.unexpected_keys[:3]}")


def pretrained(task: Task) -> torch.nn.Module:
    """Return the pretrained net with a fresh classifier for the classes."""
    net = timm.create_model(task.architecture, num_classes=len(task.classes))
    load(task, net)
    return net
