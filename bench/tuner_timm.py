"""timm, the way its train.py goes: its data set, loader and augmentation, AdamW, a cosine, all of the net."""

from __future__ import annotations

import torch
from PIL import Image
from timm.data import ImageDataset, create_loader, create_transform
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

from tuner_terms import BATCH, EPOCHS, Task, pretrained


def tune(task: Task) -> list[str]:
    """Tune all of the net; return the class of each picture that is asked for."""
    net = pretrained(task)
    seen = {"mean": task.mean, "std": task.std, "interpolation": "bicubic"}
    loader = create_loader(
        ImageDataset(str(task.folder / "train"), class_map={name: i for i, name in enumerate(task.classes)}),
        input_size=(3, task.size, task.size),
        batch_size=BATCH,
        is_training=True,
        scale=(0.35, 1.0),  # as for Regraft; with its own (0.08, 1.0) it names fewer rightly in few epochs
        use_prefetcher=False,
        num_workers=0,
        device=torch.device("cpu"),
        **seen,
    )
    optimizer = create_optimizer_v2(net, opt="adamw", lr=2e-3, weight_decay=0.05)
    steps = EPOCHS * len(loader)
    schedule = CosineLRScheduler(optimizer, t_initial=steps, warmup_t=len(loader), t_in_epochs=False)
    loss_of = LabelSmoothingCrossEntropy(0.1)
    net.train()
    step = 0
    for _ in range(EPOCHS):
        for images, targets in loader:
            loss = loss_of(net(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            schedule.step_update(step)
    net.eval()
    transform = create_transform((3, task.size, task.size), crop_pct=task.crop, **seen)
    said = []
    with torch.no_grad():
        for path in task.asked:
            logits = net(transform(Image.open(path).convert("RGB"))[None])
            said.append(task.classes[int(logits.argmax())])
    return said
