"""Nets of every family come apart at each of their stages, and learn above as they do as a whole."""

from __future__ import annotations

import pytest
import torch

from regraft.hub import nets
from regraft.hub.boundary import split
from regraft.hub.freezing import Frozen
from regraft.hub.stages import stages

#: The side of the pictures, and how many stages are frozen in turn; all numbers of them where none is said.
NETS = {
    "test_resnet": (32, ()),
    "test_efficientnet": (32, ()),
    "test_vit": (160, ()),
    "test_convnext": (32, ()),
    "test_byobnet": (32, ()),
    "test_nfnet": (32, ()),
    "resnet18": (32, ()),
    "densenet121": (32, (1, 3, 5)),
    "vit_tiny_patch16_224": (224, (6,)),
    "swin_tiny_patch4_window7_224": (224, (3,)),
    "convnext_atto": (32, ()),
    "mobilenetv3_small_050": (32, ()),
    "tf_efficientnet_lite0": (32, (1, 4, 7)),
    "regnetx_002": (32, (2, 4)),
    "torchvision:resnet18": (32, ()),
    "torchvision:densenet121": (32, (1, 3, 5)),
    "torchvision:googlenet": (32, ()),
    "torchvision:mobilenet_v2": (32, (3, 6)),
    "torchvision:squeezenet1_1": (64, ()),
    "torchvision:swin_t": (32, (3,)),
    "torchvision:vgg11": (32, (4,)),
    "torchvision:vit_b_16": (224, (4,)),
    "regraft:cifar_resnet20": (32, ()),
}


@pytest.mark.parametrize("architecture", NETS)
def test_a_net_comes_apart_and_learns_above_the_boundary_as_it_does_whole(architecture):
    torch.manual_seed(0)
    size, counts = NETS[architecture]
    net = nets.build(architecture)
    pictures = torch.randn(2, 3, size, size)
    found = stages(net)

    for count in counts or range(1, len(found) + 1):
        names = frozenset(name for stage in found[:count] for name in stage.parameters)
        frozen = Frozen(names=names, stages=count)
        boundary = split(net, frozen, pictures)
        assert boundary is not None, f"{count} stages of {architecture}"
        frozen.apply(net)
        frozen.train(net)
        kept = boundary.lower(pictures).clone(memory_format=torch.contiguous_format)

        loss, gradients = learned(net, net, pictures)
        loss_above, gradients_above = learned(net, boundary.upper, kept)

        assert torch.equal(loss_above, loss)
        assert gradients_above.keys() == gradients.keys() == dict(net.named_parameters()).keys() - names
        for name, gradient in gradients.items():
            # kept in another order of memory, a few of them round otherwise
            close = {"rtol": 1e-5, "atol": 1e-5 * float(gradient.abs().max())}
            torch.testing.assert_close(gradients_above[name], gradient, **close)


def test_a_net_of_several_branches_comes_apart_only_where_there_is_one():
    torch.manual_seed(0)
    net = nets.build("hrnet_w18_small")
    pictures = torch.randn(2, 3, 32, 32)
    found = stages(net)

    boundaries = []
    for count in range(1, len(found) + 1):
        names = frozenset(name for stage in found[:count] for name in stage.parameters)
        boundaries.append(split(net, Frozen(names=names, stages=count), pictures))

    assert [boundary and boundary.name for boundary in boundaries] == [
        "trunk.act2",
        None,
        None,
        None,
        "trunk",
    ]


def learned(net, forward, batch):
    """Return the loss and the gradients of one step, which leaves the net as it was."""
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net.zero_grad(set_to_none=True)
    torch.manual_seed(1)  # what chance there is above the boundary
    loss = torch.nn.functional.cross_entropy(forward(batch), torch.tensor([1, 2]))
    loss.backward()
    for name, buffer in net.named_buffers():
        buffer.copy_(buffers[name])
    gradients = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    return loss.detach(), gradients
