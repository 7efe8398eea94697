"""A greedy soup, from the recipe to the report."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from regraft.records import ModelVersion
from regraft.reports import text
from regraft.store.opening import open_store

#: A linear head on random features learns for long by steps of one size, from labels of which some are
#: wrong: its weights wander about the best ones, and a mean of epochs comes closer to these than any.
RECIPE = {
    "model": "timm:test_resnet",
    "strategy": "scratch",
    "epochs": 8,
    "settings": (
        "model.freeze=backbone",
        "model.norm_eval=true",
        "optim.optimizer=sgd",
        "optim.lr=0.1",
        "optim.schedule=constant",
        "data.size=32",
        "data.augment=[]",
        "train.batch_size=4",
        "train.patience=0",
        "train.precision=float32",
        "eval.precision=float32",
        "train.soup=8",
    ),
}


@pytest.fixture
def noisy(tmp_path):
    """Pictures of two classes, each fourth of which is called what it is not."""
    colours = {"leaf": (30, 160, 60), "sea": (20, 60, 190)}
    for label, colour in colours.items():
        for index in range(40):
            random = np.random.default_rng(index)
            pixels = np.array(colour) + random.normal(0, 40, (60, 80, 3)) + random.uniform(-30, 30, 3)
            said = next(name for name in colours if (name == label) == (index % 4 > 0))
            split = "train" if index < 20 else "val" if index < 32 else "test"
            folder = tmp_path / "noisy" / split / said
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            picture.save(folder / f"{label}{index}.png")
    return tmp_path / "noisy"


def test_a_soup_is_the_mean_of_the_epochs_that_the_record_and_the_report_name(workspace, noisy):
    result = workspace.finetune(noisy, **RECIPE)

    model = workspace.models.get(result.model).read(ModelVersion)
    soup, store = model.training.soup, open_store(workspace.path)
    kept = store.journal.find(result.run.id).checkpoints().soup
    heads = torch.stack([load(kept.at(epoch))["head.weight"].double() for epoch in soup])
    assert len(soup) > 1
    assert soup[0] == model.training.best
    assert torch.equal(load(store.blobs.get(model.head))["weight"], heads.mean(0).float())
    named = ", ".join(map(str, sorted(soup)))
    assert f"The mean of the weights of epochs {named} was taken" in result.page.read_text()
    assert f"the mean of epochs {named} taken, chosen by" in text.summary(result.report)
