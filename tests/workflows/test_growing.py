"""A model learns a class, or more of those that it knows, from what is kept of its pictures."""

import shutil
from collections import Counter

import pytest
from safetensors.numpy import load

import regraft
from regraft.errors import InvalidError, MismatchError
from regraft.jobs import trunk
from regraft.records import Growth, ModelVersion


@pytest.fixture
def two(photos, tmp_path):
    """A folder with two of the three classes."""
    root = tmp_path / "two"
    for label in ("leaf", "sea"):
        shutil.copytree(photos / label, root / label)
    return root


@pytest.fixture
def grown(two, tmp_path):
    """A workspace where a model of `two` was fitted."""
    workspace = regraft.open(tmp_path / "workspace")
    workspace.finetune(two, strategy="probe")
    return workspace


def record(workspace, ref):
    return workspace.models.get(ref).read(ModelVersion)


def test_a_sixth_kind_of_rubbish_costs_the_other_five_at_most_a_point(shared_data, tmp_path):
    workspace = regraft.open(tmp_path / "workspace")
    folder, more = tmp_path / "rubbish", tmp_path / "trash"
    for split in ("train", "test"):
        for source in (shared_data / "garbage" / split).iterdir():
            shutil.copytree(source, (more if source.name == "trash" else folder) / split / source.name)
    workspace.finetune(folder, strategy="probe", name="grown")

    result = workspace.models.add_class("grown", more)
    joint = workspace.finetune(result.dataset.name, strategy="probe", name="joint").report

    def right(report):
        confusion = report.metrics.confusion
        old = [place for place, label in enumerate(report.labels) if label != "trash"]
        return sum(confusion[place][place] for place in old), sum(sum(confusion[place]) for place in old)

    (few, count), (many, same) = right(result.report), right(joint)
    assert (count, same) == (100, 100)
    assert few >= many - 1, (few, many)
    assert result.report.accuracy >= joint.accuracy - 0.03
    assert result.growth == Growth(classes=("trash",), pictures=70, known=350)


def test_as_many_pictures_again_cost_at_most_a_point_against_learning_from_all_at_once(shared_data, tmp_path):
    workspace = regraft.open(tmp_path / "workspace")
    half, rest = tmp_path / "half", tmp_path / "rest"
    shutil.copytree(shared_data / "garbage" / "test", half / "test")
    for place, file in enumerate(sorted((shared_data / "garbage" / "train").glob("*/*"))):
        folder = (half, rest)[place % 2] / "train" / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    workspace.finetune(half, strategy="probe", name="grown")

    result = workspace.models.add_data("grown", rest)
    joint = workspace.finetune(result.dataset.name, strategy="probe", name="joint").report

    few, many = result.report.metrics, joint.metrics
    assert (few.count, many.count) == (120, 120)
    assert result.report.learning.pictures == joint.learning.pictures
    assert few.correct >= many.correct - 1, (few.correct, many.correct)
    assert (result.growth.classes, result.growth.known) == ((), 210)


def test_a_new_class_is_learned_from_its_pictures_alone(grown, photos, monkeypatch):
    seen = []
    compute = trunk.compute

    def counted(store, model, pictures, **options):
        seen.append(options["count"])
        return compute(store, model, pictures, **options)

    monkeypatch.setattr(trunk, "compute", counted)

    result = grown.models.add_class("two", photos / "sand")

    before, after = record(grown, "two:v1"), record(grown, "two:v2")
    splits = grown.datasets.get("two").record.splits
    learned = splits["train"]["sand"]
    assert result.model == "two:v2"
    assert after.labels == ("leaf", "sand", "sea")
    assert after.growth == Growth(classes=("sand",), pictures=learned, known=before.learning.pictures)
    assert (after.trunk, after.lineage.model) == (before.trunk, grown.models.get("two:v1").digest)
    assert after.lineage.dataset == grown.datasets.get("two").version.digest
    assert sum(seen) <= 20
    assert result.report.metrics.accuracy == 1.0
    assert {item.label: item.support for item in result.report.metrics.classes} == splits["test"]
    assert result.report.notes[0].startswith(f"The head grew: {learned} new pictures of 'sand'")
    assert after.trust.pictures == before.trust.pictures + learned
    assert [item.label for item in grown.predict("two", photos / "sand")] == ["sand"] * 20


