"""The plain script that full fine-tuning is measured against: what a tutorial writes, and nothing faster.

torchvision's folder and transforms, a loader without workers, float32, SGD with a head that learns ten times
as fast. As an arm it trains one epoch for each line that it gets; with `check` it takes the pictures that it
is told, in that order and not cut by chance.

    python plain_tuning.py NET FOLDER WEIGHTS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader

from measuring import timed
from plain_evaluating import prepared
from regraft.hub.operators import register
from turns import serve

register()  # torchvision's import fails beside some builds of torch

import timm  # noqa: E402
from torchvision import datasets, transforms  # noqa: E402

BATCH = 32
LR = 0.003
HEAD_LR_SCALE = 10.0
WEIGHT_DECAY = 0.001
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def loader(folder: Path, *, workers: int = 0, batch_size: int = BATCH) -> DataLoader:
    """Return batches of pictures from class folders, cut out by chance, in an order of chance."""
    augmented = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    pictures = datasets.ImageFolder(folder, transform=augmented)
    return DataLoader(pictures, batch_size=batch_size, shuffle=True, num_workers=workers)


def build(name: str, weights: Path, classes: int) -> nn.Module:
    """Return a net of timm with a file's weights and a head of zeros; make the file where there is none."""
    if not weights.exists():
        save_file(random_weights(name), weights)
    net = timm.create_model(name)
    net.load_state_dict(load_file(weights))
    net.reset_classifier(classes)
    head = net.get_classifier()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return net.train()


def random_weights(name: str) -> dict[str, torch.Tensor]:
    """Return weights of a fixed seed; batch-norms have seen noise, so that the net tells pictures apart."""
    torch.manual_seed(0)
    net = timm.create_model(name)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics are those of what was seen
    with torch.no_grad():
        net.train()(torch.randn(8, 3, 224, 224))
    return net.state_dict()


def sgd(net: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser: the head learns faster than the rest."""
    head = list(net.get_classifier().parameters())
    rest = [p for p in net.parameters() if all(p is not other for other in head)]
    groups = [{"params": rest}, {"params": head, "lr": LR * HEAD_LR_SCALE}]
    return torch.optim.SGD(groups, lr=LR, weight_decay=WEIGHT_DECAY)


def train(net: nn.Module, batches: Any, optimizer: torch.optim.Optimizer) -> float:
    """Train on some batches; return the mean loss of their pictures."""
    total, seen = 0.0, 0
    for images, targets in batches:
        loss = nn.functional.cross_entropy(net(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        seen += len(targets)
    return total / seen


def told(folder: Path, order: Sequence[str], spec: Mapping[str, Any]) -> Iterator[Any]:
    """Yield batches of the pictures that are told."""
    classes = sorted({Path(name).parent.name for name in order})
    prepare = prepared(spec)
    for start in range(0, len(order), BATCH):
        names = [Path(name) for name in order[start : start + BATCH]]
        images = torch.stack([prepare(Image.open(folder / name).convert("RGB")) for name in names])
        yield images, torch.tensor([classes.index(name.parent.name) for name in names])


def main(name: str, folder: str, weights: str) -> None:
    batches = loader(Path(folder) / "train")
    rounds = count()

    def epoch(line: str) -> dict[str, Any]:
        work, _, facts = line.partition(" ")
        net = build(name, Path(weights), len(batches.dataset.classes))
        optimizer = sgd(net)
        torch.manual_seed(next(rounds))
        part = {"epoch": batches, "warm-up": islice(batches, 1)}.get(work)
        if work == "check":
            part = told(Path(folder), **json.loads(facts))
        loss, seconds = timed(lambda: train(net, part, optimizer))
        return {"seconds": seconds, "loss": loss, "threads": torch.get_num_threads()}

    serve(epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
