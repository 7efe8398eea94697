"""`regraft recipe`: what it prints and draws of recipes, without training."""

import json
import tomllib
from xml.etree import ElementTree

import pytest

from regraft.cli.main import cli
from regraft.errors import ConflictError, InvalidError, InvalidRecipe
from regraft.recipe import check, read

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def command(workspace, capsys):
    """Run `regraft recipe WORDS`; return what it prints."""

    def run(*words):
        cli.main(["recipe", *map(str, words), "--workspace", str(workspace.path)], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def seed(tmp_path):
    """A recipe of one of MindSpore's notebooks."""
    file = tmp_path / "recipe.toml"
    file.write_text(
        '[train]\nstrategy = "full"\nepochs = 60\nbatch_size = 128\n'
        "[optim]\nlr = 0.05\nhead_lr_scale = 10\nwarmup_epochs = 5\n"
        'schedule = { name = "mindspore", lr_end = 0.001 }\n'
    )
    return file


def test_a_schedule_is_a_table_of_rates(command, seed):
    lines = command("schedule", "--recipe", seed, "--set", "train.epochs=6").splitlines()

    assert lines == [
        "EPOCH  STEP  FACTOR   RATE      RATE OF THE HEAD",
        "1      0     0        0         0",
        "2      100   0.2      0.01      0.1",
        "3      200   0.4      0.02      0.2",
        "4      300   0.6      0.03      0.3",
        "5      400   0.8      0.04      0.4",
        "6      500   1        0.05      0.5",
        "6      599   0.02024  0.001012  0.01012",
    ]


def test_steps_follow_from_the_pictures_and_the_last_batch_may_be_smaller(workspace, seed):
    by_pictures = workspace.recipes.schedule(seed, pictures=50_000)

    by_steps = workspace.recipes.schedule(seed, steps_per_epoch=391)

    assert by_pictures == by_steps
    assert (by_pictures.steps_per_epoch, by_pictures.epochs, len(by_pictures.rows)) == (391, 60, 61)
    assert [row.lr for row in by_pictures.rows][:7] == pytest.approx(
        [0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.04996], abs=5e-7
    )


def test_json_has_all_digits_of_the_rates(command, workspace, seed):
    told = json.loads(command("schedule", "--recipe", seed, "--json"))

    planned = workspace.recipes.schedule(seed)
    assert told["steps_per_epoch"] == 100
    assert [(r["step"], r["epoch"], r["factor"], r["lr"], r["head_lr"]) for r in told["rows"]] == [
        (r.step, r.epoch, r.factor, r.lr, r.head_lr) for r in planned.rows
    ]


def test_rates_that_a_recipe_leaves_open_are_those_of_its_strategy(workspace):
    settings = ["optim.warmup_epochs=0", "optim.schedule=constant", "train.epochs=1"]

    tuned, probed = (
        workspace.recipes.schedule(settings=[*settings, f"train.strategy={strategy}"])
        for strategy in ("full", "probe")
    )

    assert tuned.rows[0].head_lr > tuned.rows[0].lr > 0
    assert tuned.notes == ()
    assert probed.notes == ("A probe is fitted without rates; another train.strategy learns at these.",)


def test_notes_stand_below_the_table(command):
    lines = command(
        "schedule", "--set", "optim.schedule=plateau", "--set", "train.strategy=full"
    ).splitlines()

    assert lines[-1] == "note    Drops follow from validation losses, and nobody knows them yet."


@pytest.mark.parametrize(
    ("setting", "where", "message", "hint"),
    [
        (
            'optim.schedule={name="cosine", edn=0.1}',
            "optim.schedule.edn",
            "The schedule 'cosine' has no option 'edn'.",
            "Did you mean 'end'?",
        ),
        ("optim.schedule=cosin", "optim.schedule", "There is no schedule 'cosin'.", "Did you mean 'cosine'?"),
        (
            "optim.shedule=cosine",
            "optim.shedule",
            "Unknown key 'shedule' in 'optim'.",
            "Did you mean 'schedule'?",
        ),
    ],
)
def test_a_misspelt_word_is_refused_with_its_place(command, setting, where, message, hint):
    with pytest.raises(InvalidRecipe) as caught:
        command("schedule", "--set", setting)

    assert (caught.value.where, str(caught.value), caught.value.hint) == (where, message, hint)


@pytest.mark.parametrize(
    "numbers", [{"pictures": 10, "steps_per_epoch": 10}, {"pictures": 0}, {"steps_per_epoch": -1}]
)
def test_an_epoch_has_one_number_of_steps_from_one_on(workspace, numbers):
    with pytest.raises(InvalidError):
        workspace.recipes.schedule(**numbers)


def points(polyline):
    return [tuple(map(float, pair.split(","))) for pair in polyline.get("points").split()]


def test_a_drawing_has_a_line_for_the_trunk_and_one_for_the_head(command, seed, tmp_path):
    file = tmp_path / "rates.svg"

    printed = command("schedule", "--recipe", seed, "--plot", file)

    drawing = ElementTree.fromstring(file.read_text())
    trunk, head = (points(line) for line in drawing.iter(f"{SVG}polyline"))
    peak = min(head, key=lambda point: point[1])
    left, right = head[0][0], head[-1][0]
    assert printed.splitlines()[-1] == f"drawn  {file}"
    assert {text.text for text in drawing.iter(f"{SVG}text")} >= {
        "trunk",
        "head",
        "epochs",
        "rate",
        "0",
        "60",
    }
    assert drawing.get("aria-label") == "Schedule mindspore"
    assert (peak[0] - left) / (right - left) == pytest.approx(5 / 60, abs=0.005)  # the peak is at epoch 5
    assert all(above[1] <= below[1] for above, below in zip(head, trunk, strict=True))
    assert all(0 <= x <= 640 and 0 <= y <= 320 for x, y in [*trunk, *head])


def test_a_drawing_follows_the_readers_screen_and_loads_nothing(command, seed, tmp_path):
    file = tmp_path / "rates.svg"

    command("schedule", "--recipe", seed, "--plot", file)

    text = file.read_text()
    assert "prefers-color-scheme:dark" in text
    assert text.count("http") == 1  # the name of the format
    assert "href" not in text


def test_one_line_alone_has_no_legend(command, seed, tmp_path):
    file = tmp_path / "rates.svg"

    command("schedule", "--recipe", seed, "--set", "optim.head_lr_scale=1", "--plot", file)

    drawing = ElementTree.fromstring(file.read_text())
    assert len(list(drawing.iter(f"{SVG}polyline"))) == 1
    assert "trunk" not in {text.text for text in drawing.iter(f"{SVG}text")}


def test_a_drawing_replaces_an_older_one_and_nothing_but_drawings(command, seed, tmp_path):
    drawing, photo = tmp_path / "rates.svg", tmp_path / "photo.jpg"
    drawing.write_text("old")
    photo.write_text("a photo")

    command("schedule", "--recipe", seed, "--plot", drawing)
    with pytest.raises(InvalidError) as caught:
        command("schedule", "--recipe", seed, "--plot", photo)

    assert drawing.read_text().startswith("<svg")
    assert (photo.read_text(), caught.value.hint) == ("a photo", "Let its name end in .svg.")


def test_the_presets_are_listed_with_what_they_are_for(command, workspace):
    lines = command("list").splitlines()

    told = json.loads(command("list", "--json"))

    assert [line.split()[0] for line in lines] == ["PRESET", *(one.name for one in workspace.recipes.list())]
    assert lines[1].endswith(told[0]["summary"])


def test_what_a_recipe_says_is_shown_with_where_it_came_from(command, seed, monkeypatch):
    monkeypatch.chdir(seed.parent)

    lines = command("show", "recipe.toml", "--set", "train.seed=3").splitlines()

    count = sum(len(values) for values in read(None).model_dump().values())
    assert lines == [
        "KEY                  VALUE                                   FROM",
        "optim.lr             0.05                                    recipe.toml, line 6",
        "optim.head_lr_scale  10.0                                    recipe.toml, line 7",
        'optim.schedule       { name = "mindspore", lr_end = 0.001 }  recipe.toml, line 9',
        "optim.warmup_epochs  5.0                                     recipe.toml, line 8",
        'train.strategy       "full"                                  recipe.toml, line 2',
        "train.seed           3                                       --set",
        "train.batch_size     128                                     recipe.toml, line 4",
        "train.epochs         60                                      recipe.toml, line 3",
        "",
        f"{count - 8} defaults besides; --all shows them, too.",
    ]


def test_all_values_are_shown_where_they_are_asked_for(command):
    chosen, every = command("show", "probe").splitlines(), command("show", "probe", "--all").splitlines()

    told = json.loads(command("show", "probe", "--json"))

    assert [line.split()[0] for line in every[1:5]] == [line.split()[0] for line in chosen[1:5]]
    assert len(every) == len(told) + 1
    assert every[-1].split()[-1] == "default"
    assert {one["key"]: one["default"] for one in told}["train.strategy"] is False
    assert [one for one in told if one["key"] == "train.epochs"] == [
        {"key": "train.epochs", "value": 10, "origins": ["default"], "default": True}
    ]


def test_a_recipe_is_shown_as_one_file_that_gives_it_back(command, seed, tmp_path):
    file = tmp_path / "whole.toml"

    told = command("show", seed, "--set", "train.seed=3", "--toml", "-o", file)

    assert check(tomllib.loads(told)) == read(file) == read(seed, ["train.seed=3"])
    with pytest.raises(ConflictError):
        command("show", "full", "-o", file)


def test_a_bare_name_and_a_table_with_that_name_do_not_differ(workspace, tmp_path):
    words, tables = tmp_path / "words.toml", tmp_path / "tables.toml"
    words.write_text('[optim]\noptimizer = "sgd"\nschedule = "step"\n[data]\naugment = ["flip", "gray"]\n')
    tables.write_text(
        '[optim]\noptimizer = { name = "sgd" }\nschedule = { name = "step", every = 3 }\n'
        '[data]\naugment = [{ name = "flip" }, "gray"]\n'
    )

    assert [one.key for one in workspace.recipes.diff(words, tables)] == ["optim.schedule"]


def test_what_differs_is_shown_with_both_origins(command, seed, monkeypatch):
    monkeypatch.chdir(seed.parent)
    (seed.parent / "other.toml").write_text('extends = "recipe.toml"\n[train]\nepochs = 3\nseed = 0\n')

    lines = command("diff", "recipe.toml", "other.toml").splitlines()

    assert lines == [
        "KEY           OLD                        NEW",
        "train.epochs  60  (recipe.toml, line 3)  3  (other.toml, line 3)",
    ]
    assert command("diff", "full", "full") == "They say the same.\n"


def test_the_schema_is_json_with_or_without_the_word(command):
    plain, asked = (json.loads(command("schema", *words)) for words in ((), ("--json",)))

    assert plain == asked
    assert plain["properties"]["train"]["description"].startswith("What is trained, for how long")


def test_a_budget_that_is_no_time_is_refused(command):
    with pytest.raises(InvalidRecipe) as caught:
        command("suggest", "digits", "--budget", "soon")

    assert caught.value.hint == "Write 90, 45s, 5m or 1.5h."
