"""Hugging Face transformers: its Trainer around a net of timm."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from transformers import Trainer, TrainingArguments

from trainer_data import folder_of
from trainer_terms import BATCH, CLASSES, EPOCHS, LR


class Wrapped(torch.nn.Module):
    """A net that gives its loss, as the Trainer wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = timm.create_model("resnet18", num_classes=CLASSES)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and logits."""
        logits = self.net(pixel_values)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def collate(rows: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
    """Make a batch of rows."""
    return {
        "pixel_values": torch.stack([picture for picture, _ in rows]),
        "labels": torch.tensor([label for _, label in rows]),
    }


def train(folder: Path, home: Path) -> None:
    """Let its Trainer train and validate."""
    arguments = TrainingArguments(
        output_dir=str(home),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        learning_rate=LR,
        eval_strategy="epoch",
        save_strategy="epoch",
        report_to=[],
        use_cpu=True,
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    Trainer(
        model=Wrapped(),
        args=arguments,
        train_dataset=folder_of(folder, "train"),
        eval_dataset=folder_of(folder, "val"),
        data_collator=collate,
    ).train()
