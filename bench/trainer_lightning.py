"""Lightning: a module with three methods, and its Trainer."""

from __future__ import annotations

from pathlib import Path

import lightning
import timm
import torch
from torch.utils.data import DataLoader

from trainer_data import folder_of
from trainer_terms import BATCH, CLASSES, EPOCHS, LR


class Module(lightning.LightningModule):
    """A net, its loss and its optimiser."""

    def __init__(self) -> None:
        super().__init__()
        self.net = timm.create_model("resnet18", num_classes=CLASSES)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> torch.Tensor:
        """Return the loss of a batch."""
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> None:
        """Log the loss of a batch."""
        self.log("val_loss", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser."""
        return torch.optim.SGD(self.parameters(), lr=LR, momentum=0.9)


def train(folder: Path, home: Path) -> None:
    """Let its Trainer train and validate."""
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=home
    )
    trainer.fit(
        Module(),
        DataLoader(folder_of(folder, "train"), batch_size=BATCH, shuffle=True),
        DataLoader(folder_of(folder, "val"), batch_size=BATCH),
    )
