"""The tutorial on fine-tuning with MMClassification, done here: its files as they are written, its commands.

What stands in for what cannot be had here: pictures in the original files of CIFAR-10, drawn by chance; a
checkpoint in OpenMMLab's layout, with random weights; and a ResNet-18 on 32 pixels, by `--cfg-options`.
"""

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import regraft
from regraft import recipe as recipes
from regraft.cli.main import cli
from regraft.dialects.openmmlab import main as openmmlab
from regraft.errors import ConflictError, InvalidError
from regraft.hub import nets
from regraft.records import ModelVersion

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
CONFIG = "configs/tutorial/resnet50_finetune_cifar.py"
#: The workflow in our own words, for where the tutorial is not.
OWN = """
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/cifar10_bs16.py', '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(
        frozen_stages=2,
        init_cfg=dict(type='Pretrained', checkpoint='https://zoo.example/resnet50.pth', prefix='backbone')),
    head=dict(num_classes=10))
img_norm_cfg = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False)
train_pipeline = [
    dict(type='RandomCrop', size=32, padding=4),
    dict(type='RandomFlip', flip_prob=0.5, direction='horizontal'),
    dict(type='Resize', size=224),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label']),
]
test_pipeline = [
    dict(type='Resize', size=224),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img']),
]
data = dict(
    train=dict(pipeline=train_pipeline),
    val=dict(pipeline=test_pipeline),
    test=dict(pipeline=test_pipeline))
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[15])
runner = dict(type='EpochBasedRunner', max_epochs=200)
log_config = dict(interval=100)
"""
#: Substitutions that let the tutorial run here within seconds.
SMALL = (
    "model.backbone.depth=18",
    "model.backbone.init_cfg.checkpoint=resnet18.pth",
    "data.train.pipeline.2.size=32",
    "data.test.pipeline.0.size=32",
    "lr_config.step=[1]",
    "runner.max_epochs=2",
)


@pytest.fixture
def seed():
    """The tutorial: the code of each kind of block, in order, below each of its headings."""
    page = next(iter(SEEDS.glob("001_*.md")), None)
    if page is None:
        pytest.skip(f"the tutorial is not there: {SEEDS}")
    sections = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [
        re.findall(r"^```(\w+)\n(.*?)^```", section, re.DOTALL | re.MULTILINE) for section in sections[1:]
    ]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder as the tutorial assumes it, with pictures and a checkpoint, and nothing of the toolkit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")
    (tmp_path / CONFIG).parent.mkdir(parents=True)
    batches = tmp_path / "data" / "cifar10" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{place}" for place in range(1, 6)), "test_batch"]):
        (batches / name).write_bytes(_batch(number))
    torch.manual_seed(0)
    names = nets.original_state(nets.build("torchvision:resnet18"))
    state = {
        ("head." if name.startswith("fc.") else "backbone.") + name: value for name, value in names.items()
    }
    torch.save(
        {"meta": {"epoch": 100, "CLASSES": ("tench",)}, "state_dict": state}, tmp_path / "resnet18.pth"
    )
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)  # a training chooses its own number


