"""Ultralytics: its classifier trainer, with torchvision's ResNet-18 as the backbone of a YAML of its own."""

from __future__ import annotations

from pathlib import Path

from ultralytics import YOLO

from trainer_terms import BATCH, EPOCHS, LR, SIZE

NET = """
nc: 4
backbone:
  - [-1, 1, TorchVision, [512, resnet18, None, True, 2]]
head:
  - [-1, 1, Classify, [nc]]
"""


def train(folder: Path, home: Path) -> None:
    """Train and validate for some epochs."""
    net = home / "resnet18-cls.yaml"
    net.write_text(NET)
    YOLO(net, task="classify").train(
        data=str(folder),
        epochs=EPOCHS,
        batch=BATCH,
        imgsz=SIZE,
        optimizer="SGD",
        lr0=LR,
        pretrained=False,
        workers=0,
        device="cpu",
        project=str(home),
        plots=False,
    )
