"""Freezing: what stays as it is, by stages, by names, and what a person hears of a slip."""

import pytest
import torch
from torch import nn

from regraft.errors import InvalidRecipe
from regraft.hub import freezing, nets
from regraft.hub.heads import Linear

RESNET_STAGES = ["stem", "layer1", "layer2", "layer3", "layer4"]


@pytest.fixture(scope="module")
def resnet():
    return nets.outline("resnet18")


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    net = nets.build("test_resnet")
    return nets.replace_head(net, Linear(net.num_features, 3))


def places(frozen):
    """The names of a ResNet's frozen parameters up to the first dot."""
    return {name.removeprefix("trunk.").partition(".")[0] for name in frozen.names}


@pytest.mark.parametrize("architecture", ["resnet50", "torchvision:resnet50"])
def test_two_stages_of_a_resnet_50_are_as_many_parameters_as_in_openmmlab(architecture):
    net = nets.outline(architecture)
    nets.replace_head(net, nn.Linear(net.num_features, 10, device="meta"))

    frozen = freezing.find(net, 2)
    frozen.apply(net)

    counts = {True: 0, False: 0}
    for parameter in net.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    assert counts == {False: 1_444_928, True: 22_083_594}


@pytest.mark.parametrize(
    ("freeze", "stages", "frozen_places"),
    [
        (0, 0, set()),
        ((), 0, set()),
        ("stem", 1, {"conv1", "bn1"}),
        (1, 2, {"conv1", "bn1", "layer1"}),
        (4, 5, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        ("backbone", 5, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        ("trunk.*", 5, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        (("conv1.*", "bn1.*", "layer1.*"), 2, {"conv1", "bn1", "layer1"}),
        (("trunk.conv1.*", r"re:^bn1\.|^layer2\."), 1, {"conv1", "bn1", "layer2"}),
        ("layer[34].*", 0, {"layer3", "layer4"}),
        ("head.*", 0, {"head"}),
    ],
)
def test_a_recipe_freezes_stages_or_names(resnet, freeze, stages, frozen_places):
    frozen = freezing.find(resnet, freeze)

    assert (frozen.stages, places(frozen)) == (stages, frozen_places)


def test_a_stage_counts_only_where_all_of_it_is_frozen(resnet):
    frozen = freezing.find(resnet, ("conv1.*", "bn1.*", "re:layer1.*conv"))

    assert frozen.stages == 1
    assert "trunk.layer1.0.bn1.weight" not in frozen.names


def test_a_regular_expression_is_found_anywhere_and_a_glob_matches_the_whole_name(resnet):
    biases = freezing.find(resnet, "re:bn2.bias$").names

    assert biases == freezing.find(resnet, "*.bn2.bias").names
    assert len(biases) == 8


def test_what_is_frozen_gets_no_gradient_and_what_was_frozen_before_gets_one_again(tiny):
    freezing.find(tiny, "backbone").apply(tiny)

    freezing.find(tiny, 1).apply(tiny)

    learns = {name for name, parameter in tiny.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, _ in tiny.named_parameters()} - freezing.find(tiny, 1).names


@pytest.mark.parametrize("stats", [True, False])
def test_the_statistics_of_what_is_frozen_stay_unless_it_is_asked_otherwise(tiny, stats):
    frozen = freezing.find(tiny, 2, stats=stats)
    before = {name: tensor.clone() for name, tensor in tiny.named_buffers() if name.endswith("mean")}

    frozen.apply(tiny)
    frozen.train(tiny)
    tiny(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))

    moved = {name for name, tensor in before.items() if not torch.equal(tensor, tiny.get_buffer(name))}
    below = {name for name in before if name.split(".")[1] in ("conv1", "bn1", "layer1", "layer2")}
    assert len(below) > 3
    assert moved == (before.keys() - below if stats else before.keys())


def test_a_batch_norm_whose_weights_alone_are_frozen_keeps_its_statistics(tiny):
    frozen = freezing.find(tiny, ("layer4.0.bn1.*",))

    frozen.train(tiny.eval())

    still = [name for name, module in tiny.named_modules() if not module.training]
    assert still == [name for name, _ in tiny.named_modules() if name.startswith("trunk.layer4.0.bn1")]


def test_frozen_weights_do_not_move_in_a_step(tiny):
    frozen = freezing.find(tiny, 3)
    frozen.apply(tiny)
    frozen.train(tiny)
    for name, parameter in tiny.named_parameters():  # some begin at zero, and let no gradient through
        if name.endswith(("bn2.weight", "head.weight")):
            nn.init.normal_(parameter)
    before = {name: parameter.clone() for name, parameter in tiny.named_parameters()}
    optimizer = torch.optim.SGD([p for p in tiny.parameters() if p.requires_grad], lr=0.1)

    pictures = torch.randn(4, 3, 64, 64)
    nn.functional.cross_entropy(tiny(pictures), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()

    same = {name for name, parameter in tiny.named_parameters() if torch.equal(before[name], parameter)}
    assert same == frozen.names


def test_more_stages_than_there_are_is_an_error_that_names_them(resnet):
    with pytest.raises(InvalidRecipe) as caught:
        freezing.find(resnet, 5)

    assert str(caught.value) == "The net has 4 stages above its stem, and 5 should be frozen."
    assert caught.value.hint == 'They are layer1, layer2, layer3, layer4; all of them are "backbone".'
    assert caught.value.where == "model.freeze"


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("layer1", "Did you mean 'layer1.*'?"),
        ("trunk.layer1.", "Did you mean 'trunk.layer1.*'?"),
        ("layer1.0.conv1.weights", "Did you mean 'layer1.0.conv1.weight'?"),
        ("re:^encoder", "One is 'conv1.weight'."),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error_that_names_what_is_near(resnet, pattern, hint):
    with pytest.raises(InvalidRecipe) as caught:
        freezing.find(resnet, ("conv1.*", pattern))

    assert str(caught.value) == f"No parameter of the net has a name like {pattern!r}."
    assert (caught.value.hint, caught.value.where) == (hint, "model.freeze")


def test_a_pattern_that_cannot_be_read_is_an_error(resnet):
    with pytest.raises(InvalidRecipe) as caught:
        freezing.find(resnet, "re:layer(")

    assert str(caught.value).startswith("'re:layer(' is no regular expression: ")


def test_a_net_in_which_nothing_would_learn_is_an_error(resnet):
    with pytest.raises(InvalidRecipe) as caught:
        freezing.find(resnet, "*")

    assert str(caught.value) == (
        "All parameters of the net are frozen, the head's too, so that nothing would learn."
    )
