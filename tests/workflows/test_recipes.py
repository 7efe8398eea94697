"""Recipes at work: presets train, a run's recipe gives the same weights again, suggestions are recipes."""

import json
import tomllib
from shutil import copyfile

import pytest
import torch

import regraft
from regraft.cli.main import cli
from regraft.errors import ConflictError, InvalidError, InvalidRecipe, NotFoundError
from regraft.hub import nets
from regraft.recipe import ModelSection, Recipe, presets, read
from regraft.records import ModelVersion
from regraft.store.journal import Journal
from regraft.workspace.ready import make_plan

#: What is changed of a preset so that it takes a second: the net, its pictures, and how many steps there are.
QUICK = (
    "model.weights_prefix=",
    "model.architecture=",
    "data.size=32",
    "train.precision=float32",
    "eval.precision=float32",
    "train.batch_size=24",
    "train.epochs=1",
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny trunk with weights made by chance, as a file."""
    file = tmp_path_factory.mktemp("weights") / "backbone.pth"
    torch.manual_seed(0)
    trunk, _ = nets.split_state(nets.build("test_resnet"))
    torch.save({f"backbone.{name}": tensor for name, tensor in trunk.items()}, file)
    return file


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return regraft.open(tmp_path_factory.mktemp("lab") / "workspace")


@pytest.fixture
def command(lab, capsys):
    """Run `regraft recipe WORDS`; return what it prints."""

    def run(*words):
        cli.main(["recipe", *map(str, words), "--workspace", str(lab.path)], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_trains_a_tiny_net_for_two_steps(lab, photos, weights, name):
    settings = [f"model.ref=file:{weights}", *QUICK]

    result = lab.finetune(photos, recipe=name, settings=settings, name=name)

    asked, used = read(name, settings), result.run.recipe
    assert used["train"]["strategy"] == asked.train.strategy
    assert used["optim"]["lr"] == (asked.optim.lr if asked.train.strategy != "probe" else 1e-3)
    learned = lab.models.get(result.model).read(ModelVersion)
    if asked.train.strategy != "probe":
        steps = [line["step"] for line in lab.runs.get(result.run.id).curve() if "epoch" in line]
        assert steps == [2]
        assert learned.training.strategy == asked.train.strategy


def rates(lab, name, **numbers):
    planned = lab.recipes.schedule(name, **numbers)
    return {row.epoch: row for row in reversed(planned.rows)}  # the first step of each epoch


def test_the_garbage_preset_learns_at_the_rates_of_get_lr(lab):
    found = rates(lab, "hub-garbage", steps_per_epoch=100)

    # the first step of the epochs that are counted 0, 1, 5 and 6 there, and of the last
    seen = [found[epoch + 1].lr for epoch in (0, 1, 5, 6, 59)]
    assert seen == pytest.approx([0, 0.01, 0.05, 0.04996, 0.00104], abs=5e-6)
    assert found[6].head_lr == found[6].lr


def test_the_cifar_preset_has_the_tutorials_steps_rates_and_frozen_stages(lab):
    planned = lab.recipes.schedule("mmcls-cifar10", pictures=50_000)
    found = rates(lab, "mmcls-cifar10", pictures=50_000)

    table = lab.models.groups("timm:resnet50", "mmcls-cifar10", classes=10)

    assert (planned.steps_per_epoch, planned.epochs) == (391, 200)
    assert [found[epoch].lr for epoch in (1, 15, 16, 200)] == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert (table.frozen, table.trainable) == (1_444_928, 22_083_594)
    assert {line.weight_decay for line in table.lines if line.group} == {1e-4}
    mean, std = (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)  # as the tutorial has them, of 255
    data = read("mmcls-cifar10").data
    assert data.mean == pytest.approx([value / 255 for value in mean], abs=5e-5)
    assert data.std == pytest.approx([value / 255 for value in std], abs=5e-5)


def test_the_hotdog_preset_gives_the_head_ten_times_the_rate_and_everything_the_decay(lab):
    table = lab.models.groups("torchvision:resnet18", "d2l-hotdog", classes=2)

    assert table.frozen == 0
    assert {(line.group, line.lr, line.weight_decay) for line in table.lines} == {
        ("trunk", 5e-5, 1e-3),
        ("head", 5e-5 * 10, 1e-3),
    }
    assert {row.lr for row in lab.recipes.schedule("d2l-hotdog", pictures=2000).rows} == {5e-5}


def test_of_the_frozen_densenet_only_the_classifier_learns(lab):
    frozen, full = (
        lab.models.groups("torchvision:densenet121", f"mindcv-wolves-{part}", classes=2)
        for part in ("frozen", "full")
    )

    assert (frozen.trainable, full.frozen) == (1024 * 2 + 2, 0)
    assert frozen.frozen + frozen.trainable == full.trainable
    assert {line.lr for line in frozen.lines if line.group} == {1e-3}
    assert {line.lr for line in full.lines} == {1e-4}


TUNED = ("full", "scratch", "probe")


@pytest.mark.parametrize("strategy", TUNED)
def test_the_recipe_of_a_run_gives_the_same_weights_again(lab, command, photos, weights, tmp_path, strategy):
    settings = [f"model.ref=file:{weights}", *QUICK, "train.seed=3", "train.epochs=2"]
    if strategy == "scratch":
        settings[0] = "model.ref=timm:test_resnet"
    first = lab.finetune(photos, recipe=strategy, settings=settings, name=f"first-{strategy}")
    file = tmp_path / "again.toml"
    file.write_text(command("show", f"run:{first.run.id}", "--toml"))

    again = [lab.finetune(photos, recipe=source, name="again") for source in (file, f"run:{first.run.id}")]

    one, *others = (lab.models.get(result.model).read(ModelVersion) for result in (first, *again))
    assert [(other.weights, other.head) for other in others] == [(one.weights, one.head)] * 2
    assert [result.run.recipe for result in again] == [first.run.recipe] * 2
    assert lab.recipes.diff(f"run:{first.run.id}", file) == []


def trunk_file(path, architecture):
    torch.manual_seed(0)
    trunk, _ = nets.split_state(nets.build(architecture))
    torch.save(trunk, path)
    return f"file:{path}"


def test_a_recipe_that_begins_with_another_model_forgets_how_its_own_weights_are_read(lab, photos, tmp_path):
    recipe = tmp_path / "recipe.toml"
    other = trunk_file(tmp_path / "other.pth", "test_resnet")
    recipe.write_text(
        'extends = "mmcls-cifar10"\n[model]\nref = "file:own.pth"\nweights = "own.pth"\npartial = true\n'
        "freeze = 1\n[data]\nsize = 64\n"
        '[train]\nepochs = 1\nprecision = "exact"\n[eval]\nprecision = "exact"\n'
    )

    checked = lab.recipes.check(recipe, photos, model=other)
    result = lab.finetune(photos, recipe=recipe, model=other, name="other")

    assert checked.problems == ()
    assert lab.models.get(result.model).read(ModelVersion).architecture == "test_resnet"
    assert result.run.recipe["model"]["freeze"] == 1


@pytest.mark.parametrize(
    ("text", "settings", "kept"),
    [
        (
            'ref = "file:a.pth"\nweights_prefix = "backbone"\narchitecture = "resnet18"\npartial = true\n',
            ["model.weights_prefix=trunk"],
            {"weights_prefix": "trunk"},
        ),
        ('ref = "file:b.pth"\nweights_prefix = "backbone"\n', [], {"weights_prefix": "backbone"}),
        ('weights = "mine.pth"\n', [], {"weights": "mine.pth"}),  # it leaves the model to the call
    ],
)
def test_of_a_recipe_what_is_set_and_what_is_about_the_same_model_stays(tmp_path, text, settings, kept):
    file = tmp_path / "recipe.toml"
    file.write_text(f"[model]\n{text}")

    plan = make_plan(file, settings, model="file:b.pth", strategy=None)

    assert plan.model == ModelSection(ref="file:b.pth", **kept)


@pytest.mark.parametrize(
    ("recipe", "said", "gpu", "seconds"),
    [
        (None, {}, True, 300.0),
        (None, {}, False, 0.0),
        (None, {"strategy": "probe"}, True, 0.0),
        (None, {"budget": 0}, True, 0.0),
        (None, {"budget": "1m"}, True, 60.0),
        (Recipe(), {}, True, 0.0),
    ],
    ids=["a gpu", "none", "a probe", "no budget", "a minute", "all of a recipe"],
)
def test_with_a_gpu_auto_has_a_budget_of_its_own(monkeypatch, recipe, said, gpu, seconds):
    monkeypatch.setattr("regraft.jobs.machine.accelerated", lambda: gpu)

    plan = make_plan(recipe, (), **{"model": None, "strategy": None} | said)

    assert plan.train.budget == seconds


def test_the_recipe_of_a_run_that_another_version_recorded_is_refused_in_words(lab):
    run = Journal(lab.path / "runs").create("finetune", inputs={}, recipe={"train": {"seed": 1, "warp": 9}})

    with pytest.raises(InvalidRecipe) as caught:
        lab.recipes.show(f"run:{run.record.id}")

    assert (str(caught.value), caught.value.hint, caught.value.where) == (
        f"run:{run.record.id}: Unknown key 'warp' in 'train'.",
        "Another version of Regraft has recorded it, and can read it.",
        "train.warp",
    )


def test_a_run_without_a_recipe_has_none_to_show(lab, photos, weights):
    quick = [f"model.ref=file:{weights}", *QUICK]
    probe = lab.finetune(photos, settings=quick, name="measured")
    lab.evaluate(probe.model, "photos")

    with pytest.raises(InvalidError) as caught:
        lab.recipes.show("run:latest")

    run = lab.runs.list()[-1].id
    assert str(caught.value) == f"Run {run} has no recipe: its kind is 'evaluate'."


def test_a_run_that_there_is_not_is_named(lab):
    with pytest.raises(NotFoundError):
        lab.recipes.show("run:none")


def test_an_option_that_an_entry_has_not_is_refused_with_its_file_and_line(lab, photos, tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(
        '[train]\nstrategy = "scratch"\n\n[optim]\noptimizer = { name = "sgd", momentun = 0.9 }\n'
        'schedule = { name = "cosine", edn = 0.1 }\n[model]\nfreeze = "layr1.*"\n'
    )

    errors = []
    for act in (
        lambda: lab.finetune(photos, model="timm:test_resnet", recipe=file, settings=["optim.schedule=step"]),
        lambda: lab.recipes.schedule(file),
        lambda: lab.models.groups("timm:test_resnet", file),
    ):
        with pytest.raises(InvalidRecipe) as caught:
            act()
        errors.append((str(caught.value), caught.value.hint, caught.value.where))

    assert errors == [
        ("The schedule 'step' needs 'every'.", 'Write {name = "step", every = ...}.', "optim.schedule"),
        (
            f"{file}, line 6: The schedule 'cosine' has no option 'edn'.",
            "Did you mean 'end'?",
            "optim.schedule.edn",
        ),
        (
            f"{file}, line 8: No parameter of the net has a name like 'layr1.*'.",
            "One is 'conv1.0.weight'.",
            "model.freeze",
        ),
    ]


def test_a_suggestion_is_a_recipe_with_reasons_that_can_be_read_again(lab, command, photos, tmp_path):
    file = tmp_path / "suggested.toml"

    printed = command("suggest", photos, "--budget", "30m", "-o", file)
    told = json.loads(command("suggest", photos, "--budget", "30m", "--json"))

    document = tomllib.loads(file.read_text())
    flat = {f"{section}.{key}": value for section, table in document.items() for key, value in table.items()}
    assert flat == {one["key"]: one["value"] for one in told["advice"]}
    assert all(f"# {one['why']}\n" in file.read_text() for one in told["advice"])
    assert flat["train.time_limit"] == 1800
    assert told["facts"]["pictures"] == sum(lab.datasets.get("photos").record.splits["train"].values())
    assert read(file).train.strategy == flat["train.strategy"] == "lp-ft"
    assert printed.splitlines()[-1].endswith(f"regraft finetune photos --recipe {file}")


def test_a_val_that_is_measured_on_is_none_to_choose_by(lab, photos, tmp_path):
    for split, numbers in (("train", range(15)), ("val", range(15, 20))):
        for label in ("leaf", "sea"):
            (tmp_path / "two" / split / label).mkdir(parents=True)
            for number in numbers:
                copyfile(photos / label / f"{number}.jpg", tmp_path / "two" / split / label / f"{number}.jpg")

    found = lab.recipes.suggest(tmp_path / "two")

    assert (found.facts.pictures, found.facts.validation) == (30, 0)


def test_a_suggestion_overwrites_nothing(lab, photos, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nseed = 4\n")

    with pytest.raises(ConflictError) as caught:
        lab.recipes.suggest(photos, output=file)

    assert str(caught.value) == f"{str(file)!r} exists already."
    assert file.read_text() == "[train]\nseed = 4\n"


def test_a_value_that_a_word_of_the_call_replaced_is_not_placed_in_the_file(lab, photos, tmp_path):
    probe, full = tmp_path / "probe.toml", tmp_path / "full.toml"
    probe.write_text('[train]\nstrategy = "probe"\n')
    full.write_text('[train]\nstrategy = "full"\n')

    errors = []
    for recipe, strategy in ((probe, None), (full, "probe")):
        with pytest.raises(InvalidRecipe) as caught:
            lab.recipes.find_lr(photos, recipe=recipe, strategy=strategy)
        errors.append(str(caught.value))

    message = "A probe is fitted without rates."
    assert errors == [f"{probe}, line 2: {message}", message]
