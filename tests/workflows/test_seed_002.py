"""MindSpore Hub's tutorial, from a folder to a measured checkpoint: its own code, and that of the guide."""

import ast
import contextlib
import io
import logging
import re
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from regraft.dialects import mindspore_hub as mshub
from regraft.hub import nets

ROOT = Path(__file__).parents[2]
SEED = ROOT.parent / "shared" / "seeds" / "002_a717b275f4652017.md"
GUIDE = (ROOT / "docs" / "guides" / "mindspore-hub.md").read_text()

#: What the guide says to write in place of the tutorial's imports.
IMPORTS, SCRIPT, OWN_WEIGHTS, FREEZE = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
NAME = "mindspore/ascend/0.7/googlenet_v1_cifar10"


@pytest.fixture
def blocks():
    """The tutorial's code, block by block."""
    if not SEED.is_file():
        pytest.skip(f"the seed document is not there: {SEED}")
    found = re.findall(r"```python\n(.*?)```", SEED.read_text(), flags=re.DOTALL)
    return [textwrap.dedent(block) for block in found]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    own = dict(mshub.catalogue())
    monkeypatch.setattr(mshub, "catalogue", lambda: own)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def garbage(tmp_path, shared_data):
    """A few of the garbage pictures, of every class."""
    for split, each in (("train", 4), ("test", 2)):
        for folder in sorted((shared_data / "garbage" / split).iterdir()):
            (tmp_path / "garbage" / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:each]:
                shutil.copy(path, tmp_path / "garbage" / split / folder.name)
    return tmp_path / "garbage"


@pytest.fixture
def leaves(tmp_path, photos):
    """Pictures that a net can tell apart, in a train and a test folder."""
    for place, path in enumerate(sorted(photos.rglob("*.jpg"))):
        folder = tmp_path / "garbage" / ("test" if place % 3 == 0 else "train") / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    return tmp_path / "garbage"


def make_weights(architecture: str, path: Path, pictures: Path) -> Path:
    """Write weights that nobody trained, whose statistics are those of some pictures."""
    torch.manual_seed(0)
    net = nets.build(architecture)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    images, _ = next(iter(mshub.create_dataset(pictures, do_train=True, batch_size=24)))
    with torch.no_grad():
        net.train()(images.as_subclass(torch.Tensor))
    save_file(nets.original_state(net), path)
    return path


def run(code: str, scope: dict) -> str:
    """Run code as a person does, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, scope)
    return printed.getvalue()


def changed(code: str, changes: dict[str, str]) -> str:
    """Return the code with other imports and other words; each word has to stand there."""
    kept = [line for line in code.splitlines() if not re.match(r"(import|from) (mind|src\.)", line)]
    code = "\n".join(kept)
    for old, new in changes.items():
        assert old in code, old
        code = code.replace(old, new)
    return code


def losses(printed: str) -> list[float]:
    return [float(found) for found in re.findall(r"^epoch: \d+/\d+, loss: (\S+)$", printed, re.MULTILINE)]


def outputs(net: torch.nn.Module, pictures: mshub.Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Return what a cell says of pictures, and their labels."""
    with torch.inference_mode():
        said = [(net(images).numpy(), labels.asnumpy()) for images, labels in pictures]
    return tuple(np.concatenate(part) for part in zip(*said, strict=True))


