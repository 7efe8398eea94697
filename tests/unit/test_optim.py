"""Optimisers by name, and the groups of parameters that they get."""

import pytest
import torch
from torch import nn

from regraft.engine.groups import parameter_groups, table
from regraft.engine.optim import OPTIMIZERS, build, set_rate
from regraft.errors import InvalidRecipe
from regraft.hub import operators
from regraft.recipe import OptimSection


@pytest.fixture(autouse=True)
def _timm_can_be_imported():
    operators.register()


@pytest.fixture
def parameters():
    """The names and shapes of a small net: stem, two layers, head."""
    shapes = {
        "trunk.stem.weight": (4, 3, 3, 3),
        "trunk.stem_norm.weight": (4,),
        "trunk.layer1.weight": (4, 4, 3, 3),
        "trunk.layer1.bias": (4,),
        "trunk.layer2.weight": (6, 4, 3, 3),
        "head.weight": (2, 6),
        "head.bias": (2,),
    }
    random = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(shape, generator=random)) for name, shape in shapes.items()}


LAYERS = (
    ("trunk.stem.weight", "trunk.stem_norm.weight"),
    ("trunk.layer1.weight", "trunk.layer1.bias"),
    ("trunk.layer2.weight",),
    ("head.weight", "head.bias"),
)


def scales(parameters, layers=LAYERS, **optim):
    """Return the scale of the rate and of the decay for each parameter."""
    groups = parameter_groups(parameters, layers=layers, optim=OptimSection(**{"head_lr_scale": 1, **optim}))
    assert sorted(name for group in groups for name in group.names) == sorted(parameters)
    assert all(parameters[n] is p for g in groups for n, p in zip(g.names, g.parameters, strict=True))
    return {name: (group.lr_scale, group.decay_scale) for group in groups for name in group.names}


def test_the_head_learns_faster_and_norms_and_biases_do_not_decay(parameters):
    found = scales(parameters, head_lr_scale=10)

    assert found == {
        "trunk.stem.weight": (1, 1),
        "trunk.stem_norm.weight": (1, 0),
        "trunk.layer1.weight": (1, 1),
        "trunk.layer1.bias": (1, 0),
        "trunk.layer2.weight": (1, 1),
        "head.weight": (10, 1),
        "head.bias": (10, 0),
    }


def test_norms_and_biases_decay_where_the_recipe_says_so(parameters):
    found = scales(parameters, decay_norm_and_bias=True)

    assert set(found.values()) == {(1, 1)}


def test_each_layer_learns_more_slowly_than_the_one_above_it(parameters):
    found = {name: rate for name, (rate, _) in scales(parameters, layer_decay=0.5, head_lr_scale=3).items()}

    assert found == {
        "trunk.stem.weight": 0.125,
        "trunk.stem_norm.weight": 0.125,
        "trunk.layer1.weight": 0.25,
        "trunk.layer1.bias": 0.25,
        "trunk.layer2.weight": 0.5,
        "head.weight": 3,
        "head.bias": 3,
    }


def test_what_is_frozen_does_not_change_how_deep_the_rest_is(parameters):
    learning = {name: p for name, p in parameters.items() if "stem" not in name and "layer2" not in name}

    found = scales(learning, layer_decay=0.5)

    assert found["trunk.layer1.weight"] == (0.25, 1)
    assert found["head.weight"] == (1, 1)


def test_layer_decay_is_timms(parameters):
    from timm.optim import param_groups_layer_decay

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))
            self.head = nn.Linear(3, 2)

        def group_matcher(self, coarse):
            return {"stem": r"^none", "blocks": [(r"^blocks\.(\d+)", None), (r"^head", (9,))]}

    net = Net()
    named = {(n if n.startswith("head") else f"trunk.{n}"): p for n, p in net.named_parameters()}
    layers = [[f"trunk.blocks.{i}.weight", f"trunk.blocks.{i}.bias"] for i in range(4)]

    groups = parameter_groups(named, layers=layers, optim=OptimSection(head_lr_scale=1, layer_decay=0.7))

    theirs = param_groups_layer_decay(net, weight_decay=0.1, layer_decay=0.7)
    expected = {id(p): (g["lr_scale"], g["weight_decay"] / 0.1) for g in theirs for p in g["params"]}
    found = {id(p): (g.lr_scale, g.decay_scale) for g in groups for p in g.parameters}
    assert found.keys() == expected.keys()
    assert [found[key] for key in found] == [pytest.approx(expected[key]) for key in found]


