"""Loaders for trainers that bring none for pictures: torchvision's folder and transforms."""

from __future__ import annotations

from pathlib import Path

from torchvision import datasets, transforms

from trainer_terms import SIZE

_NORMALIZE = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_STEPS = {
    "train": [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip()],
    "val": [transforms.Resize(256), transforms.CenterCrop(SIZE)],
}


def folder_of(folder: Path, split: str) -> datasets.ImageFolder:
    """Return the pictures of a split, which is cut by chance where it is learned from."""
    return datasets.ImageFolder(
        folder / split, transforms.Compose([*_STEPS[split], transforms.ToTensor(), _NORMALIZE])
    )
