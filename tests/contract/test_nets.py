"""Every net fulfils one contract, whatever its architecture."""

import pytest
import torch
from safetensors.torch import load, save

from regraft.errors import MismatchError, NotFoundError
from regraft.hub import builders, nets

ARCHITECTURES = [
    "tf_efficientnet_lite0",
    "resnet18",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "test_vit",
    "densenet121",
    "torchvision:resnet18",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:squeezenet1_1",
    "torchvision:mnasnet0_5",
    "torchvision:mobilenet_v3_small",
    "torchvision:efficientnet_b0",
]


@pytest.fixture(params=ARCHITECTURES)
def net(request):
    torch.manual_seed(0)
    return nets.build(request.param).eval()


@pytest.fixture
def pictures(net):
    size = nets.input_spec(net).size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def linear(net, classes):
    """A linear head whose logits are not all alike."""
    torch.manual_seed(1)
    return torch.nn.Linear(net.num_features, classes)


def test_the_trunk_gives_the_features_that_it_promises(net, pictures):
    with torch.inference_mode():
        features = nets.features(net, pictures)
        logits = net(pictures)
        again = net.head(net.trunk(pictures))

    assert features.shape == (2, net.num_features)
    assert logits.shape == (2, 1000)
    assert torch.equal(again, logits)


def test_a_replaced_head_is_the_one_that_computes(net, pictures):
    head = linear(net, 3)

    with torch.inference_mode():
        expected = nets.features(net, pictures) @ head.weight.T + head.bias
        logits = nets.replace_head(net, head)(pictures)
        features = net.trunk(pictures)

    assert net.head_kind == "linear"
    assert features.shape == (2, net.num_features)
    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_trunk_and_head_come_apart_and_together_again(net, pictures):
    nets.replace_head(net, linear(net, 3))
    with torch.inference_mode():
        expected = net(pictures)

    trunk, head = nets.split_state(net)
    rebuilt = nets.load_trunk(nets.build(net.architecture), trunk)
    nets.replace_head(rebuilt, torch.nn.Linear(net.num_features, 3)).eval()
    rebuilt.head.load_state_dict(head)

    with torch.inference_mode():
        assert torch.equal(rebuilt(pictures), expected)


def test_a_net_computes_what_its_library_computes_with_the_same_weights(net, pictures):
    library, _, name = net.architecture.rpartition(":")
    original = (builders.get_model if library else builders.timm.create_model)(name).eval()
    state = original.state_dict()

    assert state.keys() == nets.original_state(net).keys()
    state.update(nets.original_state(net))
    original.load_state_dict(state)

    with torch.inference_mode():
        assert torch.equal(net(pictures), original(pictures))


def test_tensors_under_the_names_of_the_library_go_into_a_net(net, pictures):
    other = nets.build(net.architecture).eval()

    nets.load_original(other, nets.original_state(net))

    with torch.inference_mode():
        assert torch.equal(other(pictures), net(pictures))


def test_only_the_classifier_of_a_squeezenet_is_its_own():
    kinds = {name: nets.outline(name).head_kind for name in ARCHITECTURES}

    assert kinds == dict.fromkeys(ARCHITECTURES, "linear") | {"torchvision:squeezenet1_1": "own"}


@pytest.mark.parametrize("architecture", ["resnet18", "torchvision:resnet18", "test_vit"])
def test_a_net_for_one_channel_sees_grey_pictures_as_the_net_for_three_did(architecture):
    coloured = nets.build(architecture).eval()
    size = nets.input_spec(coloured).size
    grey = torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(0))

    trunk, _ = nets.split_state(coloured)
    net = nets.load_trunk(nets.build(architecture, in_channels=1), trunk).eval()

    with torch.inference_mode():
        expected = nets.features(coloured, grey.expand(-1, 3, -1, -1))
        assert torch.allclose(nets.features(net, grey), expected, atol=1e-4)


def test_more_channels_repeat_red_green_and_blue_at_the_same_strength():
    trunk, _ = nets.split_state(nets.build("torchvision:resnet18"))

    net = nets.load_trunk(nets.build("torchvision:resnet18", in_channels=5), trunk)

    expected = trunk["conv1.weight"][:, [0, 1, 2, 0, 1]] * (3 / 5)
    assert torch.equal(net.trunk.conv1.weight, expected)


@pytest.mark.parametrize("architecture", ["test_efficientnet", "torchvision:efficientnet_b0"])
def test_blocks_are_passed_by_with_the_chance_that_is_asked_for(architecture):
    def chances(net):
        found = [getattr(m, "p", None) for m in net.modules() if type(m).__name__ == "StochasticDepth"]
        found += [m.drop_prob for m in net.modules() if type(m).__name__ == "DropPath"]
        return found

    never, often = nets.build(architecture), nets.build(architecture, drop_path=0.5)

    assert set(chances(never)) <= {0.0}
    assert 0.3 < max(chances(often)) <= 0.5


