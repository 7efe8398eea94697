"""Pretrained models from hubs, over a network that fails: whole and right, or not at all."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from regraft.errors import FetchError, IntegrityError, MismatchError, NotFoundError
from regraft.hub import nets
from regraft.hub.sources.torchvision_hub import get_model_weights
from regraft.jobs.fetch import fetch
from regraft.jobs.trunk import load_net
from regraft.progress import silent
from regraft.records import ModelVersion
from regraft.refs import parse
from regraft.store import fetch as downloads
from regraft.store.opening import open_store

pytest_plugins = ["tests.faults.web"]

HUB = "/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"


@pytest.fixture
def state():
    torch.manual_seed(0)
    return nets.original_state(nets.build("test_resnet"))


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


@pytest.fixture
def hub(web, monkeypatch):
    """A server that stands for every hub."""
    monkeypatch.setenv("REGRAFT_MIRROR", web.address)
    monkeypatch.setattr(downloads, "BACKOFF", 0.01)
    return web


@pytest.fixture
def get(store):
    def call(ref, **options):
        version = fetch(store, parse(ref), **{"weights": "", "progress": silent, **options})
        return version, version.read(ModelVersion)

    return call


def weights_of(store, model):
    return nets.original_state(load_net(store, model))


def are_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


FAULTS = {
    "whole": lambda web: [],
    "cut": lambda web: [web.cut(100_000)],
    "cut and resumed without Range": lambda web: [web.cut(100_000), web.other(whole=True)],
    "busy": lambda web: [web.status(503, Retry_After="0")],
    "redirected": lambda web: [web.redirect("/elsewhere.safetensors")],
    "silent": lambda web: [web.other(silent=True)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_of_timm_come_whole_whatever_the_network_does_and_only_once(hub, store, get, state, fault):
    hub.serve("/elsewhere.safetensors", save(state))
    hub.serve(HUB, save(state), *FAULTS[fault](hub))

    version, model = get("timm:test_resnet.r160_in1k")
    requests = len(hub.requests)
    again, _ = get("timm:test_resnet.r160_in1k")

    assert (str(version), again, len(hub.requests)) == ("test_resnet.r160_in1k:v1", version, requests)
    assert are_equal(weights_of(store, model), state)
    assert (model.source, model.architecture, model.licence) == (
        "timm:test_resnet.r160_in1k",
        "test_resnet.r160_in1k",
        "apache-2.0",
    )
    assert model.weights_file == sha256(save(state)).hexdigest()


def test_a_repository_gives_a_model_with_its_own_labels_and_preset(hub, store, get, state):
    state |= {"fc.weight": torch.ones(2, 96), "fc.bias": torch.zeros(2)}
    config = {"architecture": "test_resnet", "num_classes": 2, "label_names": ["cat", "dog"]}
    preset = {"input_size": [3, 64, 64], "crop_pct": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}
    hub.serve("/me/pets/resolve/v2/config.json", json.dumps({**config, "pretrained_cfg": preset}).encode())
    hub.serve("/me/pets/resolve/v2/model.safetensors", save(state), hub.cut(1000))

    version, model = get("hf:me/pets@v2")

    assert (str(version), model.source, model.labels) == ("pets:v1", "hf:me/pets@v2", ("cat", "dog"))
    assert (model.input.size, model.input.crop, model.input.std) == (64, 1.0, (1, 1, 1))
    assert are_equal(weights_of(store, model), state)


@pytest.fixture
def squeezenet(hub, tmp_path, monkeypatch):
    """Weights of a SqueezeNet, published by torchvision under a name that ends in their digest."""
    torch.manual_seed(0)
    state = nets.original_state(nets.build("torchvision:squeezenet1_1"))
    torch.save(state, tmp_path / "squeezenet.pth")
    body = (tmp_path / "squeezenet.pth").read_bytes()
    path = f"/models/squeezenet1_1-{sha256(body).hexdigest()[:8]}.pth"
    published = get_model_weights("squeezenet1_1").IMAGENET1K_V1.value
    monkeypatch.setattr(published, "url", f"https://download.pytorch.org{path}")
    return path, body, state


def test_weights_of_torchvision_are_what_their_name_says(hub, store, get, squeezenet):
    path, body, state = squeezenet
    hub.serve(path, body, hub.cut(100_000), hub.other(whole=True))

    version, model = get("torchvision:squeezenet1_1/IMAGENET1K_V1")

    assert (str(version), model.source) == ("squeezenet1_1:v1", "torchvision:squeezenet1_1/IMAGENET1K_V1")
    assert (model.labels[934], model.head_kind, model.load_report.loaded) == ("hotdog", "own", len(state))
    assert are_equal(weights_of(store, model), state)


def test_wrong_bytes_from_torchvision_are_refused_and_the_next_try_gets_the_right_ones(hub, get, squeezenet):
    path, body, _ = squeezenet
    hub.serve(path, body, hub.flip(5000))

    with pytest.raises(IntegrityError, match="and its name says that it begins with"):
        get("torchvision:squeezenet1_1")
    _, model = get("torchvision:squeezenet1_1")

    assert model.weights_file == sha256(body).hexdigest()


def test_a_download_that_was_damaged_on_this_machine_is_not_used_again(hub, store, get, state, monkeypatch):
    hub.serve(HUB, save(state))
    version, _ = get("timm:test_resnet.r160_in1k")
    (kept,) = (store.cache / "downloads").rglob("model.safetensors")
    kept.chmod(0o644)
    kept.write_bytes(save(state)[:-1] + b"x")
    store.catalog.remove(version)
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")

    with pytest.raises(FetchError, match=r"has sha256 \w{64} instead of \w{64}\), and Regraft works offline"):
        get("timm:test_resnet.r160_in1k")


@pytest.mark.parametrize("known", [True, False])
def test_a_file_at_an_address_becomes_a_model_that_is_recognised(web, store, get, state, known):
    body = save({f"module.{name}": tensor for name, tensor in state.items()})
    url = web.serve("/nets/mine.safetensors", body)
    ref = f"{url}#sha256={sha256(body).hexdigest()}" if known else url

    version, model = get(ref)

    assert (str(version), model.source, model.architecture) == ("mine:v1", ref, "test_resnet")
    assert (model.licence, model.load_report.converted) == ("unknown", len(state))
    assert are_equal(weights_of(store, model), state)


def test_a_file_at_an_address_that_has_another_digest_is_refused(web, get, state):
    ref = f"{web.serve('/mine.safetensors', save(state), web.flip(9000))}#sha256={'0' * 64}"

    with pytest.raises(IntegrityError, match=f"instead of {'0' * 64}"):
        get(ref)


def test_offline_a_person_is_told_which_file_to_put_where_and_then_it_is_used(get, state, monkeypatch):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)

    with pytest.raises(FetchError) as caught:
        get("timm:test_resnet.r160_in1k")
    first, _, place = caught.value.hint.partition(" and put it at ")
    place = Path(place.partition(". Or name")[0])
    place.parent.mkdir(parents=True)
    place.write_bytes(save(state))
    _, model = get("timm:test_resnet.r160_in1k")

    assert first == f"Take model.safetensors from https://huggingface.co{HUB}"
    assert place.name == "model.safetensors"
    assert model.load_report.loaded == len(state)


def test_what_is_asked_for_otherwise_is_another_version_and_the_same_is_the_same(tmp_path, store, get, state):
    other = {name: tensor + 1 for name, tensor in state.items()}
    both = {
        f"{part}.{name}": tensor for part, one in (("a", state), ("b", other)) for name, tensor in one.items()
    }
    save_file(both, tmp_path / "both.safetensors")
    ref = f"file:{tmp_path}/both.safetensors"

    with pytest.raises(MismatchError):
        get(ref, architecture="test_resnet")
    first, _ = get(ref, prefix="a")
    second, model = get(ref, prefix="b")
    again, _ = get(ref, prefix="a")

    assert (str(first), str(second), again) == ("both:v1", "both:v2", first)
    assert model.source == "file:both.safetensors"
    assert are_equal(weights_of(store, model), other)


def test_a_changed_file_is_another_version(tmp_path, get, state):
    path = tmp_path / "net.safetensors"
    save_file(state, path)
    first, _ = get(f"file:{path}")
    save_file(state | {"fc.bias": state["fc.bias"] + 1}, path)

    second, _ = get(f"file:{path}")

    assert (str(first), str(second)) == ("net:v1", "net:v2")


def test_weights_without_a_classifier_make_a_model_that_knows_no_label(tmp_path, store, get, state):
    trunk = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    save_file(trunk, tmp_path / "trunk.safetensors")

    _, model = get("timm:test_resnet", weights=str(tmp_path / "trunk.safetensors"))

    assert (model.labels, model.num_features) == ((), 96)
    assert model.load_report.replaced == ("fc.weight", "fc.bias")
    assert load_net(store, model)(torch.zeros(1, 3, 64, 64)).shape == (1, 0)


def test_a_missing_file_is_named(tmp_path, get):
    with pytest.raises(NotFoundError) as caught:
        get(f"file:{tmp_path}/none.pth")

    assert str(caught.value) == f"There is no weights file {str(tmp_path / 'none.pth')!r}."