def test_no_picture_that_was_ever_learned_from_measures_a_model_that_grew(grown, photos, two):
    grown.models.add_class("two", photos / "sand")
    kept = grown.datasets.get("two:v1").record.splits["train"]

    report = grown.evaluate("two", two, split="all").report

    assert report.seen >= sum(kept.values())
    assert report.metrics.count + report.seen == len(grown.datasets.get("two"))


def test_the_old_pictures_need_not_be_there_any_more(grown, photos):
    grown.datasets.remove("two", every=True)
    grown.store.gc(grace=0)
    shutil.rmtree(grown.path / "cache")

    result = grown.models.add_class("two", photos / "sand")

    told = Counter(item.label for item in grown.predict("two", [photos / "leaf", photos / "sand"]))
    assert (result.model, result.dataset.name) == ("two:v2", "two-added")
    assert told == {"leaf": 20, "sand": 20}
    assert "Not measured, for want of pictures: 'leaf', 'sea'." in result.report.notes
    assert result.report.baselines == ()


def test_more_pictures_of_a_class_join_what_is_known_of_it(grown, draw, encoded, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    for place in range(8):
        (more / f"{place}.png").write_bytes(encoded(draw(place, (60, 80)), "PNG"))

    result = grown.models.add_data("two", more, label="leaf")

    after = record(grown, "two:v2")
    stored = load(grown._store.blobs.get(after.statistics))
    assert after.labels == ("leaf", "sea")
    assert result.growth.classes == ()
    assert result.growth.known + result.growth.pictures == int(stored["counts"].sum())
    assert after.learning.pictures == result.growth.known + result.growth.pictures


def test_what_was_learned_already_is_not_learned_again(grown, two):
    with pytest.raises(InvalidError) as caught:
        grown.models.add_data("two", two)

    assert str(caught.value) == "There is no new picture to learn from."


def test_a_class_that_is_known_is_no_new_one_and_the_other_way_round(grown, photos):
    with pytest.raises(InvalidError) as known:
        grown.models.add_class("two", photos / "leaf")
    with pytest.raises(InvalidError) as unknown:
        grown.models.add_data("two", photos / "sand")

    assert str(known.value) == "The model 'two:v1' knows 'leaf' already."
    assert str(unknown.value) == "The model 'two:v1' knows no class 'sand'."
    assert len(grown.datasets.history("two")) == 1


def test_a_model_that_was_made_before_statistics_were_kept_grows_from_its_pictures(grown, photos):
    old = record(grown, "two").model_copy(update={"statistics": None})
    grown._store.catalog.commit("models", "old", lambda parent: old)

    result = grown.models.add_class("old", photos / "sand")

    assert result.report.metrics.accuracy == 1.0


@pytest.mark.parametrize("ref", ["embedded:efficientnet_lite0", "mlp"])
def test_a_model_that_cannot_grow_says_what_to_do(grown, photos, ref):
    odd = record(grown, "two").model_copy(update={"head_kind": "mlp"})
    grown._store.catalog.commit("models", "mlp", lambda parent: odd)

    with pytest.raises(MismatchError) as caught:
        grown.models.add_class(ref, photos / "sand")

    assert "regraft finetune DATASET --model" in caught.value.hint


def test_growing_takes_one_command(run, grown, photos):
    said = run("model", "add-class", "two", photos / "sand", "--label", "beach", home=grown.path)
    told = run("model", "info", "two", home=grown.path)

    assert said.code == 0, said.err
    assert said.out.startswith("two:v2  60 pictures of 3 classes")
    assert "accuracy  100.0 %" in said.out
    assert "of beach upon" in told.out
