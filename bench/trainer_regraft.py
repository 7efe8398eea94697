"""Regraft, as the other trainers are measured: the model and its report are stored at the end."""

from __future__ import annotations

from pathlib import Path

import regraft
from trainer_terms import BATCH, EPOCHS, SIZE


def train(folder: Path, home: Path) -> None:
    """Fine-tune all of the net; what the file of weights holds does not matter."""
    import timm
    from safetensors.torch import save_file

    weights = home / "random.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), weights)
    regraft.open(home / "workspace").finetune(
        folder,
        model="timm:resnet18",
        settings=[
            f"model.weights={weights}",
            "train.strategy=full",
            f"train.epochs={EPOCHS}",
            f"train.batch_size={BATCH}",
            f"data.size={SIZE}",
            "eval.holdout=0",
        ],
    )
