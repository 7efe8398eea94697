"""The notebook on wolves and dogs (MindCV): its code as it stands in the seed, and the same in our words.

What is substituted in the seed's code is in `SUBSTITUTIONS`, and nothing else: imports, where the data lies,
how much of it there is, and weights that can be had here.
"""

import io
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from regraft.dialects.mindcv import (
    DownLoad,
    LossMonitor,
    Model,
    TimeMonitor,
    create_dataset,
    create_loader,
    create_loss,
    create_model,
    create_optimizer,
    create_transforms,
    visualize_model,
)
from regraft.hub import nets

pytest_plugins = ["tests.faults.web"]

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "mindcv.md"
SEEDS = Path(__file__).parents[3] / "shared" / "seeds"

SUBSTITUTIONS = (
    # every import of MindCV and MindSpore is one of the dialect
    (r"from (mindcv|mindspore)[\w.]* import", "from regraft.dialects.mindcv import"),
    (r"import mindspore as ms", "from regraft.dialects import mindspore as ms"),
    # pictures of our own, a sixth as many, from a server of our own
    (r'dataset_url = ".*"', 'dataset_url = "{url}"'),
    # batches as small as that, so that an epoch still has five steps; and two epochs in place of ten
    (r"batch_size=16", "batch_size=4"),
    (r"model\.train\(10,", "model.train(2,"),
    # weights that we made ourselves
    (r"pretrained=True", 'checkpoint_path="{weights}"'),
)

LOSS = r"epoch: {epoch} step: 5, loss is \d+\.\d+(e-\d+)?"
TIME = r"Train epoch time: +\d+\.\d{3} ms, per step time: +\d+\.\d{3} ms"