def test_the_tutorials_own_code_runs_on_googlenet_with_weights_that_nobody_trained(blocks, garbage, caplog):
    load, head, optimise, train, evaluate = blocks
    weights = make_weights("torchvision:googlenet", Path("googlenet.safetensors"), garbage / "train")
    mshub.add(NAME, f"file:{weights}")
    scope = {}
    small = {"/ssd/data/garbage": str(garbage), "batch_size=32": "batch_size=12"}

    with caplog.at_level(logging.WARNING):
        run(IMPORTS + changed(load, {}), scope)
        run(changed(head, {"num_classes = 26": "num_classes = 6"}), scope)
        run(
            changed(optimise, {"epoch_size = 60": "epoch_size = 2", "warmup_epochs=5": "warmup_epochs=1"}),
            scope,
        )
        before = scope["train_network"].state_dict()["2.weight"].clone()
        printed = run(changed(train, small), scope)
        trained = scope["train_network"]
        said = run(changed(evaluate, {**small, "epoch59": "epoch1"}), scope)

    assert len(losses(printed)) == 2 * 2
    assert np.isfinite(losses(printed)).all()
    assert not torch.equal(trained.state_dict()["2.weight"].cpu(), before)
    assert sorted(path.name for path in Path("ckpt").iterdir()) == [
        f"garbage_finetune_epoch{epoch}.ckpt" for epoch in range(2)
    ]
    logits, labels = outputs(trained.cpu().set_train(False), scope["eval_dataset"])
    scores, _ = outputs(scope["network"].cpu(), scope["eval_dataset"])
    assert np.allclose(torch.from_numpy(logits).softmax(1), scores, atol=1e-6)
    right = float((scores.argmax(1) == labels).mean())
    assert said == f"result: {{'acc': {right}}} ckpt= ./ckpt/garbage_finetune_epoch1.ckpt\n"
    assert len(labels) == 12
    assert [record.message.split()[0] for record in caplog.records] == [
        "set_context",
        str(garbage / "test"),
    ]


def test_the_tutorials_rates_are_those_of_its_function_at_the_length_of_the_data_set(blocks, garbage):
    scope = {}
    weights = make_weights("test_resnet", Path("tiny.safetensors"), garbage / "train")
    mshub.add(NAME, f"file:{weights}")
    small = {"/ssd/data/garbage": str(garbage), "batch_size=32": "batch_size=12"}
    run(IMPORTS + changed(blocks[0], {}), scope)
    channels = scope["network"].output_shape[0]
    run(changed(blocks[1], {"last_channel = 1024": f"last_channel = {channels}"}), scope)
    run(changed(blocks[2], {}), scope)

    run(changed(blocks[3], {**small, "range(epoch_size)": "range(1)"}), scope)

    told = mshub.get_lr(0, 0, 0.001, 0.05, 5, 60, steps_per_epoch=2)
    assert [scope["optim"].rate(step) for step in range(120)] == told.tolist()


def test_the_guides_code_learns_to_tell_pictures_apart(leaves):
    make_weights("test_resnet", Path("googlenet-1378be20.safetensors"), leaves / "train")
    own = OWN_WEIGHTS.replace(".pth", ".safetensors")
    few = {"epochs = 60": "epochs = 6", "batch_size=32": "batch_size=10"}
    slow = {"warmup_epochs=5": "warmup_epochs=1", "lr_max=0.05": "lr_max=0.005"}  # nobody trained the weights

    printed = run(IMPORTS + own + changed(SCRIPT, few | slow), {})

    found = losses(printed)
    assert len(found) == 6
    assert found[-1] < found[0] / 2
    assert ast.literal_eval(printed.splitlines()[-1])["acc"] >= 0.9  # a third of them are of each class
    assert len(list(Path("ckpt").iterdir())) == 6


def test_the_guides_frozen_backbone_does_not_move(leaves):
    mshub.add(NAME, f"file:{make_weights('test_resnet', Path('tiny.safetensors'), leaves / 'train')}")
    scope = {}
    load, rest = SCRIPT.split("\n\n", 1)
    small = {
        "epochs = 60": "epochs = 1",
        "batch_size=32": "batch_size=10",
        "warmup_epochs=5": "warmup_epochs=0",
    }
    run(IMPORTS + load + "\n" + FREEZE, scope)
    before = {name: value.clone() for name, value in scope["network"].state_dict().items()}

    run(changed(rest, small), scope)

    after = scope["network"].state_dict()
    assert all(torch.equal(after[name].cpu(), value) for name, value in before.items())


def test_the_guide_names_every_entry_of_the_catalogue():
    rows = re.findall(
        r"^\| (`[\w.`, ]+) \| ", GUIDE.partition("## What a name")[2].partition("##")[0], flags=re.MULTILINE
    )

    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row)) == sorted(mshub.catalogue())