def test_the_first_rule_that_matches_replaces_all_else(parameters):
    rules = [
        {"pattern": "layer1.*", "lr_scale": 0.3},
        {"pattern": "re:bias$", "lr_scale": 7, "decay_scale": 0.5},
        {"pattern": "trunk.stem*", "decay_scale": 0},
    ]

    found = scales(parameters, groups=rules, layer_decay=0.5, head_lr_scale=10)

    assert found == {
        "trunk.layer1.weight": (0.3, 1),
        "trunk.layer1.bias": (0.3, 1),
        "head.bias": (7, 0.5),
        "trunk.stem.weight": (1, 0),
        "trunk.stem_norm.weight": (1, 0),
        "trunk.layer2.weight": (0.5, 1),
        "head.weight": (10, 1),
    }


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("layer3.*", "No parameter that learns has a name like 'layer3.*'.", "One is 'trunk.stem.weight'."),
        (
            "trunk.layer1.wieght",
            "No parameter that learns has a name like 'trunk.layer1.wieght'.",
            "Did you mean 'trunk.layer1.weight'?",
        ),
        (
            "re:layer(",
            "'re:layer(' is no regular expression: missing ), unterminated subpattern at position 5.",
            "",
        ),
    ],
)
def test_a_rule_that_can_match_nothing_is_refused(parameters, pattern, message, hint):
    rules = [{"pattern": "layer1.*"}, {"pattern": pattern}]

    with pytest.raises(InvalidRecipe) as caught:
        scales(parameters, groups=rules)

    assert (str(caught.value), caught.value.hint, caught.value.where) == (message, hint, "optim.groups.1")


def test_the_table_of_groups_counts_and_has_rates(parameters):
    optim = OptimSection(head_lr_scale=10, groups=[{"pattern": "stem*", "lr_scale": 0.1}])
    groups = parameter_groups(parameters, layers=LAYERS, optim=optim)

    rows = table(groups, lr=0.01, weight_decay=0.5)

    assert [(row.name, row.tensors, row.parameters) for row in rows] == [
        ("stem*", 2, 112),
        ("trunk", 2, 360),
        ("trunk, no decay", 1, 4),
        ("head", 1, 12),
        ("head, no decay", 1, 2),
    ]
    assert [row.lr for row in rows] == pytest.approx([0.001, 0.01, 0.01, 0.1, 0.1])
    assert [row.weight_decay for row in rows] == [0.5, 0.5, 0, 0.5, 0]


