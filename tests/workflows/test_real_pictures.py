"""Real pictures: what the product is for. Needs the shared data."""

import csv

import regraft


def test_hot_dogs_are_told_from_other_things(shared_data, tmp_path):
    result = regraft.open(tmp_path).finetune(shared_data / "hotdog")

    metrics = result.report.metrics
    assert metrics.accuracy >= 0.92
    assert (metrics.count, result.added.refused) == (140, ())
    assert metrics.accuracy_interval.low < metrics.accuracy < metrics.accuracy_interval.high


def test_six_kinds_of_rubbish_are_told_apart(shared_data, tmp_path):
    report = regraft.open(tmp_path).finetune(shared_data / "garbage").report

    assert report.accuracy >= 0.80
    assert [item.support for item in report.metrics.classes] == [20] * 6


def test_the_embedded_model_knows_imagenet_by_name(shared_data, tmp_path):
    folder = shared_data / "imagenet_samples"
    with (folder / "LABELS.tsv").open() as file:
        labels = {row["file"]: row["label"] for row in csv.DictReader(file, delimiter="\t")}

    predictions = regraft.open(tmp_path).predict("embedded:efficientnet_lite0", sorted(folder.glob("*.JPEG")))

    right = [labels[item.picture.rpartition("/")[2]] in item.label for item in predictions]
    assert (len(right), sum(right) >= 32) == (40, True)


def test_small_pictures_of_rubbish_make_a_second_opinion(shared_data, tmp_path):
    workspace = regraft.open(tmp_path)
    workspace.finetune(shared_data / "garbage_tiny150", name="rubbish")

    result = workspace.evaluate("rubbish", shared_data / "garbage", split="test")

    assert result.report.metrics.count == 120
    assert result.report.accuracy >= 0.6
