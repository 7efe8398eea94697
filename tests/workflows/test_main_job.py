"""The main job: a folder of photos becomes a measured, versioned classifier, by one command."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch

import regraft
from regraft.errors import InvalidError
from regraft.jobs import trunk
from regraft.records import ModelVersion


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_one_command_gives_a_number_with_its_interval_and_says_where_the_report_is(tuned, home):
    lines = tuned.out.splitlines()

    assert (tuned.code, len(lines) < 24) == (0, True), tuned.err
    assert lines[0] == "photos:v1  60 pictures of 3 classes (42 train, 6 val, 12 test), new version"
    assert lines[2].startswith("accuracy  ")
    assert "95 % interval" in lines[2]
    report = next(Path(line.split()[-1]) for line in lines if line.startswith("report"))
    assert report.parent.parent == home / "runs"
    assert report.read_text().startswith("<!DOCTYPE html>")
    assert any(line.endswith("regraft predict photos NEW.jpg") for line in lines)


def test_the_pictures_of_the_person_are_only_read(run, photos, tmp_path):
    before = fingerprint(photos)

    said = run("dataset", "add", "photos", photos, home=tmp_path)

    assert said.code == 0
    assert fingerprint(photos) == before


def test_the_model_carries_its_lineage(tuned, run, home):
    model = run("model", "info", "photos", "--json", home=home).json
    dataset = run("dataset", "info", "photos", "--json", home=home).json
    base = run("model", "info", "embedded:efficientnet_lite0", "--json", home=home).json

    lineage = model["lineage"]
    assert (lineage["dataset"], lineage["model"]) == (dataset["digest"], base["digest"])
    assert (lineage["seed"], lineage["code"]) == (0, regraft.__version__)
    assert lineage["recipe"]["train"]["precision"] == model["precision"]
    assert lineage["environment"]["torch"] == torch.__version__
    assert (model["labels"], model["trunk"], model["input"]) == (
        ["leaf", "sand", "sea"],
        base["trunk"],
        base["input"],
    )
    assert model["load_report"] == {
        "loaded": 296,
        "converted": 296,
        "missing": [],
        "unexpected": [],
        "replaced": [],
        "mismatched": [],
        "prefix": "",
        "partial": False,
    }


def test_the_report_file_holds_every_number(tuned, home):
    run_folder = next(
        path
        for path in (home / "runs").iterdir()
        if json.loads((path / "run.json").read_bytes())["kind"] == "finetune"
    )
    report = json.loads((run_folder / "report.json").read_bytes())

    assert set(report["metrics"]) == {
        "accuracy",
        "accuracy_interval",
        "balanced_accuracy",
        "brier_score",
        "calibration_error",
        "classes",
        "cohen_kappa",
        "confusion",
        "correct",
        "count",
        "hamming_loss",
        "intervals",
        "log_loss",
        "macro_average_precision",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "macro_roc_auc",
        "matthews_correlation",
        "micro_f1",
        "micro_precision",
        "micro_recall",
        "reliability",
        "top_k_accuracy",
        "weighted_f1",
        "weighted_precision",
        "weighted_recall",
    }
    assert [baseline["name"] for baseline in report["baselines"]] == ["majority class", "nearest class mean"]
    assert (report["split"], report["metrics"]["count"], report["seen"]) == ("test", 12, 0)


def test_the_same_again_gives_the_same_versions_and_never_asks_the_trunk(tuned, photos, home, monkeypatch):
    def forbidden(*arguments, **options):
        raise AssertionError("the trunk ran")

    workspace = regraft.open(home)
    before = workspace.models.get("photos")
    monkeypatch.setattr(trunk, "compute", forbidden)

    result = workspace.finetune(photos)

    assert (result.model, result.added.new, result.added.new_pictures) == ("photos:v1", False, 0)
    assert workspace.models.get("photos") == before


def test_another_workspace_gives_the_same_weights_and_the_same_report(tuned, run, photos, home, tmp_path):
    regraft.open(tmp_path)
    (tmp_path / "machines").mkdir()
    for file in (home / "machines").iterdir():
        (tmp_path / "machines" / file.name).write_bytes(file.read_bytes())

    said = run("finetune", photos, home=tmp_path)

    assert said.code == 0, said.err
    first, second = regraft.open(home), regraft.open(tmp_path)
    assert second.models.get("photos:v1").digest == first.models.get("photos:v1").digest
    assert second.reports.find("photos:v1").digest == first.reports.find("photos:v1").digest


def test_what_is_cached_equals_what_is_computed_bit_for_bit_in_exact_precision(photos, tmp_path):
    settings = ["train.precision=exact"]
    first, second = regraft.open(tmp_path / "first"), regraft.open(tmp_path / "second")

    whole = first.finetune(photos, settings=settings)
    half = photos.parent / "half"
    for path in sorted(photos.rglob("*.jpg"))[::2]:
        target = half / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    second.finetune(half, settings=settings, name="half")
    parts = second.finetune(photos, settings=settings)

    assert (
        second.models.get(parts.model).read(ModelVersion).head
        == first.models.get(whole.model).read(ModelVersion).head
    )


def test_adding_pictures_moves_no_old_one_and_makes_a_new_version(photos, tmp_path):
    folder = tmp_path / "photos"
    for path in sorted(photos.rglob("*.jpg")):
        if path.stem != "19":
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            (folder / path.parent.name / path.name).write_bytes(path.read_bytes())
    workspace = regraft.open(tmp_path / "home")
    workspace.finetune(folder)
    before = {row.digest: row.split for row in workspace.datasets.get("photos")}

    for path in photos.rglob("19.jpg"):
        (folder / path.parent.name / path.name).write_bytes(path.read_bytes())
    result = workspace.finetune(folder)

    after = {row.digest: row.split for row in workspace.datasets.get("photos")}
    assert (result.model, str(result.dataset), result.added.new_pictures) == ("photos:v2", "photos:v2", 3)
    assert {digest: after[digest] for digest in before} == before


def test_a_model_of_the_workspace_can_be_fine_tuned_again(tuned, photos, home):
    workspace = regraft.open(home)

    result = workspace.finetune(photos, model="photos:v1", name="again")

    lineage = workspace.models.get("again").read(ModelVersion).lineage
    assert lineage.model == workspace.models.get("photos:v1").digest
    assert result.report.accuracy == workspace.reports.get("photos:v1").accuracy


def test_any_timm_net_with_a_local_weights_file_can_be_fine_tuned(photos, tmp_path):
    from regraft.hub import nets

    torch.manual_seed(0)
    torch.save(nets.build("test_resnet").state_dict(), tmp_path / "weights.pth")
    workspace = regraft.open(tmp_path / "home")

    result = workspace.finetune(
        photos, model="timm:test_resnet", settings=[f"model.weights={tmp_path / 'weights.pth'}"]
    )

    assert result.report.accuracy > 0.5
    assert {str(version) for version in workspace.models.list()} == {"photos:v1", "test_resnet:v1"}


def test_a_net_comes_back_as_a_plain_module_that_says_the_same(tuned, photos, home):
    from regraft.data.loading import batches
    from regraft.data.transforms import prepare

    workspace = regraft.open(home)
    files = sorted(photos.rglob("1*.jpg"))

    workspace.finetune(photos, name="exact", settings=["train.precision=exact"])
    net = workspace.models.load("exact")
    model = workspace.models.get("exact").read(ModelVersion)
    pictures = next(
        batches([prepare(file.read_bytes(), model.input) for file in files], model.input, batch_size=99)
    )
    with torch.no_grad():
        probabilities = (net(pictures) / model.temperature).softmax(1)
    said = workspace.predict("exact", files)

    assert [model.labels[i] for i in probabilities.argmax(1)] == [item.label for item in said]
    assert [item.probability for item in said] == pytest.approx(
        probabilities.max(1).values.tolist(), abs=1e-4
    )


def test_the_python_way_is_the_one_that_the_readme_shows(tuned, photos, home):
    ws = regraft.open(home)

    result = ws.finetune(photos)
    predictions = ws.predict(result.model, [photos / "sea" / "1.jpg"])

    assert 0 <= result.report.accuracy <= 1
    assert (predictions[0].label, len(predictions[0].top)) == ("sea", 3)


def test_evaluating_leaves_out_what_the_model_has_learned_from(tuned, photos, home):
    workspace = regraft.open(home)

    own = workspace.evaluate("photos", "photos", split="all")

    assert (own.report.metrics.count, own.report.seen) == (18, 42)
    assert workspace.evaluate("photos", photos).report.split == "test"
    with pytest.raises(InvalidError, match="learned from all 42 pictures of split 'train'"):
        workspace.evaluate("photos", "photos", split="train")


def test_a_new_folder_is_evaluated_whole_and_labels_are_matched_by_name(tuned, photos, home, tmp_path):
    folder = tmp_path / "new"
    for label, number in (("sea", 3), ("leaf", 2)):
        (folder / label).mkdir(parents=True)
        for index in range(number):
            data = (photos / label / f"{index}.jpg").read_bytes()
            (folder / label / f"{index}.jpg").write_bytes(data + b"\0")

    result = regraft.open(home).evaluate("photos", folder)

    scores = {item.label: item.support for item in result.report.metrics.classes}
    assert (result.report.split, scores) == ("all", {"leaf": 2, "sand": 0, "sea": 3})
