"""The plain script that prediction is measured against: what a tutorial writes to name a folder's pictures.

torchvision's folder and transforms, a loader without workers, float32. As an arm it does the whole job, from
the weights on the disk, for each line that it gets.

    python plain_evaluating.py FOLDER NET WEIGHTS SPEC
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL.Image import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from measuring import timed
from regraft.hub.operators import register
from turns import serve

register()  # torchvision's import fails beside some builds of torch

import timm  # noqa: E402
from torchvision import datasets, transforms  # noqa: E402


def prepared(spec: Mapping[str, Any]) -> Callable[[Image], torch.Tensor]:
    """Return what makes of a picture what a net wants to see: its middle."""
    return transforms.Compose(
        [
            transforms.Resize(
                int(spec["size"] / spec["crop"]),
                interpolation=transforms.InterpolationMode(spec["interpolation"]),
            ),
            transforms.CenterCrop(spec["size"]),
            transforms.ToTensor(),
            transforms.Normalize(spec["mean"], spec["std"]),
        ]
    )


def main(folder: str, name: str, weights: str, facts: str) -> None:
    spec = json.loads(facts)

    def job() -> tuple[list[str], float]:
        pictures = datasets.ImageFolder(folder, transform=prepared(spec))
        net = timm.create_model(name, num_classes=len(pictures.classes))
        net.load_state_dict(load_file(weights))
        net.eval()
        said, right = [], 0
        with torch.no_grad():
            for images, targets in DataLoader(pictures, batch_size=32):
                predicted = net(images).argmax(1)
                right += int((predicted == targets).sum())
                said += [pictures.classes[index] for index in predicted]
        return said, right / len(said)

    def whole(_: str) -> dict[str, Any]:
        (said, accuracy), seconds = timed(job)
        return {"seconds": seconds, "said": said, "accuracy": accuracy}

    serve(whole)


if __name__ == "__main__":
    main(*sys.argv[1:])
