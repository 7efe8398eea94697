"""`regraft recipe check`: all that is wrong with a recipe is told at once, and nothing is spent for it."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save

import regraft
from regraft.cli.main import cli
from regraft.errors import RegraftError
from regraft.hub import nets
from regraft.records import DatasetVersion, ModelVersion

#: What every recipe of these tests begins with: a small net, from weights that lie beside it.
BEGIN = """[model]
ref = "timm:test_resnet"
weights = "net.safetensors"
"""


def save_net(architecture, path):
    torch.manual_seed(0)
    state = nets.original_state(nets.build(architecture))
    path.write_bytes(save({name: value.contiguous() for name, value in state.items()}))


@pytest.fixture
def folder(tmp_path, monkeypatch, one_thread) -> Path:
    """Where a person stands: weights, and `photos` of two classes; nothing is fetched there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "home"))
    save_net("test_resnet", tmp_path / "net.safetensors")
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((40, 30), Image.Resampling.NEAREST)
            picture.save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def typed(*words):
    result = CliRunner().invoke(
        cli, ["recipe", "check", *map(str, words)], catch_exceptions=False, standalone_mode=False
    )
    return result.return_value, result.stdout


def told(*words):
    code, out = typed(*words, "--json")
    return code, json.loads(out)


def problems(found):
    return [(one["where"], one["message"], one["hint"]) for one in found["problems"]]


