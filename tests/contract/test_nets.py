"""Every net fulfils one contract, whatever its architecture."""

import pytest
import torch
from safetensors.torch import load, save

from regraft.errors import MismatchError, NotFoundError
from regraft.hub import nets

ARCHITECTURES = [
    "tf_efficientnet_lite0",
    "resnet18",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "test_vit",
    "densenet121",
]


@pytest.fixture(params=ARCHITECTURES)
def net(request):
    torch.manual_seed(0)
    return nets.build(request.param).eval()


@pytest.fixture
def pictures(net):
    size = nets.input_spec(net).size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_the_trunk_gives_the_features_that_it_promises_and_the_classifier_makes_logits_of_them(net, pictures):
    with torch.inference_mode():
        features = nets.features(net, pictures)
        logits = net(pictures)
        again = nets.classifier(net)(features)

    assert features.shape == (2, nets.num_features(net))
    assert torch.allclose(again, logits, atol=1e-5)


def test_a_replaced_head_is_the_one_that_computes(net, pictures):
    weight = torch.randn(3, nets.num_features(net))
    bias = torch.tensor([1.0, 2.0, 3.0])

    with torch.inference_mode():
        expected = nets.features(net, pictures) @ weight.T + bias
        logits = nets.replace_head(net, weight, bias)(pictures)

    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_stages_hold_every_parameter_once(net):
    names = [name for stage in nets.stages(net) for name in stage]

    assert sorted(names) == sorted(name for name, _ in net.named_parameters())
    assert len(nets.stages(net)) >= 3


def test_trunk_and_head_come_apart_and_together_again(net, pictures):
    architecture = net.pretrained_cfg["architecture"]
    with torch.inference_mode():
        expected = net(pictures)

    trunk, head = nets.split_state(net)
    rebuilt = nets.load_trunk(nets.build(architecture), trunk)
    rebuilt = nets.replace_head(rebuilt, head["weight"], head["bias"]).eval()

    with torch.inference_mode():
        assert torch.equal(rebuilt(pictures), expected)


def test_trunk_weights_of_another_net_are_refused():
    trunk, _ = nets.split_state(nets.build("resnet18"))

    with pytest.raises(MismatchError, match="The stored weights do not fit the net"):
        nets.load_trunk(nets.build("test_vit"), trunk)


def test_an_unknown_architecture_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        nets.build("resnet81")

    assert "has no architecture 'resnet81'." in str(caught.value)
    assert caught.value.hint.startswith("Did you mean 'resn")


def test_a_net_whose_classifier_is_no_linear_layer_is_refused():
    net = nets.build("resnet18")
    net.fc = torch.nn.Identity()

    with pytest.raises(MismatchError, match="The classifier of the net is Identity, not one linear layer"):
        nets.num_features(net)


def test_efficientnet_lite0_wants_one_half_as_mean_and_deviation():
    spec = nets.input_spec(nets.build("tf_efficientnet_lite0"))

    assert spec.model_dump() == {
        "size": 224,
        "crop": 0.875,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "interpolation": "bicubic",
    }


def test_the_thousand_labels_of_imagenet_are_all_different():
    labels = nets.label_names(1000)

    assert len(set(labels)) == 1000
    assert labels[934] == "hotdog, hot dog, red hot"
    assert nets.label_names(3) == ("0", "1", "2")


def test_an_unknown_tag_is_named():
    with pytest.raises(NotFoundError) as caught:
        nets.build("resnet18.nosuchtag")

    assert "has no 'resnet18.nosuchtag': " in str(caught.value)
    assert caught.value.hint == "Leave away what follows the dot."


@pytest.mark.parametrize("mode", ["squash", "border"])
def test_a_net_that_wants_another_crop_than_the_centre_is_refused(mode):
    net = nets.build("test_resnet")
    net.pretrained_cfg = {**net.pretrained_cfg, "crop_mode": mode}

    with pytest.raises(MismatchError) as caught:
        nets.input_spec(net)

    assert str(caught.value) == (f"The net wants its pictures prepared by {mode!r}, which is not supported.")


def test_tensors_that_a_net_shares_can_be_stored():
    net = nets.build("test_resnet")
    net.layer1[0].conv2.weight = net.layer1[0].conv1.weight

    trunk, _ = nets.split_state(net)

    assert load(save(trunk)).keys() == trunk.keys()
