"""Adapters: a net begins unchanged, few of its parameters learn, and what they learned is merged."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from regraft.errors import InvalidRecipe, MismatchError
from regraft.hub import adapters, lora, nets

ENTRIES = ["lora", "bias", "norm", {"name": "lora", "rank": 3, "alpha": 5.0, "dropout": 0.1}]
ARCHITECTURES = ["test_vit", "test_efficientnet", "regraft:cifar_resnet20"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other cost nets of this size more than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=ARCHITECTURES)
def net(request):
    return build(request.param)


def build(architecture):
    """Build a net whose weights and statistics are as different as those of a trained one.

    In float64: of nets this small, rounding would be a part that one can see.
    """
    torch.manual_seed(0)
    net = nets.build(architecture).double()
    random = torch.Generator().manual_seed(1)
    for tensor in net.trunk.state_dict().values():
        if tensor.ndim == 1:
            tensor.add_(torch.randn(tensor.shape, generator=random), alpha=0.1).abs_()
    measured = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in measured:
        module.momentum = 1.0
    net.train()(pictures(net))
    for module in measured:
        module.momentum = 0.1
    return net.eval()


def pictures(net):
    size = 160 if net.architecture == "test_vit" else 32
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0)).double()


def train(net, learning, steps=3, statistics=True):
    """Move the parameters that learn, and running statistics too or not; return the net in eval mode."""
    named = dict(net.named_parameters())
    optimizer = torch.optim.SGD([named[name] for name in sorted(learning)], lr=0.5)
    net.train(statistics)
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        net(pictures(net)).square().mean().backward()
        optimizer.step()
    return net.eval()


def difference(first, second):
    return {name for name in first.keys() | second.keys() if not torch.equal(first[name], second[name])}


@torch.no_grad()
def says(net):
    return net(pictures(net))


def error(first, second):
    """Return how far two tensors are apart, in parts of the second."""
    return float((first - second).norm() / second.norm())


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_net_with_an_adapter_begins_unchanged(net, entry):
    before, state = says(net), copy.deepcopy(net.trunk.state_dict())

    adapters.add(net, entry)

    assert torch.equal(says(net), before)
    base = adapters.base_state(net)
    assert base.keys() == state.keys()
    assert difference(base, state) == set()


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_only_what_was_said_to_learn_moves(net, entry):
    learning = adapters.add(net, entry)
    free = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    before = copy.deepcopy(net.state_dict())

    after = train(net, learning, statistics=False).state_dict()

    assert free == learning | {"head.weight", "head.bias"}
    assert difference(before, after) == learning


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_what_was_learned_is_stored_and_merged_into_a_fresh_net(net, entry):
    fresh = copy.deepcopy(net)
    before = says(net)
    train(net, adapters.add(net, entry))

    adapters.load(fresh, load(save(adapters.state(net))))

    assert error(says(net), before) > 1e-3
    assert error(says(fresh), says(net)) < 1e-9
    assert fresh.trunk.state_dict().keys() == adapters.base_state(net).keys()


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_merged_net_says_the_same_and_is_a_plain_one(net, entry):
    kinds = [type(module) for module in net.modules()]
    names = net.state_dict().keys()
    train(net, adapters.add(net, entry))
    expected = says(net)

    merged = adapters.merge(net)

    assert merged is net
    assert error(says(net), expected) < 1e-9
    assert [type(module) for module in net.modules()] == kinds
    assert net.state_dict().keys() == names
    assert adapters.add(net, entry)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_the_weights_from_before_can_be_had_after_training(net, entry):
    before = copy.deepcopy(net.trunk.state_dict())
    train(net, adapters.add(net, entry))

    base = adapters.base_state(net)

    assert save(base) == save(before)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_net_that_is_built_again_goes_on_where_the_other_was(net, entry):
    again = copy.deepcopy(net)
    adapters.add(again, entry, seed=3)
    train(net, adapters.add(net, entry, seed=3))

    again.load_state_dict(net.state_dict())

    assert torch.equal(says(again), says(net))
    assert difference(adapters.state(again), adapters.state(net)) == set()


def test_lora_is_stored_under_the_names_of_peft():
    net = build("test_resnet")
    learning = adapters.add(net, {"name": "lora", "rank": 2, "alpha": 6.0, "targets": ["layer1.0.conv1"]})
    train(net, learning)
    lora_b = net.trunk.layer1[0].conv1.lora_B.weight

    state = {name: tensor for name, tensor in adapters.state(net).items() if "lora" in name}

    layer = net.trunk.layer1[0].conv1
    assert learning == {"trunk.layer1.0.conv1.lora_A.weight", "trunk.layer1.0.conv1.lora_B.weight"}
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {
        "base_model.model.layer1.0.conv1.lora_A.weight": [2, *layer.weight.shape[1:]],
        "base_model.model.layer1.0.conv1.lora_B.weight": [len(layer.weight), 2, 1, 1],
    }
    stored = state["base_model.model.layer1.0.conv1.lora_B.weight"]
    assert torch.allclose(stored, lora_b * 3)
    assert adapters.peft_config(state) == {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 2,
        "target_modules": r"layer1\.0\.conv1",
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


def test_lora_reaches_every_linear_layer_and_every_convolution_of_one_group():
    net = build("test_efficientnet")
    expected = {
        name
        for name, module in net.trunk.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }

    adapters.add(net, "lora")

    assert {name for name, _ in lora.layers(net.trunk)} == expected
    assert len(expected) > 10


@pytest.mark.parametrize("architecture", ["torchvision:swin_t", "torchvision:vit_b_32"])
def test_lora_passes_by_layers_whose_weights_are_taken_without_calling_them(architecture):
    net = nets.build(architecture)

    adapters.add(net, {"name": "lora", "rank": 1})

    reached = {name.rpartition(".")[2] for name, _ in lora.layers(net.trunk)}
    assert not reached & {"qkv", "proj", "out_proj"}
    assert reached >= {"0", "3"}
    with pytest.raises(InvalidRecipe, match=r"^No layer that can carry LoRA matches '.*proj'"):
        adapters.add(nets.build(architecture), {"name": "lora", "targets": ["out_proj", "attn.proj"]})


def test_looking_for_layers_leaves_modes_statistics_and_random_numbers_alone():
    net = build("test_resnet").train()
    net.trunk.layer1.eval()
    modes = [module.training for module in net.modules()]
    statistics = copy.deepcopy(dict(net.named_buffers()))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)

    adapters.add(net, {"name": "lora", "targets": ["conv1"]})

    assert torch.rand(1) == expected
    assert [m.training for name, m in net.named_modules() if "lora_" not in name] == modes
    assert difference(statistics, dict(net.named_buffers())) == set()


@pytest.mark.parametrize(
    "target", ["qkv", "*.qkv", "trunk.*.qkv", r"re:\.qkv$", "re:^trunk.*qkv", "re:^blocks.*qkv"]
)
def test_a_target_is_the_end_of_a_name_or_a_pattern(target):
    net = build("test_vit")

    adapters.add(net, {"name": "lora", "targets": [target]})

    names = [name for name, _ in lora.layers(net.trunk)]
    assert names == [f"blocks.{block}.attn.qkv" for block in range(len(net.trunk.blocks))]


def test_lora_in_float32_is_merged_to_the_fifth_digit():
    net = build("test_vit").float()
    images = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    adapters.add(net, "lora")
    with torch.no_grad():
        for _, layer in lora.layers(net.trunk):
            layer.lora_B.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
        expected = net(images)

        merged = adapters.merge(net)(images)

    assert error(merged, expected) < 1e-5


def test_lora_depends_on_its_seed():
    def begin(seed):
        net = build("test_vit")
        adapters.add(net, "lora", seed=seed)
        return adapters.state(net)

    first, again, other = begin(1), begin(1), begin(2)

    assert difference(first, again) == set()
    assert difference(first, other) == {name for name in first if "lora_A" in name}


def test_dropout_of_lora_acts_in_train_mode_alone():
    net = build("test_vit")
    train(net, adapters.add(net, {"name": "lora", "dropout": 0.5}))

    torch.manual_seed(0)
    first, second = says(net.train()), says(net)

    assert not torch.equal(first, second)
    assert torch.equal(says(net.eval()), says(net))


def test_a_copy_of_a_net_learns_by_itself():
    net = build("test_vit")
    learning = adapters.add(net, "lora")

    twin = train(copy.deepcopy(net), learning)

    assert not any(tensor.any() for name, tensor in adapters.state(net).items() if "lora_B" in name)
    assert error(says(adapters.merge(copy.deepcopy(twin))), says(twin)) < 1e-9


def test_a_net_has_one_adapter():
    net = build("test_vit")
    adapters.add(net, "bias")

    with pytest.raises(ValueError, match="has an adapter already"):
        adapters.add(net, "norm")


@pytest.mark.parametrize(
    ("entry", "message", "where"),
    [
        ("lorra", "There is no adapter 'lorra'.", "model.adapter"),
        ({"name": "lora", "rank": 0}, "'model.adapter.rank' cannot be 0.", "model.adapter.rank"),
        ({"name": "lora", "dropout": 1}, "'model.adapter.dropout' cannot be 1.", "model.adapter.dropout"),
        (
            {"name": "lora", "targets": ["qkw"]},
            "No layer that can carry LoRA matches 'qkw'.",
            "model.adapter.targets",
        ),
        (
            {"name": "lora", "targets": ["re:("]},
            "'re:(' is no regular expression: missing ), unterminated subpattern at position 0.",
            "model.adapter.targets",
        ),
    ],
)
def test_an_adapter_that_cannot_be_is_refused_with_its_place(entry, message, where):
    with pytest.raises(InvalidRecipe) as caught:
        adapters.add(build("test_vit"), entry)

    assert str(caught.value) == message
    assert caught.value.where == where
    assert "qkw" not in message or caught.value.hint == "Did you mean 'qkv'?"


def test_a_net_without_norm_layers_has_none_to_train():
    with pytest.raises(InvalidRecipe) as caught:
        adapters.add(nets.build("torchvision:squeezenet1_1"), "norm")

    assert "has nothing that this adapter could train" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state | {"base_model.model.nowhere.lora_A.weight": torch.zeros(8, 4)},
        lambda state: {name: tensor for name, tensor in state.items() if "lora_B" not in name},
        lambda state: {name: tensor[:, :-1] for name, tensor in state.items()},
        lambda state: state | {"blocks.0.nothing": torch.zeros(1)},
        lambda state: state | {"base_model.model.head.weight": torch.zeros(1)},
    ],
)
def test_an_adapter_of_another_net_is_refused(change):
    net = build("test_vit")
    adapters.add(net, "lora")

    with pytest.raises(MismatchError, match="does not fit the net 'test_vit': there is no place for "):
        adapters.load(build("test_vit"), change(adapters.state(net)))


@pytest.mark.parametrize(
    "config", [{"peft_type": "IA3"}, {"lora_alpha": "much"}, {"lora_alpha": 8, "use_dora": True}]
)
def test_other_adapters_of_peft_are_refused(config):
    net = build("test_vit")
    adapters.add(net, "lora")

    with pytest.raises(MismatchError):
        adapters.load(build("test_vit"), adapters.state(net), config)
