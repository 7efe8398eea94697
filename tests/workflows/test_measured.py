"""What is kept besides the numbers: slices, the table of each picture, curves, and how to do it again."""

import csv
import io
import re
from itertools import product
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import regraft
from regraft.records import ModelVersion
from regraft.workspace import comparing
from regraft.workspace.runs import TOLERANCE, Reproduction

QUICK = (
    "data.size=32",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
    "data.workers=0",
)
#: The EXIF tags of a camera.
MAKE, MODEL = 0x010F, 0x0110
SVG = "{http://www.w3.org/2000/svg}"
COLOURS = {"red": (150, 90, 90), "blue": (90, 90, 150)}


def picture(seed, label, *, size=(96, 72), light=1.0):
    """Draw squares around a colour, as sharp as they come."""
    noise = np.random.default_rng(seed).integers(-60, 60, (6, 8, 3))
    pixels = np.clip(light * (np.array(COLOURS[label]) + noise), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def folder(root, *, first, count, kinds=tuple(COLOURS)):
    """Write so many pictures of each label; their numbers go on from the first."""
    for label, number in product(kinds, range(count)):
        (root / label).mkdir(parents=True, exist_ok=True)
        seed = 1000 * list(COLOURS).index(label) + first + number
        picture(seed, label).save(root / label / f"{first + number}.png")
    return root


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A workspace with a net as small as they come, trained for an epoch: `base:v1`."""
    root = tmp_path_factory.mktemp("lab")
    lab = regraft.open(root / "workspace")
    lab.finetune(
        folder(root / "colours", first=0, count=20),
        model="timm:test_resnet",
        strategy="scratch",
        settings=(*QUICK, "train.epochs=1"),
        name="base",
    )
    return lab


@pytest.fixture(scope="module")
def tuned(lab, tmp_path_factory):
    """Two runs of two epochs: the second has seen a version of the dataset with four pictures more."""
    root = tmp_path_factory.mktemp("tuned")
    first = folder(root / "first", first=100, count=15)
    more = folder(folder(root / "more", first=100, count=15), first=115, count=2)
    found = []
    for source in (first, more):
        lab.datasets.add("hues", source)
        found.append(
            lab.finetune(
                "hues", model="base:v1", strategy="full", settings=(*QUICK, "train.epochs=2"), name="tuned"
            )
        )
    return found


def test_pictures_of_each_camera_are_a_slice(lab, tmp_path):
    cameras = {"Canon EOS 5D": ("Canon", "Canon EOS 5D"), "ACME Pocket 2": ("ACME", "Pocket 2")}
    for place, (maker, model) in enumerate(cameras.values()):
        for label, number in product(COLOURS, range(6)):
            image = picture(2000 + 100 * place + 10 * number + len(label), label)
            exif = image.getexif()
            exif[MAKE], exif[MODEL] = maker, model
            (tmp_path / "taken" / label).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "taken" / label / f"{place}-{number}.jpg", exif=exif)

    result = lab.evaluate("base", tmp_path / "taken")

    slices = {one.name: one for one in result.report.slices if one.name.startswith("camera: ")}
    assert {name: one.count for name, one in slices.items()} == {f"camera: {name}": 12 for name in cameras}
    assert sum(one.accuracy * 12 for one in slices.values()) == pytest.approx(result.report.metrics.correct)
    assert "camera: Canon EOS 5D" in result.page.read_text()


def test_a_list_is_evaluated_like_a_folder(lab, tmp_path, run):
    shots = folder(tmp_path / "shots", first=300, count=6)
    listed = tmp_path / "list.csv"
    lines = [f"shots/{path.parent.name}/{path.name},{path.parent.name}" for path in shots.rglob("*.png")]
    listed.write_text("\n".join(["path,label", *lines]) + "\n")

    said = run("evaluate", "base", listed, "--json", home=lab.path)

    whole = lab.evaluate("base", shots).report
    assert (said.code, len(lines)) == (0, 12), said.err
    found = said.json["report"]["metrics"] if "report" in said.json else said.json["metrics"]
    assert (found["count"], found["confusion"]) == (12, [list(row) for row in whole.metrics.confusion])
    assert found["log_loss"] == pytest.approx(whole.metrics.log_loss, abs=1e-9)


def test_the_tables_agree_and_name_what_the_doctor_finds(lab, tmp_path):
    odd = folder(tmp_path / "odd", first=400, count=7)
    picture(500, "red", light=0.1).save(odd / "red" / "night.png")
    picture(501, "blue", size=(16, 12)).save(odd / "blue" / "stamp.png")

    report = lab.evaluate("base", odd).report
    files = [lab.reports.export("base", tmp_path / f"said.{kind}") for kind in ("csv", "parquet")]

    rows = list(csv.DictReader(io.StringIO(files[0].read_text())))
    whole = pq.read_table(files[1]).to_pylist()
    assert len(rows) == len(whole) == report.metrics.count == 16
    words = ("key", "digest", "family", "label", "predicted", "flags")
    assert [[row[name] for name in words] for row in rows] == [[row[name] for name in words] for row in whole]
    numbers = ("probability", "loss", *(f"probability of {label}" for label in report.labels))
    assert [[float(row[name]) for name in numbers] for row in rows] == [
        [row["probability"], row["loss"], *row["probabilities"]] for row in whole
    ]
    found = {(example.keys[0], one.code) for one in doctor(lab, "odd") for example in one.examples}
    flags = {(row["key"], row["flags"]) for row in rows if row["flags"]}
    assert flags == found == {("red/night.png", "dark"), ("blue/stamp.png", "tiny")}


def doctor(lab, name):
    """Return what the doctor finds with single pictures of a dataset."""
    codes = ("tiny", "blank", "dark", "overexposed", "blurred", "odd-aspect")
    return [one for one in lab.datasets.check(name, quick=True).checkup.findings if one.code in codes]


def test_two_trainings_are_compared_by_their_curves_and_their_data(lab, tuned, tmp_path, run):
    first, second = (one.run.id for one in tuned)
    plot = tmp_path / "curves.svg"

    said = run("run", "compare", first, second, "--plot", plot, home=lab.path)

    found = lab.runs.compare(first, second)
    assert said.code == 0, said.err
    data = {line.key: (line.first, line.second) for line in found.data}
    assert data.pop("dataset") == ("hues:v1", "hues:v2")
    assert data.pop("dataset_digest")
    assert data == {"pictures only in the second": (None, "4")}
    assert "pictures only in the second  -" in said.out
    assert (found.recipe, found.environment) == ((), ())
    assert [pair.epoch for pair in found.epochs] == [1, 2]
    assert all(pair.first_loss != pair.second_loss for pair in found.epochs)
    drawn = ElementTree.parse(plot).getroot()
    curves = [one.get("points").split() for one in drawn.iter(f"{SVG}polyline")]
    assert [len(points) for points in curves] == [2, 2]
    assert curves[0] != curves[1]


def test_the_names_of_both_curves_are_drawn_beside_each_other(lab, tuned, tmp_path):
    names = [one.run.id for one in tuned]

    lab.runs.compare(*names, plot=tmp_path / "curves.svg")

    drawn = ElementTree.parse(tmp_path / "curves.svg").getroot()
    ends = {one.text: float(one.get("x")) for one in drawn.iter(f"{SVG}text") if one.text in names}
    assert list(ends) == names
    width = 8.8 * len(names[0])  # pixels of a digit in bold
    assert ends[names[1]] - ends[names[0]] > width
    assert ends[names[0]] - width > 185  # where the title ends


def test_models_that_were_made_elsewhere_show_by_what(lab, tuned, tmp_path):
    model = lab.models.get(tuned[0].model).read(ModelVersion)
    environment = {**model.lineage.environment, "torch": "2.0.0", "processor": "Another"}
    lineage = model.lineage.model_copy(update={"environment": environment})
    elsewhere = model.model_copy(update={"lineage": lineage})
    lab._store.catalog.commit("models", "elsewhere", lambda parent: elsewhere)
    new = folder(tmp_path / "new", first=600, count=3)

    runs = [lab.evaluate(name, new).run.id for name in (tuned[0].model, "elsewhere")]

    found = lab.runs.compare(*runs)
    assert {line.key: line.second for line in found.environment} == {"torch": "2.0.0", "processor": "Another"}
    assert found.results == ()


def test_a_training_that_is_done_once_more_gives_the_same_to_the_last_bit(lab, tuned):
    first = tuned[0]

    again = lab.runs.reproduce(first.run.id)

    one, other = (lab.models.get(name).read(ModelVersion) for name in (first.model, again.model))
    assert (again.model, again.largest, again.same) == ("tuned-again:v1", 0, True)
    assert (again.comparison.same, again.comparison.data, again.comparison.recipe) == (True, (), ())
    assert (other.weights, other.training) == (one.weights, one.training)
    assert lab.reports.get(again.run.outputs["report"]).metrics == first.report.metrics


def test_an_evaluation_that_is_done_once_more_gives_the_same_to_the_last_bit(lab, tmp_path):
    result = lab.evaluate("base", folder(tmp_path / "some", first=700, count=6))

    again = lab.runs.reproduce(result.run.id)

    assert (again.model, again.largest, again.comparison.same) == (None, 0, True)
    assert lab.reports.get(again.run.outputs["report"]).metrics == result.report.metrics


def test_numbers_that_differ_are_not_called_the_same(lab, tuned):
    first, second = (one.run.id for one in tuned)

    found = lab.runs.compare(first, second)

    losses = [one.report.metrics.log_loss for one in tuned]
    judged = Reproduction(
        run=tuned[1].run, comparison=found, model=tuned[1].model, largest=comparing.largest(found)
    )
    assert not judged.same
    assert judged.largest >= abs(losses[0] - losses[1]) > TOLERANCE


def test_a_report_in_markdown_shows_the_name_of_a_class_as_text(lab, tmp_path):
    hostile = "<img src=x onerror=alert(1)> | * _"
    photos = folder(tmp_path / "photos", first=800, count=12)
    (photos / "blue").rename(photos / hostile)
    lab.finetune(photos, model="base", strategy="probe", settings=QUICK, name="hostile")

    written = lab.reports.export("hostile", tmp_path / "report.md").read_text()

    assert lab.reports.get("hostile").labels == (hostile, "red")
    assert r"\<img src=x onerror=alert\(1\)\> \| \* \_" in written
    bare = re.sub(r"\\.", "", written)
    assert re.findall(r"[<>]|alert\(|onerror=alert\(", bare) == []
    rows = [re.sub(r"\\.", "", line).count("|") for line in written.splitlines() if "onerror" in line]
    assert rows
    assert 6 in rows  # the table of classes has five columns, whatever a class is called