def learn(entry, *, steps=3, lr=0.1, weight_decay=0.2, factor=1.0):
    """Let a linear layer learn, its bias without decay; return it and its optimiser."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        pictures = torch.randn(5, 3)
    named = {f"head.{name}": parameter for name, parameter in layer.named_parameters()}
    groups = parameter_groups(named, layers=(), optim=OptimSection(head_lr_scale=2))
    optimizer = build(entry, groups, lr=lr, weight_decay=weight_decay)
    set_rate(optimizer, lr, factor)
    for _ in range(steps):
        optimizer.zero_grad()
        layer(pictures).pow(2).mean().backward()
        optimizer.step()
    return layer, optimizer


@pytest.mark.parametrize(
    ("entry", "make"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, momentum=0.9)),
        (
            {"name": "sgd", "momentum": 0.8, "nesterov": True},
            lambda p: torch.optim.SGD(p, momentum=0.8, nesterov=True),
        ),
        ({"name": "sgd", "momentum": 0}, torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ({"name": "adamw", "betas": [0.5, 0.6]}, lambda p: torch.optim.AdamW(p, betas=(0.5, 0.6))),
        ({"name": "rmsprop", "momentum": 0.9}, lambda p: torch.optim.RMSprop(p, momentum=0.9)),
        ("adagrad", torch.optim.Adagrad),
    ],
    ids=["sgd", "nesterov", "plain", "adam", "adamw", "rmsprop", "adagrad"],
)
def test_an_optimizer_steps_as_torchs_does(entry, make):
    layer, _ = learn(entry, steps=4)
    expected, _ = learn({"name": "sgd", "momentum": 0}, steps=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nn.Linear(3, 2)
        pictures = torch.randn(5, 3)
    optimizer = make(
        [
            {"params": [expected.weight], "lr": 0.2, "weight_decay": 0.2},
            {"params": [expected.bias], "lr": 0.2, "weight_decay": 0.0},
        ]
    )
    for _ in range(4):
        optimizer.zero_grad()
        expected(pictures).pow(2).mean().backward()
        optimizer.step()

    assert torch.allclose(layer.weight, expected.weight, atol=1e-6)
    assert torch.allclose(layer.bias, expected.bias, atol=1e-6)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimizer_whose_rate_is_nought_moves_nothing(name):
    before, _ = learn(name, steps=0)

    after, _ = learn(name, factor=0.0)

    assert torch.equal(after.weight, before.weight)
    assert torch.equal(after.bias, before.bias)


@pytest.mark.parametrize("name", ["lamb", "lion", "timm.adan", "timm.nadamw", "timm.lars", "timm.muon"])
def test_timms_optimizers_decay_weights_and_leave_biases(name):
    before, _ = learn(name, steps=0)

    decayed, free = (learn(name, steps=1, weight_decay=decay)[0] for decay in (0.5, 0.0))

    assert not torch.equal(free.bias, before.bias)
    assert torch.equal(decayed.bias, free.bias)
    assert not torch.equal(free.weight, before.weight)
    assert not torch.equal(decayed.weight, free.weight)


def test_an_option_reaches_timms_optimizer():
    _, optimizer = learn({"name": "timm.lion", "betas": [0.5, 0.6]})

    assert type(optimizer).__name__ == "Lion"
    assert {group["betas"] for group in optimizer.param_groups} == {(0.5, 0.6)}


def test_groups_carry_their_name_and_a_rate_that_follows_the_schedule():
    _, optimizer = learn("sgd")

    set_rate(optimizer, 0.1, 0.25)

    assert [(g["name"], g["lr_scale"], g["lr"]) for g in optimizer.param_groups] == [
        ("head", 2.0, 0.05),
        ("head, no decay", 2.0, 0.05),
    ]


@pytest.mark.parametrize(
    ("entry", "where", "message", "hint"),
    [
        ("adamww", "optim.optimizer", "There is no optimizer 'adamww'.", "Did you mean 'adamw'?"),
        ("timm.adamww", "optim.optimizer", "timm has no optimizer 'adamww'.", "Did you mean 'adamw'?"),
        (
            {"name": "sgd", "momentun": 0.9},
            "optim.optimizer.momentun",
            "The optimizer 'sgd' has no option 'momentun'.",
            "Did you mean 'momentum'?",
        ),
        (
            {"name": "timm.adan", "beta": 1},
            "optim.optimizer.beta",
            "The optimizer 'timm.adan' has no option 'beta'.",
            "Did you mean 'betas'?",
        ),
        (
            {"name": "adam", "betas": [0.9, 1.0]},
            "optim.optimizer.betas",
            "'optim.optimizer.betas' cannot be [0.9, 1.0].",
            "Input should be less than 1.",
        ),
        (
            {"name": "sgd", "momentum": 0, "nesterov": True},
            "optim.optimizer.nesterov",
            "Nesterov's momentum needs a momentum, and no dampening.",
            'Write {name = "sgd", nesterov = true}: momentum is 0.9 by itself.',
        ),
        ("timm.kron", "optim.optimizer", "timm has no optimizer 'kron'.", None),
        (
            {"name": "timm.adan", "eps": "small"},
            "optim.optimizer",
            None,
            "",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(entry, where, message, hint):
    with pytest.raises(InvalidRecipe) as caught:
        learn(entry)

    assert caught.value.where == where
    assert message is None or str(caught.value) == message
    assert hint is None or caught.value.hint == hint
