"""Nets without weights: built from their names alone, and trained from nothing."""

import pytest
import torch
from safetensors.torch import load, save_file

import regraft
from regraft.cli.main import cli
from regraft.errors import FetchError, NotFoundError
from regraft.hub import nets
from regraft.jobs.fetch import fetch
from regraft.progress import silent
from regraft.records import ModelVersion
from regraft.refs import parse
from regraft.store.opening import open_store

#: A small training, in which nothing has to be measured.
SMALL = (
    "data.size=32",
    "data.augment=[]",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return regraft.open(tmp_path_factory.mktemp("lab") / "workspace")


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def untrained(store, ref):
    return fetch(store, parse(ref), weights="", progress=silent, pretrained=False)


@pytest.mark.parametrize(
    ("ref", "name", "architecture", "features"),
    [
        ("timm:test_resnet", "test_resnet-random:v1", "test_resnet", 96),
        ("timm:resnet18.a1_in1k", "resnet18.a1_in1k-random:v1", "resnet18.a1_in1k", 512),
        ("torchvision:squeezenet1_1", "squeezenet1_1-random:v1", "torchvision:squeezenet1_1", 512),
        ("regraft:cifar_resnet20", "cifar_resnet20-random:v1", "regraft:cifar_resnet20", 64),
        (
            "embedded:efficientnet_lite0",
            "efficientnet_lite0-random:v1",
            "tf_efficientnet_lite0",
            1280,
        ),
    ],
)
def test_a_net_without_weights_is_a_version_that_nobody_takes_for_pretrained(
    store, ref, name, architecture, features
):
    version = untrained(store, ref)

    model = version.read(ModelVersion)
    assert (str(version), model.source) == (name, f"{ref} (random)")
    assert (model.architecture, model.num_features) == (architecture, features)
    assert (model.weights_file, model.labels, model.lineage) == ("", (), None)
    assert model.licence == "none (the weights are random)"
    assert not (store.cache / "downloads").exists()


def test_random_weights_are_the_same_on_every_machine_and_disturb_no_chance(store, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)

    first = untrained(store, "timm:test_resnet")
    again = untrained(store, "timm:test_resnet")
    elsewhere = untrained(open_store(tmp_path / "elsewhere"), "timm:test_resnet")

    assert torch.equal(torch.rand(1), expected)
    assert first == again
    assert first.digest == elsewhere.digest
    state = load(store.blobs.get(first.read(ModelVersion).trunk))
    assert all(value.std() > 0 for value in state.values() if value.ndim == 4)


def test_weights_that_come_later_have_a_name_of_their_own(store, tmp_path):
    save_file(nets.original_state(nets.build("test_resnet")), tmp_path / "net.safetensors")
    untrained(store, "timm:test_resnet")

    version = fetch(
        store, parse("timm:test_resnet"), weights=str(tmp_path / "net.safetensors"), progress=silent
    )

    assert (str(version), version.read(ModelVersion).source) == ("test_resnet:v1", "timm:test_resnet")


def test_a_name_that_no_library_knows_is_refused_with_its_neighbour(store):
    with pytest.raises(NotFoundError) as caught:
        untrained(store, "regraft:cifar_resnet21")

    assert str(caught.value) == "There is no architecture 'regraft:cifar_resnet21'."
    assert caught.value.hint.startswith("Did you mean 'cifar_resnet")
    assert store.catalog.names("models") == []


def test_a_net_of_regraft_has_no_weights_to_fetch_and_can_be_loaded_without(lab):
    net = regraft.load("regraft:cifar_resnet20", pretrained=False, workspace=lab)
    with pytest.raises(FetchError) as caught:
        lab.models.get("regraft:cifar_resnet20")

    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert str(caught.value) == "Nobody publishes weights for 'regraft:cifar_resnet20'."
    assert "--strategy scratch" in caught.value.hint


@pytest.mark.parametrize("ref", ["timm:test_resnet", "torchvision:squeezenet1_1", "regraft:cifar_resnet20"])
def test_a_net_is_trained_from_nothing_without_a_file_of_weights(lab, photos, ref):
    settings = [*SMALL, "optim.lr=0.003"]

    result = lab.finetune(photos, model=ref, strategy="scratch", epochs=2, settings=settings, name="scratch")

    model = lab.models.get(result.model).read(ModelVersion)
    assert (model.training.strategy, model.training.frozen) == ("scratch", 0)
    assert (model.source, model.lineage.recipe["model"]["ref"]) == (f"{ref} (random)", ref)
    assert model.training.epochs[-1].train_loss < model.training.epochs[0].train_loss


def test_a_list_of_models_says_which_have_random_weights(lab, photos, capsys):
    lab.finetune(photos, model="timm:test_resnet", strategy="scratch", epochs=1, settings=SMALL, name="first")

    cli.main(["model", "list", "--workspace", str(lab.path)], standalone_mode=False)

    rows = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    assert (rows["first:v1"], rows["test_resnet-random:v1"]) == ("fine-tuned", "random")


def test_what_is_kept_of_a_frozen_net_is_never_that_of_other_random_weights(lab, photos):
    def losses(seed, boundary):
        settings = [
            *SMALL,
            "model.freeze=2",
            "model.norm_eval=true",
            f"train.seed={seed}",
            f"train.boundary={boundary}",
        ]
        result = lab.finetune(
            photos, model="timm:test_resnet", strategy="scratch", epochs=1, settings=settings, name="frozen"
        )
        training = lab.models.get(result.model).read(ModelVersion).training
        return [epoch.train_loss for epoch in training.epochs]

    losses(0, "auto")

    assert losses(1, "auto") == losses(1, "recompute")
    with pytest.raises(regraft.RegraftError, match="cannot be computed once"):
        losses(1, "cache")
