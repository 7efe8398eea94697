"""fastai: its loaders, its learner, and its one-cycle schedule, all of the net from the first step on."""

from __future__ import annotations

from pathlib import Path

from fastai.vision.all import ImageDataLoaders, RandomResizedCrop, accuracy, resnet18, vision_learner

from trainer_terms import BATCH, EPOCHS, SIZE


def train(folder: Path, home: Path) -> None:
    """Train and validate for some epochs."""
    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="val", item_tfms=RandomResizedCrop(SIZE), bs=BATCH, num_workers=0
    )
    learner = vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy, path=home)
    learner.unfreeze()
    learner.fit_one_cycle(EPOCHS)
