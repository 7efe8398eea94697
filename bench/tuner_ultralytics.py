"""Ultralytics: its classifier trainer with its defaults, around the pretrained net.

Its head has a convolution of its own, which is not pretrained; it looks at the whole middle of a picture.
"""

from __future__ import annotations

import torch
from PIL import Image
from ultralytics.data.augment import classify_transforms
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.nn.modules import Classify
from ultralytics.nn.tasks import ClassificationModel

from tuner_terms import BATCH, Task, pretrained

YAML = {"nc": 0, "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": [[-1, 1, "Classify", ["nc"]]]}


class Backbone(torch.nn.Module):
    """The pretrained net up to its last maps; it takes values from 0 to 1, as this trainer gives them."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.net = pretrained(task)
        self.net.reset_classifier(0)
        self.register_buffer("mean", torch.tensor(task.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(task.std)[:, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the feature maps [n, c, h, w]."""
        return self.net.forward_features((images - self.mean) / self.std)


def tune(task: Task) -> list[str]:
    """Tune all of the net; return the class of each picture that is asked for."""

    class Trainer(ClassificationTrainer):
        def get_model(
            self, cfg: object = None, weights: object = None, verbose: bool = True
        ) -> ClassificationModel:
            count = len(task.classes)
            model = ClassificationModel({**YAML, "nc": count}, nc=count, verbose=False)
            body, head = Backbone(task), Classify(1280, count)
            for number, part in enumerate((body, head)):
                part.i, part.f, part.type, part.np = number, -1, type(part).__name__, 0
            model.model = torch.nn.Sequential(body, head)
            model.save = []
            return model

    trainer = Trainer(
        overrides={
            "model": "regraft-bench.yaml",
            "task": "classify",
            "data": str(task.folder),
            "epochs": task.epochs,
            "warmup_epochs": 0.03 * task.epochs,  # as 3 of its 100 are
            "batch": BATCH,
            "imgsz": task.size,
            "workers": 0,
            "device": "cpu",
            "val": False,
            "plots": False,
            "project": str(task.home),
        }
    )
    trainer.train()
    net = trainer.ema.ema.float().eval()
    transform = classify_transforms(task.size)
    said = []
    with torch.no_grad():
        for path in task.asked:
            found = net(transform(Image.open(path).convert("RGB"))[None])
            scores = found[0] if isinstance(found, tuple) else found
            said.append(task.classes[int(scores.argmax())])
    return said