@pytest.mark.parametrize("architecture", ["vgg11", "torchvision:resnet18"])
def test_a_net_without_stochastic_depth_says_so(architecture):
    with pytest.raises(MismatchError) as caught:
        nets.build(architecture, drop_path=0.1)

    assert str(caught.value) == f"The net {architecture!r} has no stochastic depth."


def test_trunk_weights_of_another_net_are_refused():
    trunk, _ = nets.split_state(nets.build("resnet18"))

    with pytest.raises(MismatchError, match="The stored weights do not fit the net"):
        nets.load_trunk(nets.build("test_vit"), trunk)


def test_an_unknown_architecture_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        nets.build("resnet81")

    assert "has no architecture 'resnet81'." in str(caught.value)
    assert caught.value.hint.startswith("Did you mean 'resn")


def test_a_net_whose_weights_bring_no_classifier_has_features_for_a_new_one():
    net = nets.outline("vit_small_patch14_dinov2")

    assert (net.num_features, net.head_kind) == (384, "linear")


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        ("resnetv2_50", "The classifier of 'resnetv2_50' is Conv2d, not one linear layer."),
        ("levit_128s", "The net 'levit_128s' has 2 classifiers; only nets with one can be fine-tuned."),
    ],
)
def test_a_net_whose_classifier_cannot_be_replaced_is_refused(architecture, says):
    with pytest.raises(MismatchError) as caught:
        nets.outline(architecture)

    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("architecture", "says", "hint"),
    [
        (
            "torchvision:resnet81",
            "There is no architecture 'torchvision:resnet81'.",
            "Did you mean 'resnet18'?",
        ),
        (
            "keras:resnet18",
            "No library of nets is called 'keras'.",
            "There is torchvision:NAME, regraft:NAME; ",
        ),
    ],
)
def test_a_library_that_has_no_such_net_names_what_there_is(architecture, says, hint):
    with pytest.raises(NotFoundError) as caught:
        nets.build(architecture)

    assert str(caught.value) == says
    assert caught.value.hint.startswith(hint)


def test_efficientnet_lite0_wants_one_half_as_mean_and_deviation():
    spec = nets.input_spec(nets.build("tf_efficientnet_lite0"))

    assert spec.model_dump() == {
        "size": 224,
        "crop": 0.875,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "interpolation": "bicubic",
        "resize": "crop",
    }


@pytest.mark.parametrize(
    ("architecture", "size", "crop"),
    [
        ("torchvision:resnet18", 224, 0.875),
        ("torchvision:inception_v3", 299, 299 / 342),
        ("torchvision:vit_h_14", 224, 1.0),
    ],
)
def test_a_net_of_torchvision_wants_what_its_weights_were_made_for(architecture, size, crop):
    spec = nets.input_spec(nets.outline(architecture))

    assert (spec.size, spec.crop) == (size, crop)


def test_the_thousand_labels_of_imagenet_are_all_different():
    net = nets.outline("torchvision:resnet18")

    labels = nets.label_names(net)
    numbers = nets.label_names(nets.replace_head(net, linear(net, 3)))

    assert len(set(labels)) == 1000
    assert labels[934] == "hotdog, hot dog, red hot"
    assert numbers == ("0", "1", "2")


def test_an_unknown_tag_is_named():
    with pytest.raises(NotFoundError) as caught:
        nets.build("resnet18.nosuchtag")

    assert "has no 'resnet18.nosuchtag': " in str(caught.value)
    assert caught.value.hint == "Leave away what follows the dot."


@pytest.mark.parametrize("mode", ["squash", "border"])
def test_a_net_that_wants_another_crop_than_the_centre_of_less_than_all_is_refused(mode):
    net = nets.build("test_resnet")
    net.trunk.pretrained_cfg = {**net.trunk.pretrained_cfg, "crop_mode": mode, "crop_pct": 0.9}

    with pytest.raises(MismatchError) as caught:
        nets.input_spec(net)

    assert str(caught.value) == (f"The net wants its pictures prepared by {mode!r}, which is not supported.")


@pytest.mark.parametrize(("mode", "resize"), [("squash", "squash"), ("border", "pad")])
def test_a_net_that_wants_the_whole_picture_gets_it(mode, resize):
    net = nets.build("test_resnet")
    net.trunk.pretrained_cfg = {**net.trunk.pretrained_cfg, "crop_mode": mode, "crop_pct": 1.0}

    assert nets.input_spec(net).resize == resize


def test_tensors_that_a_net_shares_can_be_stored():
    net = nets.build("test_resnet")
    block = net.trunk.layer1[0]
    block.conv2.weight = block.conv1.weight

    trunk, _ = nets.split_state(net)

    assert load(save(trunk)).keys() == trunk.keys()
