"""`regraft recipe find-lr`: a rate before anything is trained, and nothing left behind."""

import json
from itertools import pairwise
from xml.etree import ElementTree

import pytest

import regraft
from regraft.cli.main import cli
from regraft.errors import InvalidError, InvalidRecipe
from regraft.records import ModelVersion

SVG = "{http://www.w3.org/2000/svg}"
SETTINGS = (
    "data.size=32",
    "data.augment=[]",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
)
OPTIONS = {"model": "timm:test_resnet", "strategy": "scratch", "settings": SETTINGS}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return regraft.open(tmp_path_factory.mktemp("lab") / "workspace")


@pytest.fixture(scope="module")
def found(lab, photos):
    """What a search finds for a net that knows nothing."""
    return lab.recipes.find_lr(photos, **OPTIONS, steps=40)


def test_rates_grow_until_the_loss_blows_up_and_one_of_them_is_proposed(found):
    assert (found.dataset, found.model, found.strategy) == ("photos:v1", "test_resnet-random:v1", "scratch")
    assert found.rates[0] == pytest.approx(1e-7)
    assert list(found.rates) == sorted(found.rates)
    assert len(found.rates) == len(found.losses) <= 40
    assert found.losses[0] == pytest.approx(1.0986, abs=0.01)  # an even guess among three classes
    assert min(found.losses) < found.losses[0] - 0.1
    assert 1e-5 < found.suggestion <= min(found.steepest, found.below_lowest) * 1.05
    assert found.setting == f"optim.lr={found.suggestion:g}"


def test_a_net_learns_at_the_rate_that_is_proposed(lab, photos, found):
    result = lab.finetune(
        photos, **{**OPTIONS, "settings": [*SETTINGS, found.setting]}, epochs=3, name="learned"
    )

    training = lab.models.get(result.model).read(ModelVersion).training
    assert training.epochs[-1].train_loss < training.epochs[0].train_loss - 0.1


def test_nothing_of_a_search_is_kept_and_the_next_one_finds_the_same(lab, photos, found):
    runs, models = lab.runs.list(), lab.models.list()

    again = lab.recipes.find_lr(photos, **OPTIONS, steps=40)

    assert again == found
    assert (lab.runs.list(), lab.models.list()) == (runs, models)
    assert list((lab.path / "cache").glob("rates-*")) == []


def test_a_search_begins_as_its_training_would(lab, photos):
    """`lp-ft` begins with a fitted head, and rows of known labels begin as they were; that is logged."""
    lab.finetune(photos, **OPTIONS, epochs=1, name="base")
    options = {"model": "base", "steps": 8}

    fitted = lab.recipes.find_lr(photos, **options, strategy="lp-ft", settings=SETTINGS)
    known = lab.recipes.find_lr(
        photos, **options, strategy="full", settings=[*SETTINGS, "model.reuse_labels=true"]
    )
    fresh = lab.recipes.find_lr(photos, **options, strategy="full", settings=SETTINGS)

    assert fitted.losses[0] < 0.5 < fresh.losses[0]
    assert known.losses[0] != pytest.approx(fresh.losses[0], abs=1e-3)
    assert list((lab.path / "cache").glob("rates-*")) == []


def test_the_command_prints_what_to_type_next_and_draws_the_losses(lab, photos, found, tmp_path, capsys):
    file = tmp_path / "rates.svg"
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["recipe", "find-lr", str(photos), "--model", "timm:test_resnet", "--strategy", "scratch"]
    command += [*words, "--steps", "40", "--plot", str(file), "--workspace", str(lab.path)]

    cli.main(command, standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    cli.main([*command, "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)

    assert lines[0].split() == ["RATE", "LOSS"]
    assert lines[1].split() == ["1e-07", f"{found.losses[0]:.4f}"]
    assert [line.split(maxsplit=1) for line in lines[-2:]] == [
        ["next", f"--set {found.setting}"],
        ["drawn", str(file)],
    ]
    assert (told["rates"], told["losses"]) == (list(found.rates), list(found.losses))
    assert (told["suggestion"], told["setting"]) == (found.suggestion, found.setting)
    drawing = ElementTree.fromstring(file.read_text())
    texts = {text.text for text in drawing.iter(f"{SVG}text")}
    assert texts >= {"loss", "suggestion", "base rate", "1e-07", "1e-06", "1e-05", "0.0001", "0.001"}


def test_decades_are_equally_far_apart(lab, photos, found, tmp_path):
    file = tmp_path / "rates.svg"

    lab.recipes.find_lr(photos, **OPTIONS, steps=40, plot=file)

    line, upright = ElementTree.fromstring(file.read_text()).iter(f"{SVG}polyline")
    xs = [float(pair.split(",")[0]) for pair in line.get("points").split()]
    gaps = [right - left for left, right in pairwise(xs)]
    assert max(gaps) - min(gaps) < 0.21  # rates grow by equal factors; places are rounded to a tenth
    (left, low), (right, high) = (map(float, pair.split(",")) for pair in upright.get("points").split())
    assert left == right
    assert low > high


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({}, InvalidRecipe, "A probe is fitted without rates."),
        ({"strategy": "full", "steps": 1}, InvalidError, "A search cannot have 1 steps."),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_added(workspace, photos, options, kind, says):
    with pytest.raises(kind) as caught:
        workspace.recipes.find_lr(photos, **options)

    assert str(caught.value) == says
    assert caught.value.hint
    assert workspace.datasets.list() == []


def test_a_drawing_goes_into_an_svg_file_alone_and_that_is_said_at_once(workspace, photos, tmp_path):
    with pytest.raises(InvalidError, match=r"is no SVG file\.$"):
        workspace.recipes.find_lr(photos, strategy="full", plot=tmp_path / "rates.png")

    assert workspace.datasets.list() == []
