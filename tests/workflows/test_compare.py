"""Numbers beside numbers: reports and runs compared, requirements, tables, and a run done once more."""

import csv
import json

import pytest
from PIL import Image

import regraft


@pytest.fixture(scope="module")
def other(tuned, run, photos, home):
    """A second model of the same pictures, whose net saw less of each."""
    return run("finetune", photos, "--name", "small", "--set", "data.size=32", home=home)


def run_of(model, run, home):
    """Return the run that made a model."""
    listed = run("run", "list", "--json", home=home).json
    return next(one["id"] for one in listed if one["outputs"].get("model") == model)


def test_two_reports_are_compared_picture_by_picture(other, run, home):
    said = run("report", "compare", "photos:v1", "small:v1", home=home)
    found = run("report", "compare", "photos:v1", "small:v1", "--json", home=home).json

    (pair,) = found["pairs"]
    assert (said.code, other.code) == (0, 0)
    assert said.out.startswith(
        "small:v1 against photos:v1, on 12 pictures of both (reports small:v1, photos:v1)\n"
    )
    assert pair["verdict"] in said.out
    assert (pair["pictures"], pair["alone"]) == (12, [0, 0])
    accuracy = pair["numbers"]["accuracy"]
    changed = (len(pair["fixed"]) - len(pair["broken"])) / 12
    assert accuracy["difference"] == pytest.approx(changed)
    assert accuracy["interval"]["low"] <= accuracy["difference"] <= accuracy["interval"]["high"]
    assert {one["label"]: one["support"] for one in pair["classes"]} == {"leaf": 4, "sand": 4, "sea": 4}


def test_a_requirement_that_is_not_met_fails_the_command(other, run, home):
    met = run(
        "report", "compare", "photos:v1", "photos:v1", "--require", "no class drops > 2 points", home=home
    )
    missed = run("report", "compare", "photos:v1", "small:v1", "--require", "log_loss < 0", home=home)
    wrong = run("evaluate", "photos", "photos", "--require", "acuracy", home=home)
    both = run(
        "evaluate", "photos", "photos@val", "--require", "accuracy >= 0", "--require", "count > 99", home=home
    )

    assert (met.code, "pass    no class drops > 2 points: " in met.out) == (0, True)
    assert (missed.code, "FAIL    log_loss < 0: log_loss is " in missed.out) == (1, True)
    assert (wrong.code, "'acuracy' is no requirement." in wrong.err) == (5, True)
    assert both.code == 1
    assert "pass    accuracy >= 0: " in both.out
    assert "of split 'val'" in both.out


def test_reports_that_share_no_picture_are_not_compared(other, run, home, make_folder):
    run("evaluate", "photos", make_folder({"leaf": 4, "sea": 4}, name="others"), home=home)

    said = run("report", "compare", "photos:v1", "photos", home=home)

    assert said.code == 5
    assert "have no picture in common." in said.err


def test_the_table_has_what_was_said_of_each_picture(tuned, run, home, tmp_path):
    table = tmp_path / "said.csv"

    said = run("report", "export", "photos:v1", table, home=home)
    again = run("report", "export", "photos:v1", table, home=home)
    wrong = run("report", "export", "photos:v1", tmp_path / "said.xls", home=home)

    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert (said.code, said.out.strip()) == (0, str(table))
    assert (again.code, wrong.code) == (4, 5)
    assert len(rows) == 12
    assert list(rows[0])[:8] == [
        "key",
        "digest",
        "family",
        "label",
        "predicted",
        "probability",
        "loss",
        "flags",
    ]
    sums = [sum(float(row[name]) for name in row if name.startswith("probability of ")) for row in rows]
    assert sums == pytest.approx([1.0] * 12, abs=1e-6)


def test_two_runs_are_compared_by_recipe_environment_and_result(other, run, home):
    first, second = (run_of(model, run, home) for model in ("photos:v1", "small:v1"))

    said = run("run", "compare", first, second, home=home)
    found = run("run", "compare", first, second, "--json", home=home).json
    itself = run("run", "compare", first, first, home=home)

    assert said.code == 0
    changed = {line["key"]: (line["first"], line["second"]) for line in found["recipe"]}
    assert changed["data.size"] == ("224", "32")
    assert set(changed) == {"data.size", "data.cache_side"}
    assert found["environment"] == []
    assert "weights" in {line["key"] for line in found["results"]}
    assert itself.out == "The two runs are the same.\n"


def test_every_report_says_how_many_models_its_split_had_measured(photos, tmp_path):
    lab = regraft.open(tmp_path)
    small, large = (
        lab.finetune(photos, strategy="probe", settings=[f"data.size={size}"], name=f"of{size}")
        for size in (32, 64)
    )

    again = lab.evaluate("of32", "photos")

    assert [one.report.looks for one in (small, large, again)] == [1, 2, 2]
    assert "This is the first model that this split has measured." in small.page.read_text()
    lab.reports.export("of64", tmp_path / "report.md")
    assert "This split has measured 2 models so far" in (tmp_path / "report.md").read_text()


def test_a_run_that_is_done_once_more_gives_the_same_to_the_last_bit(tuned, run, home):
    first = run_of("photos:v1", run, home)

    said = run("run", "reproduce", first, home=home)

    assert (said.code, "the same, bit for bit" in said.out) == (0, True), said
    last = run("run", "list", "--json", home=home).json[-1]
    assert (last["id"] != first, last["outputs"]["model"]) == (True, "photos-again:v1")
    assert "model  photos-again:v1" in said.out


def test_an_old_run_that_is_done_once_more_leaves_the_newest_model_the_newest(photos, tmp_path):
    lab = regraft.open(tmp_path)
    first, second = (
        lab.finetune(photos, strategy="probe", settings=[f"data.size={size}"], name="m") for size in (32, 64)
    )

    again = [lab.runs.reproduce(first.run.id) for _ in "ab"]

    assert (first.model, second.model, str(lab.models.get("m"))) == ("m:v1", "m:v2", "m:v2")
    assert [(one.model, one.largest) for one in again] == [("m-again:v1", 0)] * 2
    assert again[0].comparison.data == ()


def test_a_report_is_written_as_markdown_json_a_picture_and_a_page(tuned, run, home, tmp_path):
    files = {ending: tmp_path / f"report.{ending}" for ending in ("md", "json", "png", "html")}

    codes = [run("report", "export", "photos:v1", file, home=home).code for file in files.values()]

    assert codes == [0] * 4
    text = files["md"].read_text()
    assert text.startswith("# photos:v1 on photos:v1\n\n**")
    assert "| Macro-F1 | " in text
    assert json.loads(files["json"].read_text())["model_ref"] == "photos:v1"
    with Image.open(files["png"]) as card:
        assert card.size == (1200, 630)
    assert files["html"].read_text().startswith("<!DOCTYPE html>")


def test_slices_are_compared_too(run, tmp_path, make_folder):
    home = tmp_path / "home"
    tests = {f"test/{label}/{site}": 8 for label in ("cat", "dog") for site in ("north", "south")}
    folder = make_folder({"train/cat": 6, "train/dog": 6, **tests}, name="sites")
    for name, size in (("one", 64), ("two", 32)):
        run("finetune", folder, "--name", name, "--set", f"data.size={size}", home=home)

    found = run("report", "compare", "one", "two", "--json", home=home).json
    said = run("report", "compare", "one", "two", home=home)

    slices = {one["name"]: one["count"] for one in found["pairs"][0]["slices"]}
    assert (slices["folder: north"], slices["folder: south"]) == (16, 16)
    assert "folder: north" in said.out