def animal(label, number):
    """Draw a picture of noise around a colour: wolves are grey, dogs are sandy."""
    random = np.random.default_rng([number, label == "wolves"])
    colour = (80, 90, 110) if label == "wolves" else (210, 160, 80)
    coarse = np.clip(random.normal(colour, 40, (12, 15, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize((300, 240), Image.Resampling.BICUBIC)


@pytest.fixture
def archive():
    """The zip of `data/Canidae`: 10 pictures of each to learn from, 5 of each to measure on."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for split, first, count in (("train", 0, 10), ("val", 100, 5)):
            for label in ("dogs", "wolves"):
                for number in range(first, first + count):
                    picture = io.BytesIO()
                    animal(label, number).save(picture, "JPEG", quality=90)
                    file.writestr(f"data/Canidae/{split}/{label}/{number}.jpg", picture.getvalue())
    return buffer.getvalue()


@pytest.fixture
def plots(monkeypatch):
    """What stands in for matplotlib, which is no dependency: it lists what was drawn, with its colours."""
    titles = []
    pyplot = types.ModuleType("matplotlib.pyplot")
    for name in ("figure", "subplot", "axis", "show"):
        setattr(pyplot, name, lambda *words, **more: None)
    pyplot.title = lambda text, color="black": titles.append((text, color))
    pyplot.imshow = lambda picture: titles.append(
        (picture.shape, bool((picture >= 0).all() and (picture <= 1).all()))
    )
    package = types.ModuleType("matplotlib")
    package.pyplot = pyplot
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    return titles


def make_weights(name, path, *, side):
    """Write random weights of a net with 1,000 classes, whose batch-norms have seen animals."""
    torch.manual_seed(0)
    net = nets.build(name).train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all that it sees
    pictures = [
        animal(label, number).resize((side, side))
        for number in range(200, 204)
        for label in ("dogs", "wolves")
    ]
    images = (
        torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2) / 255
    )
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        net((images - mean) / std)
    save_file({key: value.clone() for key, value in nets.original_state(net).items()}, path)
    return path


def blocks(path):
    """Return the code of a document, block by block."""
    return re.findall(
        r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def rewritten(code, **places):
    for pattern, replacement in SUBSTITUTIONS:
        code = re.sub(pattern, lambda _, words=replacement: words.format(**places), code)
    return code


def lines_of(epochs):
    return [pattern for epoch in range(1, epochs + 1) for pattern in (LOSS.format(epoch=epoch), TIME)]


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed documents are not beside this checkout")
def test_the_notebooks_code_runs_with_weights_of_our_own_for_densenet_121(
    web, archive, plots, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    url = web.serve("/Canidae_data.zip", archive)
    weights = make_weights("torchvision:densenet121", tmp_path / "densenet121.safetensors", side=224)
    (document,) = SEEDS.glob("003_*.md")
    code = [rewritten(block, url=url, weights=weights) for block in blocks(document)]
    names: dict[str, object] = {}

    for block in code:
        exec(compile(block, "seed-003", "exec"), names)

    lines = capsys.readouterr().out.splitlines()
    accuracies = [line for line in lines if line.startswith("{")]
    assert len(code) == 15
    assert lines[0] == "Tensor of image (4, 3, 224, 224)"
    assert re.fullmatch(r"Labels: \[[01]( [01]){3}\]", lines[1])
    patterns = [*lines_of(2), r"\{'accuracy': \d\.\d+\}", *lines_of(2), r"\{'accuracy': \d\.\d+\}"]
    assert [bool(re.fullmatch(p, line)) for p, line in zip(patterns, lines[2:], strict=True)] == [True] * 10
    assert accuracies[1] == "{'accuracy': 1.0}"
    # only the classifier learned in the second part
    assert [p.name for p in names["network"].trainable_params()] == ["classifier.weight", "classifier.bias"]
    # a batch of four, then twice five predictions: right ones in blue
    assert [entry for entry in plots if isinstance(entry[0], tuple)] == [((224, 224, 3), True)] * 14
    shown = [entry for entry in plots if isinstance(entry[0], str)]
    assert {title for title, _ in shown[:4]} <= {"dogs", "wolves"}
    assert len(shown) == 14
    assert [color for title, color in shown[-5:]] == ["blue"] * 5
    assert {title for title, _ in shown[-5:]} <= {"predict:dogs", "predict:wolves"}


def test_the_same_work_in_our_words_with_random_weights_of_a_small_net(
    web, archive, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    weights = make_weights("test_resnet", tmp_path / "small.safetensors", side=64)
    DownLoad().download_and_extract_archive(web.serve("/Canidae_data.zip", archive), ".")
    train, val = (create_dataset(root="data/Canidae", split=split) for split in ("train", "val"))
    augmented = create_transforms("ImageNet", image_resize=64, is_training=True)
    plain = create_transforms("ImageNet", image_resize=64)
    pictures = create_loader(train, 4, is_training=True, num_classes=2, transform=augmented)
    measured = create_loader(val, 5, num_classes=2, transform=plain)

    def learn(network, lr):
        optimizer = create_optimizer(network.trainable_params(), opt="adam", lr=lr)
        model = Model(network, create_loss("CE"), optimizer, metrics={"accuracy"})
        model.train(4, pictures, callbacks=[LossMonitor(5), TimeMonitor()])
        return model

    whole = learn(create_model("test_resnet", 2, checkpoint_path=weights), 1e-3)
    frozen = create_model(
        "test_resnet", 2, checkpoint_path=weights
    )  # anew: not what the first part has tuned
    trunk = {name: value.clone() for name, value in frozen.net.trunk.state_dict().items()}
    for parameter in frozen.get_parameters():
        parameter.requires_grad = parameter.name.startswith("classifier.")
    head = learn(frozen, 1e-2)
    drawn = visualize_model(head, measured)

    assert [
        bool(re.fullmatch(p, line))
        for p, line in zip(lines_of(4) * 2, capsys.readouterr().out.splitlines(), strict=True)
    ] == [True] * 16
    assert (whole.eval(measured), head.eval(measured)) == ({"accuracy": 1.0}, {"accuracy": 1.0})
    assert all(value.equal(trunk[name]) for name, value in frozen.net.trunk.state_dict().items())
    assert drawn.svg.count('class="right"') == 5


def test_the_script_of_the_guide_runs_with_random_weights_of_a_small_net(
    web, archive, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    make_weights("test_resnet", tmp_path / "small.safetensors", side=64)
    words = {
        r'url = ".*"': f'url = "{web.serve("/Canidae_data.zip", archive)}"',
        r'"densenet121"': '"test_resnet"',
        r"pretrained=True": 'checkpoint_path="small.safetensors"',
        r'create_transforms\("ImageNet",': 'create_transforms("ImageNet", image_resize=64,',
    }
    code = "\n".join(blocks(GUIDE))
    for pattern, replacement in words.items():
        code = re.sub(pattern, replacement, code)

    exec(compile(code, "guide", "exec"), {})

    said = capsys.readouterr().out
    assert said.count("Train epoch time: ") == 20
    assert re.findall(r"^\{.*", said, flags=re.MULTILINE) == ["{'accuracy': 1.0}"] * 2
    assert (tmp_path / "shown.svg").read_text().count('class="right"') == 5