def _batch(seed, count=20):
    """Return pictures whose colour tells their class, as Python 2 pickled them for CIFAR-10."""
    colours = np.random.default_rng(0).integers(0, 256, (10, 3, 1))
    labels = np.arange(count) % 10
    noise = np.random.default_rng(seed + 1).normal(0, 30, (count, 3, 1024))
    pixels = np.clip(colours[labels] + noise, 0, 255).astype(np.uint8).reshape(count, 3072)

    def word(text):
        return b"U" + bytes([len(text)]) + text.encode()

    return b"".join(
        [
            b"\x80\x02}("
            + word("labels")
            + b"]("
            + b"".join(b"K" + bytes([label]) for label in labels)
            + b"e",
            word("data") + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + word("b"),
            b"\x87R(K\x01K"
            + bytes([count])
            + b"M\x00\x0c\x86cnumpy\ndtype\n"
            + word("u1")
            + b"K\x00K\x01\x87R",
            b"(K\x03" + word("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
            struct.pack("<i", pixels.size) + pixels.tobytes() + b"tbu.",
        ]
    )


def test_the_full_listing_of_the_seed_comes_to_what_the_original_does(project, seed):
    listing = next(text for kind, text in seed[-1] if kind == "python" and "_base_" in text)
    (project / CONFIG).write_text(listing)
    commands = [text.strip() for kind, text in seed[-1] if kind == "shell"]

    imported = openmmlab.read(CONFIG, devices=8)

    assert commands == [f"bash tools/dist_train.sh {CONFIG} 8", f"python tools/train.py {CONFIG}"]
    assert openmmlab.read(CONFIG, devices=1).document == imported.document
    model, train = imported.document["model"], imported.document["train"]
    assert model["ref"].endswith("/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth")
    assert (model["architecture"], model["weights_prefix"]) == ("torchvision:resnet50", "backbone")
    assert (train["batch_size"], train["epochs"], imported.document["optim"]["lr"]) == (128, 200, 0.01)
    assert imported.dataset == "data/cifar10"


def test_the_fragments_of_the_seed_name_another_base_and_come_to_the_same(project, seed):
    fragments = [text for section in seed[:4] for kind, text in section if kind == "python"]
    listing = next(text for kind, text in seed[-1] if kind == "python" and "_base_" in text)
    (project / CONFIG).write_text(listing)
    (project / CONFIG).with_name("fragments.py").write_text("\n".join(fragments))

    assembled = openmmlab.read(Path(CONFIG).with_name("fragments.py"))

    assert "../_base_/datasets/cifar10.py" in fragments[0]
    assert assembled.document == openmmlab.read(CONFIG).document


def test_one_gpu_with_the_edit_that_the_seed_asks_for_has_the_same_batch(project, seed):
    listing = next(text for kind, text in seed[-1] if kind == "python" and "_base_" in text)
    edit = next(text for kind, text in seed[-1] if kind == "python" and "samples_per_gpu" in text)
    (project / CONFIG).write_text(listing + edit)

    imported = openmmlab.read(CONFIG)

    assert imported.document["train"]["batch_size"] == 128


@pytest.fixture(params=["seed", "own"])
def written(request, project):
    """The tutorial's file: the seed's own listing, or ours."""
    text = OWN
    if request.param == "seed":
        sections = request.getfixturevalue("seed")
        text = next(text for kind, text in sections[-1] if kind == "python" and "_base_" in text)
    (project / CONFIG).write_text(text)
    return project


def typed(*words):
    return cli.main(["finetune", *words], standalone_mode=False)


def test_the_tutorial_runs_on_random_weights_of_a_smaller_net(written, capsys):
    code = typed("--config", CONFIG, "--cfg-options", *SMALL, "--work-dir", "out", "--seed", "3")

    said = capsys.readouterr()
    pointer = json.loads((written / "out" / "regraft.json").read_text())
    workspace = regraft.open()
    run = workspace.runs.get(pointer["run"])
    model = workspace.models.get(pointer["model"]).read(ModelVersion)
    report = workspace.reports.get(run.record.outputs["report"])
    assert code == 0
    assert "was written for 8 GPUs: the batch has 128 pictures, on one device as on eight." in said.err
    assert "ignored workflow: training and measuring follow from the recipe" in said.err
    assert (model.architecture, len(model.labels)) == ("torchvision:resnet18", 10)
    assert (report.split, report.training.strategy) == ("test", "partial")
    assert (run.record.recipe["train"]["seed"], run.record.recipe["train"]["batch_size"]) == (3, 128)
    rates = [line["lr"] for line in run.metrics() if "epoch" in line]
    assert rates == [
        {"trunk": 0.01, "head": 0.01},
        {"trunk": pytest.approx(0.001), "head": pytest.approx(0.001)},
    ]
    # what is frozen is that of the checkpoint, running statistics and all; what is above has moved
    before = torch.load("resnet18.pth")["state_dict"]
    after = regraft.load(pointer["model"]).state_dict()
    same = {
        name.split(".")[1]: bool(torch.equal(before[f"backbone.{name.removeprefix('trunk.')}"], value))
        for name, value in after.items()
        if name.startswith("trunk.") and not name.endswith("num_batches_tracked")
    }
    assert same == {
        "conv1": True,
        "bn1": True,
        "layer1": True,
        "layer2": True,
        "layer3": False,
        "layer4": False,
    }
    # what lies in the folder needs nothing else, and comes to the same
    small = openmmlab.read(CONFIG, options=SMALL, seed=3)
    assert openmmlab.read("out/resnet50_finetune_cifar.py", seed=3).document == small.document
    assert recipes.read(written / "out" / "recipe.toml") == small.recipe
    assert workspace.recipes.schedule("out/recipe.toml", pictures=50_000).steps_per_epoch == 391


def test_a_folder_of_results_goes_on_where_it_was_cut_off(project, monkeypatch):
    (project / CONFIG).write_text(OWN)
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "checkpoint.published=interrupt@2")
    with pytest.raises(KeyboardInterrupt):
        openmmlab.finetune(regraft.open(), openmmlab.read(CONFIG, options=SMALL))
    monkeypatch.delenv("REGRAFT_FAILPOINTS")
    cut = regraft.open().runs.get("latest").record

    typed("--config", CONFIG, "--cfg-options", *SMALL, "--resume-from", "work_dirs/resnet50_finetune_cifar")

    record = regraft.open().runs.get("latest").record
    pointer = json.loads((project / "work_dirs" / "resnet50_finetune_cifar" / "regraft.json").read_text())
    assert (cut.status, record.status) == ("interrupted", "done")
    assert (record.id, pointer["run"], pointer["model"]) == (cut.id, cut.id, record.outputs["model"])
    with pytest.raises(ConflictError):
        openmmlab.resume(regraft.open(), cut.id)


def test_a_checkpoint_of_the_original_is_no_run_to_go_on_with(project):
    with pytest.raises(InvalidError) as caught:
        openmmlab.resume(regraft.open(), "work_dirs/x/latest.pth")

    assert (str(caught.value), caught.value.hint) == (
        "'work_dirs/x/latest.pth' is no run of Regraft.",
        "Give the id of a run, or a folder of --work-dir. Weights of another toolkit go with --cfg-options "
        "load_from=FILE.",
    )


def test_a_config_is_never_written_over_by_what_it_comes_to(project):
    (project / CONFIG).write_text(OWN)

    with pytest.raises(InvalidError) as caught:
        openmmlab.finetune(regraft.open(), openmmlab.read(CONFIG), work_dir="configs/tutorial")

    assert (str(caught.value), (project / CONFIG).read_text()) == (
        "The config itself lies in 'configs/tutorial', and would be written over.",
        OWN,
    )


def test_recipe_import_writes_the_tutorial_as_a_native_recipe(project, capsys):
    (project / CONFIG).write_text(OWN)
    words = ["recipe", "import", CONFIG, "-o", "own.toml"]

    cli.main(words, standalone_mode=False)

    printed = capsys.readouterr().out
    assert (project / "own.toml").read_text() == printed.rstrip("\n") + "\n"
    assert recipes.read("own.toml") == openmmlab.read(CONFIG).recipe
    with pytest.raises(ConflictError):
        cli.main(words, standalone_mode=False)
