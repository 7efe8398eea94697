"""Sources: which file each asks for, and what it says of the model in it."""

import json

import pytest

from regraft.errors import (
    FetchError,
    IntegrityError,
    InvalidError,
    InvalidRecipe,
    MismatchError,
    NotFoundError,
)
from regraft.hub.sources.find import find
from regraft.records import InputSpec
from regraft.refs import parse

DIGEST = "0123456789abcdef" * 4
RESNET = "timm/test_resnet.r160_in1k"


@pytest.fixture(autouse=True)
def _usual_hubs(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("REGRAFT_MIRROR", raising=False)


class Shelf:
    """Files that are on this machine, by the ends of their addresses, and the addresses that were asked."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {}
        self.asked = []

    def locate(self, file):
        self.asked.append(file.urls[0])
        content = next((body for end, body in self.files.items() if file.urls[0].endswith(end)), None)
        if content is None:
            raise FetchError(f"There is no {file.name}.", hint="Look elsewhere.")
        path = self.folder / file.name
        path.write_bytes(content)
        return path

    def find(self, ref, *, weights="", architecture=""):
        return find(parse(ref), weights=weights, architecture=architecture, locate=self.locate)


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture
def repository(shelf):
    """Put a repository `me/net` on the shelf that timm made; return what is found in it."""

    def made(config):
        text = config if isinstance(config, bytes) else json.dumps(config).encode()
        shelf.files = {"/config.json": text, "/model.safetensors": b"weights"}
        return shelf.find("hf:me/net")

    return made


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        ({}, "https://huggingface.co"),
        ({"HF_ENDPOINT": "https://hub.example/"}, "https://hub.example"),
        ({"REGRAFT_MIRROR": "http://mirror.example/hubs/"}, "http://mirror.example/hubs"),
        (
            {"HF_ENDPOINT": "https://a.example/b", "REGRAFT_MIRROR": "http://mirror.example"},
            "http://mirror.example/b",
        ),
    ],
)
def test_weights_of_timm_are_asked_for_at_the_hub_or_what_stands_for_it(
    shelf, monkeypatch, environment, start
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shelf.files = {"/model.safetensors": b""}

    source = shelf.find("timm:test_resnet")

    assert shelf.asked == [f"{start}/{RESNET}/resolve/main/model.safetensors"]
    assert (source.architecture, source.licence, source.input) == ("test_resnet", "apache-2.0", None)


def test_weights_that_are_on_no_hub_are_asked_for_where_they_are_published(shelf, monkeypatch):
    monkeypatch.setenv("REGRAFT_MIRROR", "https://mirror.example")
    shelf.files = {".pth": b""}

    shelf.find("timm:legacy_seresnet18.in1k")

    releases = "/rwightman/pytorch-image-models/releases/download"
    assert shelf.asked == [f"https://mirror.example{releases}/v0.1-weights/seresnet18-4bb0ce65.pth"]


def test_a_local_file_takes_the_place_of_what_is_published(shelf, tmp_path):
    source = shelf.find("timm:test_resnet", weights=str(tmp_path / "mine.pth"))

    assert (source.weights, source.licence, shelf.asked) == (tmp_path / "mine.pth", "unknown", [])


@pytest.mark.parametrize("ref", ["timm:test_resnet", "torchvision:resnet18"])
def test_where_weights_cannot_be_had_a_local_file_is_proposed(shelf, ref):
    with pytest.raises(FetchError) as caught:
        shelf.find(ref)

    assert caught.value.hint == "Look elsewhere. Or name a file that you have: --set model.weights=FILE."


@pytest.mark.parametrize(
    ("ref", "file", "crop"),
    [
        ("torchvision:resnet50", "resnet50-11ad3fa6.pth", 224 / 232),
        ("torchvision:resnet50/DEFAULT", "resnet50-11ad3fa6.pth", 224 / 232),
        ("torchvision:resnet50/IMAGENET1K_V1", "resnet50-0676ba61.pth", 224 / 256),
        ("torchvision:vit_h_14", "vit_h_14_lc_swag-c1eb923e.pth", 1.0),
    ],
)
def test_torchvision_says_which_weights_there_are_and_what_pictures_they_are_for(
    shelf, tmp_path, ref, file, crop
):
    source = shelf.find(ref, weights=str(tmp_path / "mine.pth"))
    with pytest.raises(FetchError):
        shelf.find(ref)

    assert shelf.asked == [f"https://download.pytorch.org/models/{file}"]
    assert source.architecture == ref.partition("/")[0]
    assert source.input.crop == pytest.approx(crop)
    assert len(source.labels) == len(set(source.labels)) == 1000
    assert (source.labels[934], source.labels[134], source.labels[517]) == ("hotdog", "crane bird", "crane")


def test_an_address_of_openmmlab_says_how_the_digest_begins(shelf, tmp_path):
    shelf.files = {".pth": b"other"}

    with pytest.raises(IntegrityError) as caught:
        shelf.find("https://download.openmmlab.com/v0/resnet50_8xb32_in1k_20210831-ea4938fc.pth")

    assert str(caught.value).endswith("and its name says that it begins with ea4938fc.")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_torchvision_that_is_not_what_its_name_says_is_refused_and_removed(shelf, tmp_path):
    shelf.files = {".pth": b"other"}

    with pytest.raises(IntegrityError) as caught:
        shelf.find("torchvision:resnet18/IMAGENET1K_V1")

    assert str(caught.value).startswith(
        "The file 'resnet18-f37072fd.pth' that came has sha256 d9298a10d1b07358"
    )
    assert str(caught.value).endswith("and its name says that it begins with f37072fd.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ref", "message", "hint"),
    [
        (
            "torchvision:resnet50/IMAGENET1K_V3",
            "torchvision has no weights 'IMAGENET1K_V3' for 'resnet50'.",
            "Did you mean 'IMAGENET1K_V2'?",
        ),
        (
            "torchvision:resnet51",
            "There is no architecture 'torchvision:resnet51'.",
            "Did you mean 'resnet50'?",
        ),
        ("embedded:resnet", "No embedded model is named 'resnet'.", "There is efficientnet_lite0."),
    ],
)
def test_a_model_that_a_source_does_not_have_is_named_with_its_neighbour(shelf, ref, message, hint):
    with pytest.raises(NotFoundError) as caught:
        shelf.find(ref)

    assert (str(caught.value), caught.value.hint, shelf.asked) == (message, hint, [])


def test_a_repository_says_what_its_model_is_knows_and_was_made_for(repository, shelf):
    preset = {
        "input_size": [3, 96, 96],
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "interpolation": "bicubic",
        "classifier": "fc",
    }
    names = {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "crane", "n2": "crane"}}

    source = repository({"architecture": "test_resnet", "num_classes": 3, "pretrained_cfg": preset, **names})

    hub = "https://huggingface.co/me/net/resolve/main"
    assert shelf.asked == [f"{hub}/config.json", f"{hub}/model.safetensors"]
    assert (source.architecture, source.licence) == ("test_resnet", "unknown")
    assert source.labels == ("crane (n1)", "crane (n2)", "n3")
    assert source.input == InputSpec(
        size=96,
        crop=1.0,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        interpolation="bicubic",
        resize="squash",
    )


def test_what_a_repository_leaves_out_is_as_usual_for_the_architecture(repository):
    source = repository({"architecture": "test_resnet", "label_names": {"1": "b", "0": "a"}})

    assert source.labels == ("a", "b")
    assert source.input == InputSpec(
        size=160, crop=0.95, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear"
    )


def test_a_revision_and_weights_in_an_older_file_are_asked_for(shelf):
    shelf.files = {"/config.json": b'{"architecture": "test_resnet"}', "/pytorch_model.bin": b"weights"}

    source = shelf.find("hf:me/net@refs/pr/1")

    hub = "https://huggingface.co/me/net/resolve/refs%2Fpr%2F1"
    assert shelf.asked == [
        f"{hub}/config.json",
        f"{hub}/model.safetensors",
        f"{hub}/pytorch_model.bin",
    ]
    assert source.weights.name == "pytorch_model.bin"


def test_a_repository_without_any_weights_is_refused_for_the_newer_file(shelf):
    shelf.files = {"/config.json": b'{"architecture": "test_resnet"}'}

    with pytest.raises(FetchError) as caught:
        shelf.find("hf:me/net")

    assert str(caught.value) == "There is no model.safetensors."


@pytest.mark.parametrize(
    ("config", "kind", "message"),
    [
        (
            {"architectures": ["ViTForImageClassification"], "model_type": "vit"},
            MismatchError,
            "names no architecture of timm; it says ['ViTForImageClassification'].",
        ),
        ({"b": 1, "a": 2}, MismatchError, "names no architecture of timm; it says ['a', 'b']."),
        (
            {"architecture": "test_vit", "model_args": {"img_size": 32}},
            MismatchError,
            "builds its net with {'img_size': 32}, which Regraft does not do.",
        ),
        (
            {"architecture": "test_resnet", "pretrained_cfg": {"mean": "grey"}},
            InvalidError,
            "cannot be read: ",
        ),
        (
            {"architecture": "test_resnet", "pretrained_cfg": {"crop_mode": "squash", "crop_pct": 0.9}},
            MismatchError,
            "wants its pictures prepared by 'squash' and cropped, which is not supported.",
        ),
        (b"[]", InvalidError, "cannot be read: "),
        (b"<html>", InvalidError, "cannot be read: "),
    ],
)
def test_a_repository_that_cannot_be_used_is_refused_with_what_it_says(repository, config, kind, message):
    with pytest.raises(kind) as caught:
        repository(config)

    assert str(caught.value).startswith(("The config.json of 'hf:me/net' ", "The model 'hf:me/net' "))
    assert message in str(caught.value)


@pytest.mark.parametrize("ref", ["embedded:efficientnet_lite0", "hf:me/net", "file:net.pth", "https://a.b/c"])
def test_other_weights_for_a_source_that_brings_its_own_are_refused(shelf, ref):
    with pytest.raises(InvalidRecipe) as caught:
        shelf.find(ref, weights="other.pth")

    assert str(caught.value) == f"{ref!r} brings its own weights."


@pytest.mark.parametrize("ref", ["embedded:efficientnet_lite0", "hf:me/net", "timm:test_resnet"])
def test_another_architecture_for_a_source_that_says_its_own_is_refused(shelf, ref):
    with pytest.raises(InvalidRecipe) as caught:
        shelf.find(ref, architecture="resnet18")

    assert str(caught.value) == f"{ref!r} says itself what its architecture is."


def test_a_file_and_an_address_leave_the_architecture_to_the_person_or_the_weights(shelf, tmp_path):
    shelf.files = {"/net.pth?x=1": b"weights"}

    file = shelf.find(f"file:{tmp_path}/net.pth", architecture="resnet18")
    web = shelf.find(f"https://example.org/net.pth?x=1#sha256={DIGEST}")

    assert (file.weights, file.architecture, file.digest) == (tmp_path / "net.pth", "resnet18", "")
    assert (web.weights, web.architecture, web.digest) == (tmp_path / "net.pth", "", DIGEST)
    assert shelf.asked == ["https://example.org/net.pth?x=1"]