LINEAR = 'Leave model.reuse_labels out, or set train.strategy = "full" and model.head = "linear".'
BROKEN = {
    "no TOML": (
        "[model\n",
        (
            "recipe",
            "'recipe.toml' is not TOML: Expected ']' at the end of a table declaration "
            "(at line 1, column 7).",
            'Write key = value, and words in quotes: loss = "focal".',
        ),
    ),
    "an unknown section": (
        "[modle]\n",
        ("modle", "recipe.toml, line 1: Unknown key 'modle'.", "Did you mean 'model'?"),
    ),
    "an unknown key": (
        BEGIN + "[optim]\nlrr = 0.1\n",
        ("optim.lrr", "recipe.toml, line 5: Unknown key 'lrr' in 'optim'.", "Did you mean 'lr'?"),
    ),
    "a wrong type": (
        BEGIN + '[train]\nbatch_size = "large"\n',
        (
            "train.batch_size",
            "recipe.toml, line 5: 'train.batch_size' cannot be 'large'.",
            "Input should be a valid integer.",
        ),
    ),
    "a value out of range": (
        BEGIN + "[train]\nepochs = 0\n",
        (
            "train.epochs",
            "recipe.toml, line 5: 'train.epochs' cannot be 0.",
            "Input should be greater than or equal to 1.",
        ),
    ),
    "an unknown optimizer": (
        BEGIN + '[optim]\noptimizer = "adamm"\n',
        ("optim.optimizer", "recipe.toml, line 5: There is no optimizer 'adamm'.", "Did you mean 'adam'?"),
    ),
    "an unknown schedule": (
        BEGIN + '[optim]\nschedule = "cosin"\n',
        ("optim.schedule", "recipe.toml, line 5: There is no schedule 'cosin'.", "Did you mean 'cosine'?"),
    ),
    "an unknown loss": (
        BEGIN + '[train]\nloss = "foccal"\n',
        ("train.loss", "recipe.toml, line 5: There is no loss 'foccal'.", "Did you mean 'focal'?"),
    ),
    "an unknown augmentation": (
        BEGIN + '[data]\naugment = ["flip", "rotat"]\n',
        (
            "data.augment.1",
            "recipe.toml, line 5: There is no augmentation 'rotat'.",
            "Did you mean 'rotate'?",
        ),
    ),
    "an unknown head": (
        BEGIN + 'head = "mlpp"\n',
        ("model.head", "recipe.toml, line 4: There is no head 'mlpp'.", "Did you mean 'mlp'?"),
    ),
    "an unknown adapter": (
        BEGIN + 'adapter = "lorra"\n[train]\nstrategy = "adapters"\n',
        ("model.adapter", "recipe.toml, line 4: There is no adapter 'lorra'.", "Did you mean 'lora'?"),
    ),
    "an unknown strategy": (
        BEGIN + '[train]\nstrategy = "ful"\n',
        (
            "train.strategy",
            "recipe.toml, line 5: 'train.strategy' cannot be 'ful'.",
            "Input should be 'auto', 'probe', 'full', 'partial', 'lp-ft', 'gradual', 'adapters' or "
            "'scratch'.",
        ),
    ),
    "an unknown option": (
        BEGIN + '[optim]\noptimizer = {name = "sgd", momentun = 0.9}\n',
        (
            "optim.optimizer.momentun",
            "recipe.toml, line 5: The optimizer 'sgd' has no option 'momentun'.",
            "Did you mean 'momentum'?",
        ),
    ),
    "an option that is missing": (
        BEGIN + '[optim]\nschedule = "multistep"\n',
        (
            "optim.schedule",
            "recipe.toml, line 5: The schedule 'multistep' needs 'milestones'.",
            'Write {name = "multistep", milestones = ...}.',
        ),
    ),
    "a part of the picture that is chosen twice": (
        BEGIN + '[data]\naugment = ["flip", "random-crop"]\n',
        (
            "data.augment.1",
            "recipe.toml, line 5: 'random-crop' has to be the first augmentation.",
            "Move it to the front, and leave out what else chooses a part of the picture.",
        ),
    ),
    "a warm-up that never rises": (
        BEGIN + '[optim]\nwarmup = "constant"\nwarmup_start = 0\n',
        (
            "optim.warmup_start",
            "recipe.toml, line 6: A warm-up that is constant cannot begin at 0: nothing would learn until "
            "its end.",
            "Raise optim.warmup_start, or set optim.warmup=linear.",
        ),
    ),
    "extends that runs in a circle": (
        'extends = "./recipe.toml"\n',
        (
            "extends",
            "recipe.toml, line 1: 'recipe.toml' extends itself: recipe.toml -> recipe.toml.",
            "Take 'extends' out of one of them.",
        ),
    ),
    "extends that is missing": (
        'extends = "fulll"\n',
        ("recipe", "recipe.toml, line 1: There is no recipe file 'fulll'.", "Did you mean 'full'?"),
    ),
    "a pattern that freezes nothing": (
        BEGIN + 'freeze = ["layer9.*"]\n',
        (
            "model.freeze",
            "recipe.toml, line 4: No parameter of the net has a name like 'layer9.*'.",
            "One is 'conv1.0.weight'.",
        ),
    ),
    "more stages than there are": (
        BEGIN + "freeze = 9\n",
        (
            "model.freeze",
            "recipe.toml, line 4: The net has 4 stages above its stem, and 9 should be frozen.",
            'They are layer1, layer2, layer3, layer4; all of them are "backbone".',
        ),
    ),
    "a rule that matches nothing": (
        BEGIN + '[[optim.groups]]\npattern = "neck.*"\n',
        (
            "optim.groups.0",
            "recipe.toml, line 4: No parameter that learns has a name like 'neck.*'.",
            "One is 'trunk.conv1.0.weight'.",
        ),
    ),
    "a head that cannot be fitted first": (
        BEGIN + 'head = "mlp"\n[train]\nstrategy = "lp-ft"\n',
        (
            "model.head",
            "recipe.toml, line 4: The strategy 'lp-ft' fits a linear head first.",
            'Set model.head = "linear", or train.strategy = "full".',
        ),
    ),
    "rows for a head that is fitted first": (
        BEGIN + 'reuse_labels = true\n[train]\nstrategy = "lp-ft"\n',
        (
            "model.reuse_labels",
            "recipe.toml, line 4: Rows of the old classifier cannot begin a head that is fitted first, or "
            "is not linear.",
            LINEAR,
        ),
    ),
    "labels that the net does not know": (
        BEGIN + "reuse_labels = true\n",
        (
            "model.reuse_labels",
            "recipe.toml, line 4: None of the labels is among the 1,000 that the model knows.",
            "Say what they are called there in a file of synonyms (model.synonyms), or leave "
            "model.reuse_labels out.",
        ),
    ),
    "a cache of what changes": (
        BEGIN + 'freeze = 2\n[train]\nboundary = "cache"\n',
        (
            "train.boundary",
            "recipe.toml, line 6: What is frozen cannot be computed once: the net sees a picture otherwise "
            "in every epoch.",
            "Set data.augment=[] and no mixing, or train.boundary=auto.",
        ),
    ),
    "a cache of nothing": (
        BEGIN + '[data]\naugment = []\n[train]\nboundary = "cache"\n',
        (
            "train.boundary",
            "recipe.toml, line 7: What is frozen cannot be computed once: nothing is that stays so from the "
            "stem upwards.",
            "Freeze stages (model.freeze), or set train.boundary=auto.",
        ),
    ),
    "a soup without anything to choose by": (
        BEGIN + "[train]\nsoup = 3\n[eval]\nholdout = 0\n[data]\nval_fraction = 0\n",
        (
            "train.soup",
            "recipe.toml, line 5: There are no pictures to choose the epochs of a soup by.",
            "Add a split 'val', or hold a part of train out: --set eval.holdout=0.1.",
        ),
    ),
    "synonyms that are missing": (
        BEGIN + 'synonyms = "words.txt"\n',
        ("model.synonyms", "recipe.toml, line 4: There is no file of synonyms 'words.txt'.", ""),
    ),
    "weights that are missing": (
        '[model]\nref = "timm:test_resnet"\nweights = "gone.safetensors"\n',
        ("model.weights", "recipe.toml, line 3: There is no weights file 'gone.safetensors'.", ""),
    ),
    "a budget that is not kept": (
        BEGIN + '[train]\nstrategy = "full"\nbudget = 60\n',
        (
            "train.budget",
            "recipe.toml, line 6: The strategy 'full' keeps no budget.",
            "Leave it to auto: --strategy auto. A training ends in time with train.time_limit.",
        ),
    ),
    "a net that does not exist": (
        '[model]\nref = "timm:resnet5"\nweights = "net.safetensors"\n',
        (
            "model.ref",
            f"recipe.toml, line 2: timm {version('timm')} has no architecture 'resnet5'.",
            "Did you mean 'resnet50'?",
        ),
    ),
}


