"""What a tuned model is made of stays known: where it began, and all that its weights have seen."""

import numpy as np
import pytest
from PIL import Image

import regraft

QUICK = (
    "data.size=32",
    "train.epochs=2",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
    "data.workers=0",
)


def colours(folder, *, seed):
    """Write pictures of two colours, sixteen of each to learn from and eight to measure on."""
    random = np.random.default_rng(seed)
    for split, count in (("train", 16), ("test", 8)):
        for label, colour in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                noise = random.integers(-50, 50, (6, 8, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).resize((48, 36), Image.Resampling.NEAREST).save(
                    place / f"{number}.png"
                )
    return folder


@pytest.fixture
def base(workspace, tmp_path):
    """A model of the workspace that began by chance, as small as nets come."""
    photos = colours(tmp_path / "first", seed=0)
    return workspace.finetune(
        photos, model="timm:test_resnet", strategy="scratch", settings=QUICK, name="base"
    ).model


def test_an_averaged_training_that_helps_nothing_gives_the_head_that_was_fitted_first(
    workspace, base, tmp_path
):
    photos = colours(tmp_path / "second", seed=1)
    ruinous = (*QUICK, "train.ema=0.9", "optim.lr=1", "optim.warmup_epochs=0")

    probe = workspace.finetune(photos, model=base, settings=QUICK, name="probe").report
    result = workspace.finetune(photos, model=base, strategy="lp-ft", settings=ruinous, name="tuned")

    assert result.report.training.best == 0
    assert result.report.accuracy >= probe.accuracy - 0.1


def test_pictures_that_an_earlier_net_learned_from_measure_nothing(workspace, base, tmp_path):
    other = colours(tmp_path / "second", seed=1)
    later = workspace.finetune(other, model=base, settings=QUICK, name="later").model

    with pytest.raises(regraft.RegraftError, match="has learned from all"):
        workspace.evaluate(later, "first", split="train")
