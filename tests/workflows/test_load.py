"""A net in one call: whole, with a fresh head, or without one; from weights, or from chance."""

import copy

import pytest
import torch
from safetensors.torch import save_file

import regraft
from regraft.errors import InvalidError, MismatchError
from regraft.hub import nets
from regraft.records import ModelVersion

EMBEDDED = "embedded:efficientnet_lite0"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace that has the embedded model."""
    return regraft.open(tmp_path_factory.mktemp("home"))


@pytest.fixture
def pictures():
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def run(net, pictures):
    with torch.inference_mode():
        return net(pictures)


def test_a_model_comes_back_whole_and_ready_to_use(home, pictures):
    net = regraft.load(EMBEDDED, workspace=home)

    logits = run(net, pictures)

    assert not net.training
    assert logits.shape == (2, 1000)
    assert torch.equal(logits, run(home.models.load(EMBEDDED), pictures))


def test_the_workspace_may_be_a_folder_or_left_out(home, pictures, monkeypatch):
    monkeypatch.setenv("REGRAFT_HOME", str(home.path))

    nets_ = [regraft.load(EMBEDDED, workspace=place) for place in (home, home.path, str(home.path), None)]

    first, *others = (run(net, pictures) for net in nets_)
    assert all(torch.equal(first, other) for other in others)


def test_without_its_top_a_model_gives_the_features_that_its_classifier_takes(home, pictures):
    whole, body = (
        regraft.load(EMBEDDED, workspace=home),
        regraft.load(EMBEDDED, include_top=False, workspace=home),
    )

    features = run(body, pictures)

    assert features.shape == (2, *body.output_shape) == (2, body.num_features) == (2, 1280)
    assert torch.equal(run(whole.head, features), run(whole, pictures))


def test_without_pooling_it_gives_the_map_whose_mean_the_features_are(home, pictures):
    body = regraft.load(EMBEDDED, include_top=False, workspace=home)
    maps = regraft.load(EMBEDDED, include_top=False, pool=False, workspace=home)

    found = run(maps, pictures)

    assert found.shape == (2, *maps.output_shape) == (2, 1280, 7, 7)
    assert maps.num_features == 1280
    assert torch.allclose(found.mean((2, 3)), run(body, pictures), atol=1e-5)


@pytest.mark.parametrize(
    "ref",
    [
        "timm:test_resnet",
        "timm:test_efficientnet",
        "timm:test_vit",
        "timm:convnext_atto",
        "timm:densenet121",
        "timm:mobilenetv3_small_050",
        "timm:regnetx_002",
        "timm:swin_tiny_patch4_window7_224",
        "torchvision:densenet121",
        "torchvision:googlenet",
        "torchvision:mnasnet0_5",
        "torchvision:mobilenet_v3_small",
        "torchvision:regnet_y_400mf",
        "torchvision:resnet18",
        "torchvision:shufflenet_v2_x0_5",
        "torchvision:squeezenet1_1",
        "torchvision:swin_t",
    ],
)
def test_the_shape_of_features_and_maps_is_the_one_that_is_stated(home, ref):
    spec = nets.input_spec(nets.outline(ref.removeprefix("timm:")))
    picture = torch.zeros(1, 3, spec.size, spec.size)

    body = regraft.load(ref, include_top=False, pretrained=False, workspace=home)
    assert run(body, picture).shape == (1, *body.output_shape) == (1, body.num_features)

    if ref == "timm:test_vit":
        with pytest.raises(MismatchError, match="The trunk of 'test_vit' gives no map of a picture"):
            regraft.load(ref, include_top=False, pool=False, pretrained=False, workspace=home)
        return
    maps = regraft.load(ref, include_top=False, pool=False, pretrained=False, workspace=home)
    found = run(maps, picture)
    assert found.shape == (1, *maps.output_shape)
    assert len(maps.output_shape) == 3
    assert maps.output_shape[0] == maps.num_features
    assert maps.output_shape[1] == maps.output_shape[2] > 1


@pytest.mark.parametrize(
    "ref",
    [
        *("timm:test_resnet", "timm:swin_tiny_patch4_window7_224", "torchvision:densenet121"),
        *("torchvision:googlenet", "torchvision:inception_v3", "torchvision:mnasnet0_5"),
        *("torchvision:regnet_y_400mf", "torchvision:resnet18", "torchvision:shufflenet_v2_x0_5"),
        *("torchvision:swin_t", "torchvision:mobilenet_v2"),
    ],
)
def test_the_features_of_most_nets_are_the_mean_of_their_maps(home, ref):
    spec = nets.input_spec(nets.outline(ref.removeprefix("timm:")))
    picture = torch.randn(1, 3, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    loaded = []
    for pool in (True, False):
        torch.manual_seed(0)
        loaded.append(regraft.load(ref, include_top=False, pool=pool, pretrained=False, workspace=home))

    features, maps = (run(body, picture) for body in loaded)

    assert features.abs().max() > 0
    assert torch.allclose(maps.mean((2, 3)), features, rtol=1e-3, atol=1e-3 * features.abs().max())


@pytest.mark.parametrize("options", [{"include_top": False}, {"include_top": False, "pool": False}, {}])
def test_gradients_reach_what_was_loaded(home, pictures, options):
    net = regraft.load("torchvision:resnet18", pretrained=False, workspace=home, **options)

    net.train()(pictures).sum().backward()

    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_fresh_head_has_as_many_classes_as_asked_on_the_same_trunk(home, pictures):
    fresh = regraft.load(EMBEDDED, num_classes=5, workspace=home)

    body = regraft.load(EMBEDDED, include_top=False, workspace=home)
    assert run(fresh, pictures).tolist() == [[0.0] * 5] * 2
    assert torch.equal(run(fresh.trunk, pictures), run(body, pictures))


def test_a_fresh_head_replaces_a_classifier_that_is_no_linear_layer(home, pictures):
    net = regraft.load("torchvision:squeezenet1_1", pretrained=False, num_classes=5, workspace=home)

    assert run(net, pictures).shape == (2, 5)


def test_a_net_for_grey_pictures_sees_in_them_what_it_saw_in_three_equal_channels(home, pictures):
    grey = pictures[:, :1]

    net = regraft.load(EMBEDDED, in_channels=1, workspace=home)

    coloured = run(regraft.load(EMBEDDED, workspace=home), grey.expand(-1, 3, -1, -1))
    assert torch.allclose(run(net, grey), coloured, atol=1e-3)


def test_without_pretrained_weights_nothing_is_fetched_and_weights_are_random(home, monkeypatch):
    before = home.models.list()

    torch.manual_seed(1)
    first = regraft.load("timm:test_resnet", pretrained=False, in_channels=5, workspace=home)
    torch.manual_seed(1)
    again = regraft.load("timm:test_resnet", pretrained=False, in_channels=5, workspace=home)
    other = regraft.load("timm:test_resnet", pretrained=False, in_channels=5, workspace=home)

    pictures = torch.randn(1, 5, 160, 160)
    assert torch.equal(run(first, pictures), run(again, pictures))
    assert not torch.equal(run(first, pictures), run(other, pictures))
    assert home.models.list() == before


def test_a_model_of_the_workspace_comes_by_its_name_and_untrained_by_its_architecture(home, pictures):
    name = home.models.get(EMBEDDED).name

    named = regraft.load(name, workspace=home)
    untrained = regraft.load(name, pretrained=False, workspace=home)

    assert torch.equal(run(named, pictures), run(regraft.load(EMBEDDED, workspace=home), pictures))
    assert untrained.architecture == named.architecture
    assert not torch.equal(run(untrained, pictures), run(named, pictures))


def test_weights_of_a_file_without_a_classifier_are_a_body_and_no_classifier(tmp_path, workspace):
    net = nets.build("torchvision:resnet18").eval()
    save_file(
        {name: value for name, value in nets.original_state(net).items() if not name.startswith("fc.")},
        tmp_path / "trunk.safetensors",
    )
    ref = f"file:{tmp_path / 'trunk.safetensors'}"
    picture = torch.randn(1, 3, 64, 64)

    body = workspace.models.load(ref, include_top=False)
    fresh = workspace.models.load(ref, num_classes=4)
    with pytest.raises(MismatchError) as caught:
        workspace.models.load(ref)

    assert torch.equal(run(body, picture), run(net.trunk, picture))
    assert run(fresh, picture).shape == (1, 4)
    assert str(caught.value) == f"The model {ref!r} has no classifier."


def test_the_record_of_a_squeezenet_says_that_its_classifier_is_its_own(tmp_path, workspace, pictures):
    net = nets.build("torchvision:squeezenet1_1").eval()
    save_file(nets.original_state(net), tmp_path / "squeeze.safetensors")

    ref = f"file:{tmp_path / 'squeeze.safetensors'}"

    assert workspace.models.get(ref).read(ModelVersion).head_kind == "own"
    assert torch.equal(run(workspace.models.load(ref), pictures), run(net, pictures))


def test_what_was_loaded_can_be_copied_and_saved(home, pictures, tmp_path):
    maps = regraft.load(
        "torchvision:googlenet", include_top=False, pool=False, pretrained=False, workspace=home
    )

    twin = copy.deepcopy(maps)
    torch.save(maps.state_dict(), tmp_path / "maps.pt")
    twin.load_state_dict(torch.load(tmp_path / "maps.pt", weights_only=True))

    assert torch.equal(run(twin, pictures), run(maps, pictures))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"include_top": False, "num_classes": 3}, "A net without its top has no classes."),
        ({"pool": False}, "A classifier takes features, which are pooled."),
        ({"num_classes": 0}, "num_classes is 0."),
        ({"in_channels": 0}, "in_channels is 0."),
    ],
)
def test_words_that_contradict_each_other_are_refused(home, options, says):
    with pytest.raises(InvalidError) as caught:
        regraft.load(EMBEDDED, workspace=home, **options)

    assert str(caught.value) == says
    assert caught.value.hint


def test_an_architecture_that_only_the_weights_know_cannot_be_loaded_without_them(home):
    with pytest.raises(InvalidError) as caught:
        regraft.load("hf:timm/resnet18.a1_in1k", pretrained=False, workspace=home)

    assert str(caught.value) == "What 'hf:timm/resnet18.a1_in1k' is can be known from its weights alone."
    assert caught.value.hint == "Name the architecture: timm:NAME or torchvision:NAME."