@pytest.mark.parametrize(("text", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_recipe_is_told_by_key_place_and_remedy(folder, text, problem):
    (folder / "recipe.toml").write_text(text)
    dataset = ["photos"] if "soup" in text or "reuse" in text else []
    strategy = [] if "strategy" in text else ["--strategy", "full"]

    code, found = told("recipe.toml", *dataset, *strategy)

    assert (code, problems(found)) == (5, [problem])


def test_all_that_is_wrong_is_told_at_once_and_what_is_doubtful_besides(folder):
    (folder / "recipe.toml").write_text(
        BEGIN + 'head = "mlpp"\nfreeze = 9\n[optim]\nlrr = 1\nschedule = "cosin"\n[train]\nepochs = 0\n'
        'strategy = "full"\nloss = "foccal"\n[data]\naugment = ["flipp"]\n'
    )

    code, out = typed("recipe.toml", "phots", "--devices", "99")

    lines = out.splitlines()
    assert code == 5
    assert [line.split()[1] for line in lines if line.startswith("problem ")] == [
        "optim.lrr",
        "train.epochs",
        "devices",
        "dataset",
        "model.head",
        "data.augment.0",
        "train.loss",
        "optim.schedule",
        "model.freeze",
    ]
    place = lines.index("problem train.loss")
    assert lines[place + 1 : place + 3] == [
        "        recipe.toml, line 12: There is no loss 'foccal'.",
        "        Did you mean 'focal'?",
    ]
    assert lines[-1] == "9 problems: it cannot be trained so"


def test_nothing_is_kept_and_a_fine_tuning_does_what_was_said(folder):
    ws = regraft.open()
    settings = [
        "model.weights=net.safetensors",
        "train.epochs=1",
        "train.batch_size=16",
        "train.precision=exact",
    ]
    settings += ["eval.precision=exact", "data.size=64"]

    found = ws.recipes.check("full", "photos", model="timm:test_resnet", settings=settings)

    assert found.problems == ()
    assert (ws.datasets.list(), ws.models.list(), ws.runs.list()) == ([], [], [])
    assert list((ws.path / "cache").glob("aside-*")) == []
    done = ws.finetune("photos", recipe="full", model="timm:test_resnet", settings=settings)
    training = done.report.training
    assert (found.data.splits["train"], found.data.measured) == (
        done.dataset.read(DatasetVersion).splits["train"],
        done.report.split,
    )
    assert (found.learning.trainable, found.learning.frozen) == (training.trainable, training.frozen)
    assert found.batches.steps == training.steps
    assert (found.batches.pictures, found.choosing.pictures) == (training.pictures, training.chosen_by)
    assert found.base.report == ws.models.list()[0].read(ModelVersion).load_report


@pytest.mark.parametrize(
    "strategy", ["auto", "probe", "full", "partial", "lp-ft", "gradual", "adapters", "scratch"]
)
def test_every_strategy_takes_a_first_step(folder, strategy):
    ws = regraft.open()

    found = ws.recipes.check(
        None,
        "photos",
        strategy=strategy,
        model="timm:test_resnet",
        settings=["model.weights=net.safetensors", "train.precision=exact", "eval.precision=exact"],
    )

    step = found.cost.step
    assert found.problems == ()
    tunes = strategy not in ("auto", "probe")
    assert (step.loss is not None) == (found.rates is not None) == tunes
    assert not tunes or step.loss == pytest.approx(np.log(2), abs=0.01)
    assert (step.gradients > 0) == (step.checkpoint > 0) == tunes
    assert 0 < found.cost.memory < found.cost.memory_free
    assert 0 < found.room.needed < found.room.free


def test_a_folder_in_place_of_a_recipe_is_told_the_order_of_words(folder):
    code, found = told("photos")

    assert (code, problems(found)) == (
        5,
        [
            (
                "recipe",
                "'photos' is a folder, and no recipe.",
                "RECIPE comes before DATASET; it is a TOML file, or the name of a preset.",
            )
        ],
    )


def test_a_dataset_of_the_workspace_is_checked_as_it_is(folder):
    ws = regraft.open()
    ws.datasets.add("animals", "photos")

    code, found = told(
        "probe", "animals", "--set", "train.precision=exact", "--model", "regraft:cifar_resnet20"
    )

    assert code == 5
    assert (found["data"]["dataset"], found["data"]["stored"]) == ("animals:v1", True)
    assert problems(found) == [
        (
            "model.ref",
            "Nobody publishes weights for 'regraft:cifar_resnet20'.",
            "Name a file that you have: --set model.weights=FILE. Or learn from nothing: --strategy scratch.",
        )
    ]
    assert [str(version) for version in ws.datasets.list()] == ["animals:v1"]


def test_weights_that_are_not_here_are_named_with_the_place_where_they_belong(folder, monkeypatch):
    words = ["full", "photos", "--model", "timm:test_resnet", "--set", "data.size=64"]

    offline = told(*words)
    monkeypatch.delenv("REGRAFT_OFFLINE")
    online = told(*words)

    hint = offline[1]["problems"][0]["hint"]
    assert (offline[0], online[0]) == (5, 0)
    assert [one["where"] for one in offline[1]["problems"]] == ["model.ref"]
    assert hint.startswith("Take model.safetensors from https://huggingface.co/timm/test_resnet")
    assert str(folder / "home" / "cache" / "downloads") in hint
    assert online[1]["base"]["needed"] == hint
    assert online[1]["cost"]["step"]["loss"] > 0  # of random weights
    assert "The weights are not on this machine: a fine-tuning fetches them." in [
        note["words"] for note in online[1]["notes"]
    ]


def test_without_a_dataset_a_step_is_tried_on_noise(folder):
    found = regraft.open().recipes.check(
        "full", model="timm:test_resnet", settings=["data.size=64"], strategy="scratch"
    )

    assert found.problems == ()
    assert (found.data, found.choosing, found.batches.pictures, found.batches.steps) == (
        None,
        None,
        None,
        100,
    )
    assert found.cost.step.loss > 0


def test_a_misfit_is_refused_by_a_fine_tuning_before_it_reads_pictures(folder):
    ws = regraft.open()
    model = ["model.ref=timm:test_resnet", "model.weights=net.safetensors"]
    for settings in (
        [*model, "train.loss=foccal"],
        [*model, "optim.optimizer=addam"],
        [*model, "train.budget=60"],
        [model[0], "model.weights=gone.safetensors"],
        ["model.ref=nobody"],
        ["model.ref=file:gone.safetensors"],
    ):
        checked = ws.recipes.check("full", settings=settings)

        with pytest.raises(RegraftError) as caught:
            ws.finetune("photos", recipe="full", settings=settings)

        assert [(one.message, one.hint) for one in checked.problems] == [
            (str(caught.value), caught.value.hint)
        ]
    assert (ws.datasets.list(), ws.models.list(), ws.runs.list()) == ([], [], [])


def test_labels_that_the_net_does_not_know_are_found_before_a_run_begins(folder):
    ws = regraft.open()

    with pytest.raises(RegraftError, match="None of the labels is among the 1,000 that the model knows"):
        ws.finetune(
            "photos",
            recipe="full",
            model="timm:test_resnet",
            settings=["model.weights=net.safetensors", "model.reuse_labels=true"],
        )

    assert ws.runs.list() == []


@pytest.mark.parametrize("strategy", ["probe", "full"])
def test_a_net_that_cannot_take_the_pictures_says_so(folder, strategy):
    ws = regraft.open()
    save_net("test_vit", folder / "vit.safetensors")
    settings = ["data.size=100", "model.weights=vit.safetensors"]

    found = ws.recipes.check("full", "photos", model="timm:test_vit", strategy=strategy, settings=settings)

    assert [(one.where, one.message) for one in found.problems] == [
        (
            "data.size",
            "The net 'test_vit' cannot take a batch: Input height (100) should be divisible by patch "
            "size (16).",
        )
    ]


def test_a_size_that_the_net_cannot_take_is_refused_by_a_fine_tuning(folder):
    ws = regraft.open()

    with pytest.raises(RegraftError, match="The net 'test_vit' cannot take a batch"):
        ws.finetune("photos", model="timm:test_vit", strategy="scratch", settings=["data.size=100"])

    assert ws.runs.list() == []


def test_a_workspace_that_cannot_be_written_is_told_and_names_are_checked_all_the_same(folder, monkeypatch):
    ws = regraft.open()
    monkeypatch.setattr("os.access", lambda *_: False)

    found = ws.recipes.check("full", "photos", settings=["train.loss=foccal"])

    assert found.base is None
    assert [(one.where, one.message) for one in found.problems] == [
        ("workspace", f"Nothing can be written into {str(ws.path)!r}."),
        ("train.loss", "There is no loss 'foccal'."),
    ]


def test_a_recipe_that_suits_is_told_under_short_headings(folder):
    words = ["--model", "timm:test_resnet", "--set", "model.weights=net.safetensors", "--devices", "2"]

    code, out = typed("partial", "photos", *words, "--set", "train.batch_size=8", "--set", "data.size=64")

    lines = out.splitlines()
    headings = [line for line in lines if line and not line.startswith((" ", "note"))]
    assert (code, headings) == (
        0,
        [
            "data",
            "model",
            "what learns (partial)",
            "batches",
            "rates",
            "taken is",
            "one step",
            "disk",
            "nothing is in the way",
        ],
    )
    assert "  classes    2, as targets 0 to 1: cat, dog" in lines
    assert "  step       8 pictures, 4 on each of 2 devices" in lines
    assert "  weights    92 tensors loaded, 0 renamed" in lines
    assert lines[-1] == "nothing is in the way"


def test_a_config_of_openmmlab_is_checked_as_well(run, tmp_path):
    broken, sound = tmp_path / "broken.py", tmp_path / "sound.py"
    broken.write_text("import os\n")
    sound.write_text(
        "_base_ = ['_base_/models/resnet18.py', '_base_/datasets/cifar10_bs16.py',\n"
        "          '_base_/schedules/cifar10_bs128.py', '_base_/default_runtime.py']\n"
        "model = dict(head=dict(num_classes=10))\n"
    )

    refused = run("recipe", "check", broken, home=tmp_path / "home", REGRAFT_OFFLINE="1")
    checked = run("recipe", "check", sound, "--json", home=tmp_path / "home", REGRAFT_OFFLINE="1")

    assert refused.code == 5
    assert f"{broken.name}, line 1" in refused.err
    assert (checked.code, checked.json["problems"]) == (0, [])
    assert checked.json["batches"]["batch_size"] == 128
    assert any("NOTHING PRETRAINED" in note["words"] for note in checked.json["notes"])
