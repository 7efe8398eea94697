"""Every strategy learns a real task: handwritten digits, from a few pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import regraft
from regraft.hub import nets
from regraft.records import ModelVersion

LABELS = (0, 4, 7)
#: Pictures of each digit to learn from, and to measure on.
TRAIN, TEST = 50, 25

#: What each strategy needs for it, besides its name, with a pretrained EfficientNet-Lite0 at 96 pixels.
EPOCHS = {"full": 2, "partial": 2, "lp-ft": 1, "gradual": 2, "adapters": 2}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of handwritten digits, each picture in one split."""
    root = tmp_path_factory.mktemp("digits") / "digits"
    found = load_digits()
    for label in LABELS:
        pictures = found.images[found.target == label][: TRAIN + TEST]
        for number, pixels in enumerate(pictures):
            folder = root / ("train" if number < TRAIN else "test") / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray((255 - pixels * 15.9).astype(np.uint8))
            picture.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A workspace for all of them: what one has decoded, the next need not."""
    return regraft.open(tmp_path_factory.mktemp("lab") / "workspace")


def finetune(lab, folder, strategy, *settings, **options):
    words = (f"train.strategy={strategy}", "data.augment=[]", "eval.precision=exact", *settings)
    result = lab.finetune(folder, name=strategy, settings=words, **options)
    return result, lab.models.get(result.model).read(ModelVersion)


@pytest.mark.parametrize("strategy", EPOCHS)
def test_a_pretrained_net_learns_digits(lab, digits, strategy):
    settings = (f"train.epochs={EPOCHS[strategy]}", "data.size=96", "train.batch_size=16")

    result, model = finetune(lab, digits, strategy, *settings)

    assert result.report.metrics.count == len(LABELS) * TEST
    assert result.report.accuracy >= 0.8
    assert model.training.strategy == strategy
    assert (model.training.pictures, model.training.chosen_by) == (135, 15)
    assert (model.adapter is not None) == (strategy == "adapters")
    base = lab.models.get("embedded:efficientnet_lite0").read(ModelVersion)
    assert (model.trunk == base.trunk) == (strategy == "adapters")


def test_a_net_learns_digits_from_scratch(lab, digits, tmp_path):
    torch.manual_seed(0)
    state = nets.original_state(nets.build("test_resnet"))
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "net.safetensors")
    settings = (
        f"model.weights={tmp_path / 'net.safetensors'}",
        "data.size=32",
        "train.epochs=12",
        "optim.lr=0.004",
    )

    result, model = finetune(lab, digits, "scratch", *settings, model="timm:test_resnet")

    assert result.report.accuracy >= 0.8
    assert (model.training.strategy, model.training.frozen) == ("scratch", 0)


def test_a_tuned_net_says_the_same_wherever_it_is_asked(lab, digits):
    settings = ("train.epochs=2", "data.size=96", "train.batch_size=16")
    result, _ = finetune(lab, digits, "full", *settings)

    again = lab.evaluate(result.model, digits)
    files = sorted((digits / "test" / "4").iterdir())[:5]
    said = lab.predict(result.model, files)

    assert (again.report.split, again.report.metrics) == ("test", result.report.metrics)
    assert [item.label for item in said].count("4") >= 4
    assert result.model == "full:v1"
