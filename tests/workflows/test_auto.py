"""Strategy `auto`: a head at once, a search within a budget, and nothing that a head does as well."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

import regraft
from regraft.errors import InvalidError, InvalidRecipe
from regraft.jobs.auto import clock
from regraft.records import ModelVersion

QUICK = (
    "data.size=32",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
    "data.workers=0",
)


def colours(folder, *, train=50, seed=0):
    """Write pictures of two colours, hidden in noise: so many of each to learn from, 10 to measure on."""
    random = np.random.default_rng(seed)
    for split, count in (("train", train), ("test", 10)):
        for label, colour in (("red", (150, 110, 110)), ("blue", (110, 110, 150))):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(np.array(colour) + random.integers(-90, 90, (3, 4, 3)), 0, 255)
                picture = Image.fromarray(pixels.astype(np.uint8))
                picture.resize((48, 36), Image.Resampling.NEAREST).save(place / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return colours(tmp_path_factory.mktemp("pictures") / "photos")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A workspace with a net as small as they come; what one test has computed, the next need not."""
    root = tmp_path_factory.mktemp("lab")
    lab = regraft.open(root / "workspace")
    other = colours(root / "other", train=16, seed=1)
    lab.finetune(
        other,
        model="timm:test_resnet",
        strategy="scratch",
        settings=(*QUICK, "train.epochs=1"),
        name="base",
    )
    return lab


def test_without_a_budget_it_is_a_probe_with_a_board(lab, photos):
    probe = lab.finetune(photos, model="base", strategy="probe", settings=QUICK, name="probe")

    result = lab.finetune(photos, model="base", strategy="auto", settings=QUICK, name="auto")

    one, other = (lab.models.get(name).read(ModelVersion) for name in ("probe", "auto"))
    assert (one.trunk, one.input, one.training) == (other.trunk, other.input, other.training)
    assert (other.learning.candidates, other.learning.C) == (one.learning.candidates, one.learning.C)
    assert other.learning.log_loss <= one.learning.log_loss
    board = result.report.board
    assert (board, probe.report.board) == (other.board, None)
    assert [row.head for row in board.rows if row.taken] == [other.learning.kind]
    assert {row.pictures for row in board.rows} == {100}
    assert {row.seconds for row in board.rows} == {None}
    assert [point.pictures for point in board.curve] == [10, 20, 40, 80]
    assert any(reason.startswith("More pictures: from 40 to 80") for reason in board.reasons)


def test_the_same_again_without_a_budget_gives_the_same_version(lab, photos):
    first = lab.finetune(photos, model="base", strategy="auto", settings=QUICK, name="twice")

    again = lab.finetune(photos, model="base", strategy="auto", settings=QUICK, name="twice")

    assert again.model == first.model == "twice:v1"


@pytest.fixture(scope="module")
def searched(lab, photos):
    """What a search came to that had time for everything."""
    return lab.finetune(
        photos,
        model="base",
        budget="10m",
        strategy="auto",
        settings=[*QUICK[1:], "train.epochs=3"],
        name="searched",
    )


def test_what_a_search_came_to_is_done_again_without_the_search(lab, searched):
    again = lab.runs.reproduce(searched.run.id)

    model = lab.models.get(searched.model).read(ModelVersion)
    assert (again.largest, again.model) == (0, "searched-again:v1")
    assert lab.models.get(again.model).read(ModelVersion).weights == model.weights
    assert model.lineage.recipe["train"]["budget"] == 0
    assert "train.budget" in {line.key for line in again.comparison.recipe}


def test_a_head_learns_from_the_views_that_a_recipe_names(lab, photos):
    result = lab.finetune(
        photos,
        model="base",
        strategy="auto",
        settings=[*QUICK, 'train.views=["mirrored", "cropped"]'],
        name="views",
    )

    heads = {row.head for row in result.report.board.rows}
    assert heads == {"logistic", "logistic, mirrored and cropped too"}
    assert lab.runs.reproduce(result.run.id).largest == 0


def test_a_split_that_a_search_compared_by_measures_nothing_afterwards(lab, tmp_path):
    folder = colours(tmp_path / "parted", train=16, seed=2)
    (colours(tmp_path / "more", train=1, seed=3) / "test").rename(folder / "val")
    lab.finetune(folder, model="base", budget=5, strategy="auto", settings=QUICK, name="parted")

    with pytest.raises(InvalidError, match="has learned from all 20 pictures of split 'val'"):
        lab.evaluate("parted", "parted", split="val")


def test_with_a_budget_views_are_screened_and_ways_to_tune_tried(lab, searched):
    result = searched

    board, model = result.report.board, lab.models.get(result.model).read(ModelVersion)
    heads = {row.head for row in board.rows}
    assert (board.budget, result.run.status) == (600, "done")
    assert heads >= {"logistic", "ridge", "lp-ft", "lp-ft of the upper half", "adapters", "head alone"}
    assert len({row.view for row in board.rows}) >= 3
    assert [row.taken for row in board.rows].count(True) == 1
    assert all(row.seconds is not None for row in board.rows)
    words = " ".join(board.reasons)
    assert all(f"Augmentation {name}: " in words for name in ("flip", "rotate", "color-jitter"))
    taken = next(row for row in board.rows if row.taken)
    assert taken.view == f"{model.input.size} px, {model.input.resize}"
    assert (model.training is None) == (taken.head not in ("lp-ft", "lp-ft of the upper half", "adapters"))
    assert model.lineage.recipe["data"]["size"] == model.input.size
    assert not (result.page.parent / "attempts").exists() or not any(
        (result.page.parent / "attempts").iterdir()
    )


