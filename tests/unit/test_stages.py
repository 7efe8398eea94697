"""Stages and layers: of every family, each parameter in one place, in the order of computation."""

import pytest
import torch

from regraft.hub import nets
from regraft.hub.stages import Stage, layers, stages

#: How many stages each has, the stem counted.
COUNTS = {
    "resnet18": 5,
    "resnet50": 5,
    "test_resnet": 5,
    "wide_resnet50_2": 5,
    "resnext50_32x4d": 5,
    "densenet121": 5,
    "inception_v3": 13,
    "mobilenetv2_050": 8,
    "mobilenetv3_small_050": 7,
    "tf_efficientnet_lite0": 8,
    "efficientnet_b0": 8,
    "test_efficientnet": 6,
    "convnext_atto": 5,
    "convnextv2_atto": 5,
    "regnetx_002": 5,
    "vgg11": 6,
    "vgg16_bn": 6,
    "test_vit": 7,
    "vit_tiny_patch16_224": 13,
    "deit_tiny_patch16_224": 13,
    "swin_tiny_patch4_window7_224": 5,
    "csatv2": 5,
    "caformer_s18": 5,
    "cait_xxs24_224": 27,
    "poolformer_s12": 5,
    "pit_ti_224": 4,
    "rdnet_tiny": 8,
    "torchvision:alexnet": 4,
    "torchvision:convnext_tiny": 5,
    "torchvision:densenet121": 5,
    "torchvision:efficientnet_b0": 8,
    "torchvision:efficientnet_v2_s": 7,
    "torchvision:efficientnet_v2_m": 8,
    "torchvision:googlenet": 4,
    "torchvision:inception_v3": 4,
    "torchvision:maxvit_t": 5,
    "torchvision:mnasnet0_5": 7,
    "torchvision:mobilenet_v2": 6,
    "torchvision:mobilenet_v3_large": 6,
    "torchvision:mobilenet_v3_small": 5,
    "torchvision:regnet_y_400mf": 5,
    "torchvision:resnet50": 5,
    "torchvision:resnext50_32x4d": 5,
    "torchvision:shufflenet_v2_x0_5": 4,
    "torchvision:squeezenet1_0": 4,
    "torchvision:squeezenet1_1": 4,
    "torchvision:swin_t": 5,
    "torchvision:swin_v2_t": 5,
    "torchvision:vgg16": 6,
    "torchvision:vit_b_16": 13,
    "torchvision:wide_resnet50_2": 5,
    "regraft:cifar_resnet20": 4,
}


@pytest.fixture(scope="module", params=COUNTS)
def net(request):
    return nets.outline(request.param)


def test_every_parameter_of_the_trunk_is_in_one_stage(net):
    found = stages(net)

    names = [name for stage in found for name in stage.parameters]
    assert sorted(names) == sorted(name for name, _ in net.named_parameters() if name.startswith("trunk."))
    assert [stage.name for stage in found].count("stem") == 1
    assert found[0].name == "stem"
    assert all(stage.parameters and stage.modules for stage in found)
    assert len(found) == COUNTS[net.architecture]


def test_every_parameter_is_in_one_layer_and_the_head_is_the_last(net):
    found = layers(net)

    assert sorted(name for names in found for name in names) == sorted(n for n, _ in net.named_parameters())
    assert found[-1] == tuple(f"head.{name}" for name, _ in net.head.named_parameters())
    assert len(found) > len(stages(net))


def test_a_layer_lies_within_one_stage_and_layers_stand_in_the_order_of_stages(net):
    place = {name: number for number, stage in enumerate(stages(net)) for name in stage.parameters}

    inside = [{place[name] for name in names} for names in layers(net)[:-1]]

    assert [len(numbers) for numbers in inside] == [1] * len(inside)
    assert (flat := [number for numbers in inside for number in numbers]) == sorted(flat)


def test_the_modules_of_the_stages_run_in_their_order(net):
    place = {module: number for number, stage in enumerate(stages(net)) for module in stage.modules}
    ran: list[str] = []
    for module in place:
        hook = lambda *_, module=module: ran.append(module)  # noqa: E731
        net.trunk.get_submodule(module).register_forward_pre_hook(hook)
    size = nets.input_spec(net).size

    net.eval().to("meta")(torch.empty(1, 3, size, size, device="meta"))

    assert set(place.values()) == {place[module] for module in ran}
    assert [place[module] for module in ran] == sorted(place[module] for module in ran)


def test_the_modules_of_the_stages_hold_no_parameter_of_another_stage(net):
    for stage in stages(net):
        inside = {
            f"trunk.{module}.{name}"
            for module in stage.modules
            for name, _ in net.trunk.get_submodule(module).named_parameters()
        }
        known = {name for name, _ in net.named_parameters()}

        assert inside & known <= set(stage.parameters)


@pytest.mark.parametrize("architecture", ["resnet18", "torchvision:resnet18"])
def test_a_resnet_has_a_stem_and_four_stages_of_blocks(architecture):
    net = nets.outline(architecture)

    stem, first, *_, last = stages(net)

    assert [stage.name for stage in stages(net)] == ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert stem.parameters == ("trunk.conv1.weight", "trunk.bn1.weight", "trunk.bn1.bias")
    assert stem.modules[:2] == ("conv1", "bn1")
    assert stem.modules[-1] == "maxpool"
    assert first == Stage(
        name="layer1",
        parameters=tuple(n for n, _ in net.named_parameters() if n.startswith("trunk.layer1.")),
        modules=("layer1",),
    )
    assert last.modules[-1] == "fc"
    assert len(layers(net)) == 1 + 4 * 2 + 1


@pytest.mark.parametrize(
    ("architecture", "stem", "norm"),
    [
        ("vit_tiny_patch16_224", {"cls_token", "pos_embed", "patch_embed.proj.weight"}, "norm.weight"),
        (
            "torchvision:vit_b_16",
            {"class_token", "encoder.pos_embedding", "conv_proj.weight"},
            "encoder.ln.weight",
        ),
    ],
)
def test_the_stages_of_a_vit_are_its_blocks_and_the_last_norm_belongs_to_the_last(architecture, stem, norm):
    found = stages(nets.outline(architecture))

    assert {f"trunk.{name}" for name in stem} <= set(found[0].parameters)
    assert f"trunk.{norm}" in found[-1].parameters


def test_the_stages_of_a_net_with_another_head_are_the_same():
    net = nets.outline("torchvision:squeezenet1_1")
    before = stages(net)

    nets.replace_head(net, torch.nn.Linear(512, 10))

    assert [stage.parameters for stage in stages(net)] == [stage.parameters for stage in before]
    assert layers(net)[-1] == ("head.weight", "head.bias")
