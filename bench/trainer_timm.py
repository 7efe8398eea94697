"""timm, the way its train.py goes: its data sets, loaders, optimiser and schedule."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from timm.data import ImageDataset, create_loader
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

from trainer_terms import BATCH, CLASSES, EPOCHS, LR, SIZE


def train(folder: Path, home: Path) -> None:
    """Train and validate for some epochs."""
    net = timm.create_model("resnet18", num_classes=CLASSES)
    loaders = {
        split: create_loader(
            ImageDataset(str(folder / split)),
            input_size=(3, SIZE, SIZE),
            batch_size=BATCH,
            is_training=split == "train",
            use_prefetcher=False,
            num_workers=2,
            device=torch.device("cpu"),
        )
        for split in ("train", "val")
    }
    optimizer = create_optimizer_v2(net, opt="sgd", lr=LR, momentum=0.9)
    schedule = CosineLRScheduler(optimizer, t_initial=EPOCHS)
    for epoch in range(EPOCHS):
        net.train()
        for images, targets in loaders["train"]:
            loss = torch.nn.functional.cross_entropy(net(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            for images, targets in loaders["val"]:
                torch.nn.functional.cross_entropy(net(images), targets)
        schedule.step(epoch + 1)
    torch.save(net.state_dict(), home / "last.pth")