def test_it_never_does_worse_than_the_probe_on_the_pictures_that_were_chosen_by(lab, photos):
    result = lab.finetune(photos, model="base", budget=60, strategy="auto", settings=QUICK)

    board = result.report.board
    plain, taken = board.rows[0], next(row for row in board.rows if row.taken)
    beaten = next((row for row in board.rows if row.head == "head alone"), plain)
    floor = plain if taken.pictures == plain.pictures else beaten
    assert (taken.log_loss, -taken.accuracy) <= (floor.log_loss, -floor.accuracy)


def test_what_the_recipe_says_of_the_view_is_not_searched_for(lab, photos):
    settings = (*QUICK, "data.resize=squash", "train.epochs=1")

    result = lab.finetune(photos, model="base", budget=60, strategy="auto", settings=settings)

    assert {row.view for row in result.report.board.rows} == {"32 px, squash"}


def test_a_budget_that_is_spent_ends_the_search_with_the_head(lab, photos):
    result = lab.finetune(photos, model="base", budget=0.1, strategy="auto", settings=QUICK)

    assert result.run.status == "done"
    assert {row.head for row in result.report.board.rows} >= {"logistic", "ridge"}
    assert len({row.view for row in result.report.board.rows}) == 1
    assert any("budget was spent" in reason for reason in result.report.board.reasons)


def test_ctrl_c_ends_the_search_and_the_best_so_far_is_taken(lab, photos):
    tuned = []

    def interrupt(task, done, total):
        if task.startswith("Tuning: "):
            tuned.append(task)
            os.kill(os.getpid(), signal.SIGINT)

    lab = regraft.open(lab.path, progress=interrupt)

    result = lab.finetune(photos, model="base", budget="10m", strategy="auto", settings=QUICK)

    board = result.report.board
    assert (result.run.status, len(tuned)) == ("done", 1)
    assert any("on request" in reason for reason in board.reasons)
    assert next(row.head for row in board.rows if row.taken) not in ("lp-ft", "adapters")


def test_a_request_to_stop_ends_the_search_and_the_best_so_far_is_taken(lab, photos):
    def ask(task, done, total):
        if task.endswith("than 32 px, crop."):
            (sorted((lab.path / "runs").iterdir())[-1] / "stop").touch()

    opened = regraft.open(lab.path, progress=ask)

    result = opened.finetune(photos, model="base", budget="10m", strategy="auto", settings=QUICK)

    assert result.run.status == "done"
    assert {row.view for row in result.report.board.rows} == {"32 px, crop", "32 px, pad"}
    assert any("on request" in reason for reason in result.report.board.reasons)


def test_a_search_that_was_cut_off_is_resumed_from_its_beginning(lab, photos):
    def fail(task, done, total):
        if task.startswith("Epoch 1 of"):
            raise MemoryError

    opened = regraft.open(lab.path, progress=fail)
    with pytest.raises(MemoryError):
        opened.finetune(photos, model="base", budget="10m", strategy="auto", settings=QUICK, name="cut")

    result = lab.runs.resume("latest")

    board = result.report.board
    assert (result.run.status, result.model) == ("done", "cut:v1")
    assert board.rows[0].pictures == 100
    assert [row.taken for row in board.rows].count(True) == 1


def test_pretrained_models_of_the_workspace_are_tried_too(workspace, photos, shared_data):
    weights = shared_data / "weights" / "resnet20-12fca82f.th"
    if not weights.exists():
        pytest.skip("the weights are not there")
    small = f"file:{weights}"
    workspace.finetune(
        photos, model=small, strategy="probe", settings=[*QUICK, "model.architecture=regraft:cifar_resnet20"]
    )

    result = workspace.finetune(
        photos, budget="40s", strategy="auto", settings=[*QUICK, "data.resize=squash", "train.epochs=1"]
    )

    assert len({row.backbone for row in result.report.board.rows}) == 2


def test_another_strategy_keeps_no_budget(lab, photos):
    with pytest.raises(InvalidRecipe) as caught:
        lab.finetune(photos, model="base", strategy="full", budget="5m", settings=QUICK)

    assert str(caught.value) == "The strategy 'full' keeps no budget."
    assert caught.value.where == "train.budget"


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("90", 90), ("45s", 45), ("5m", 300), ("1.5h", 5400), (" 2 m ", 120), (7.5, 7.5), ("0", 0)],
)
def test_spans_of_time_are_read(words, seconds):
    assert clock.parse(words) == seconds


@pytest.mark.parametrize("words", ["", "5 days", "m", "-3", "1e3"])
def test_words_that_are_no_span_of_time_are_refused(words):
    with pytest.raises(InvalidRecipe) as caught:
        clock.parse(words)

    assert str(caught.value) == f"{words!r} is no span of time."
