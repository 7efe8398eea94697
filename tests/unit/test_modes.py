"""What learns in which epoch: what each strategy means for a net."""

import pytest
import torch
from torch import nn

from regraft.errors import InvalidRecipe
from regraft.hub import adapters, nets
from regraft.jobs import modes
from regraft.recipe import check

STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4", "head")


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = nets.build("test_resnet")
    return nets.replace_head(net, nn.Linear(net.num_features, 3))


def build(net, strategy, *, unfreeze_every=1, added=frozenset(), **model):
    document = {
        "train": {"strategy": strategy, "unfreeze_every": unfreeze_every},
        "model": {"norm_eval": False, **model},
    }
    return modes.build(net, check(document), added)


def learning(net, mode):
    """Return the stages of a ResNet in which a mode lets all parameters learn."""
    mode.apply(net)
    found = {stage: set() for stage in STAGES}
    for name, parameter in net.named_parameters():
        stage = name.removeprefix("trunk.").partition(".")[0].replace("bn1", "conv1")
        found[stage].add(parameter.requires_grad)
    assert all(len(kinds) == 1 for kinds in found.values())
    return [stage for stage in STAGES if found[stage] == {True}]


@pytest.mark.parametrize("strategy", ["full", "lp-ft", "scratch"])
def test_all_of_the_net_learns_from_the_first_epoch_on(net, strategy):
    mode = build(net, strategy)

    assert [learning(net, mode(epoch)) for epoch in (0, 7)] == [list(STAGES)] * 2


@pytest.mark.parametrize(
    ("freeze", "first"),
    [(0, "layer3"), ("stem", "layer1"), (1, "layer2"), (3, "layer4"), ("backbone", "head")],
)
def test_partly_is_the_upper_half_unless_a_person_says_what(net, freeze, first):
    mode = build(net, "partial", freeze=freeze)

    assert learning(net, mode(0)) == list(STAGES[STAGES.index(first) :])


def test_gradually_one_stage_more_learns_with_each_epoch(net):
    mode = build(net, "gradual")

    found = [learning(net, mode(epoch)) for epoch in range(8)]

    assert found == [list(STAGES[max(5 - epoch, 0) :]) for epoch in range(8)]


def test_gradually_may_take_more_epochs_and_stop_above_what_stays_frozen(net):
    mode = build(net, "gradual", unfreeze_every=2, freeze=2)

    found = [learning(net, mode(epoch)) for epoch in range(8)]

    assert found == [list(STAGES[max(5 - epoch // 2, 3) :]) for epoch in range(8)]


def test_gradually_a_stage_that_stays_frozen_is_passed_over(net):
    mode = build(net, "gradual", freeze=["layer4.*", "layer2.*"])

    found = [learning(net, mode(epoch)) for epoch in range(5)]

    whole = ["conv1", "layer1", "layer3", "head"]
    assert found == [["head"], ["layer3", "head"], whole[1:], whole, whole]


def test_of_an_adapter_what_it_added_and_the_head_learn(net):
    added = adapters.add(net, "lora")

    build(net, "adapters", added=added, freeze="layer1.*")(0).apply(net)

    now = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert now == {*added, "head.weight", "head.bias"}
    assert added


def test_a_pattern_that_names_nothing_is_refused(net):
    with pytest.raises(InvalidRecipe, match=r"^No parameter of the net has a name like 'layer9\.\*'\.$"):
        build(net, "full", freeze="layer9.*")


def norms(net):
    """Return which batch-norms move their statistics."""
    return [m.training for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize(
    ("model", "moving"),
    [
        ({}, "all"),
        ({"norm_eval": True}, "none"),
        ({"freeze": "backbone"}, "none"),
        ({"freeze": "backbone", "freeze_stats": False}, "all"),
        ({"freeze": 2}, "some"),
    ],
    ids=str,
)
def test_batch_norms_keep_their_statistics_where_they_are_frozen_or_all_of_them(net, model, moving):
    mode = build(net, "full", **model)(0)
    net.eval()

    mode.train(net)

    kinds = {"all": {True}, "none": {False}, "some": {True, False}}
    assert set(norms(net)) == kinds[moving]
    assert net.head.training


def test_the_precision_of_a_training_is_one_of_those_that_the_processor_has():
    recipe = check({"train": {"strategy": "adapters"}, "model": {"norm_eval": True}})

    chosen = modes.fastest_training("test_vit", recipe, size=32)

    assert chosen in ("float32", "float32+channels_last", "bfloat16+channels_last")
