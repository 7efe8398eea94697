"""Weights files as people have them: real ones, which become models. Needs the shared data."""

import csv

import pytest

import regraft
from regraft.errors import InvalidError
from regraft.records import InputSpec, ModelVersion


@pytest.fixture
def weights(shared_data):
    """Return a weights file of the shared data."""

    def find(name):
        path = shared_data / "weights" / name
        if not path.is_file():
            pytest.skip(f"the weights are not there: {path}")
        return path

    return find


def test_a_squeezenet_in_a_file_classifies_pictures_of_imagenet(weights, shared_data, workspace):
    file = weights("squeezenet1_1-imagenet-converted.pth")
    folder = shared_data / "imagenet_samples"
    with (folder / "LABELS.tsv").open() as table:
        classes = {row["file"]: int(row["class_index"]) for row in csv.DictReader(table, delimiter="\t")}

    predictions = workspace.predict(f"file:{file}", sorted(folder.glob("*.JPEG")))

    model = workspace.models.get("squeezenet1_1-imagenet-converted").read(ModelVersion)
    right = [
        model.labels.index(item.label) == classes[item.picture.rpartition("/")[2]] for item in predictions
    ]
    assert model.architecture == "torchvision:squeezenet1_1"
    assert (len(right), sum(right) >= 20) == (40, True)


def test_a_resnet_20_that_was_saved_on_a_gpu_is_recognised(weights, workspace):
    version = workspace.models.get(f"file:{weights('resnet20-12fca82f.th')}")

    model = version.read(ModelVersion)
    assert (str(version), model.source) == ("resnet20-12fca82f:v1", "file:resnet20-12fca82f.th")
    assert (model.architecture, model.num_features) == ("regraft:cifar_resnet20", 64)
    assert (len(model.labels), model.labels[0], model.labels[9]) == (10, "airplane", "truck")
    assert (model.load_report.loaded, model.load_report.converted) == (97, 97)
    assert model.input == InputSpec(
        size=32, crop=1.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bilinear"
    )


def test_a_model_from_a_file_can_be_fine_tuned(weights, photos, tmp_path):
    workspace = regraft.open(tmp_path / "home")

    result = workspace.finetune(photos, model=f"file:{weights('resnet20-12fca82f.th')}")

    assert result.report.accuracy > 0.8
    assert {str(version) for version in workspace.models.list()} == {"photos:v1", "resnet20-12fca82f:v1"}


def test_half_a_download_is_refused_with_its_size(weights, workspace):
    file = weights("broken-resnet50-19c8e357.pth")

    with pytest.raises(InvalidError, match=r"\(358,400 bytes\) cannot be read"):
        workspace.models.get(f"file:{file}")

    assert workspace.models.list() == []
