"""Heat lies where a net looks, whatever the net."""

import numpy as np
import pytest
import torch
from torch import nn

from regraft.engine import cam
from regraft.hub import heads, nets


def pooled(last):
    """A net that is a map, its mean over places, and a linear layer."""
    torch.manual_seed(0)
    return nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


def test_below_a_mean_and_a_linear_layer_heat_is_the_weighted_map():
    net = pooled(nn.Conv2d(3, 6, 3, stride=2))
    picture = torch.randn(1, 3, 17, 17)

    heat = cam.heat(net, picture, 1)

    weight = net[-1].weight[1] - (net[-1].weight[0] + net[-1].weight[2]) / 2
    expected = torch.einsum("c,chw->hw", weight, net[0](picture)[0]).clamp(min=0)
    assert np.allclose(heat, (expected / expected.max()).detach().numpy(), atol=1e-6)


def test_an_activation_in_place_counts_as_it_was_left():
    torch.manual_seed(1)
    convolution = nn.Conv2d(3, 6, 3)
    plain, in_place = (pooled(nn.Sequential(convolution, nn.ReLU(inplace=word))) for word in (False, True))
    picture = torch.randn(1, 3, 9, 9)

    first, second = (cam.heat(net, picture, 2) for net in (plain, in_place))

    assert first.any()
    assert np.array_equal(first, second)


class ClassToken(nn.Module):
    """Tokens of which the first looks at one other, and answers."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 4, stride=4)
        self.body = nn.Linear(4, 4)
        self.last = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.place = place

    def forward(self, pictures):
        places = self.embed(pictures).flatten(2).transpose(1, 2)
        tokens = self.body(torch.cat([places.mean(1, keepdim=True), places], dim=1))
        answer = self.last(torch.cat([tokens[:, 1 + self.place, None], tokens[:, 1:]], dim=1))
        return self.head(answer[:, 0])


@pytest.mark.parametrize("target", [0, 1])
def test_a_class_token_hands_on_what_it_looked_at(target):
    torch.manual_seed(0)
    net = ClassToken(place=6)

    heat = cam.heat(net, torch.randn(1, 3, 16, 16), target)

    assert heat.shape == (4, 4)
    assert heat.argmax() == 6 or not heat.any()
    assert (heat > 0).sum() <= 1


@pytest.mark.parametrize(
    ("architecture", "side"), [("test_resnet", 5), ("test_convnext", 5), ("test_vit", 10), ("test_vit3", 10)]
)
def test_nets_of_any_kind_have_heat(architecture, side):
    torch.manual_seed(1)
    net = nets.build(architecture)
    head = heads.initialise(heads.Linear(net.num_features, 3), "normal")
    nets.replace_head(net, head).eval()

    maps = [cam.heat(net, torch.randn(1, 3, 160, 160), target) for target in range(3)]

    assert [heat.shape for heat in maps] == [(side, side)] * 3
    assert {float(heat.max()) for heat in maps} <= {0.0, 1.0}
    assert any(heat.any() for heat in maps)


def test_a_net_without_places_has_no_heat():
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 2))

    heat = cam.heat(net, torch.randn(1, 3, 4, 4), 0)

    assert heat.shape == (0, 0)


def test_a_net_is_left_as_it_was():
    net = pooled(nn.Conv2d(3, 6, 3)).eval().requires_grad_(False)

    cam.heat(net, torch.randn(1, 3, 9, 9), 0)

    assert [len(module._forward_hooks) for module in net.modules()] == [0] * 5
    assert all(parameter.grad is None for parameter in net.parameters())
