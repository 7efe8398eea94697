"""Which architecture some weights are of, told by the names and shapes of their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

import torch

from regraft.errors import MismatchError
from regraft.hub import fitting, layouts, nets

_HINT = (
    "Say it by model.architecture: a name of timm such as resnet18, torchvision:NAME, or "
    "regraft:cifar_resnet20."
)

#: A name that every net of a family has, wherever it stands, and the family. Of nets that compute the same
#: under the same names one is listed, so that two that fit are two that differ.
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"linear\.weight", tuple(f"regraft:cifar_resnet{depth}" for depth in (20, 32, 44, 56, 110))),
    (
        r"layer1\.0\.conv1\.weight",
        (
            *(f"torchvision:resnet{depth}" for depth in (18, 34, 50, 101, 152)),
            *("torchvision:resnext50_32x4d", "torchvision:resnext101_32x8d", "torchvision:resnext101_64x4d"),
            *("torchvision:wide_resnet50_2", "torchvision:wide_resnet101_2"),
            *("resnet10t", "resnet14t", "resnet26", "resnet26t", "resnet26d"),
            *("resnet18d", "resnet34d", "resnet50d", "resnet101d", "resnet152d", "test_resnet"),
            *("seresnet50", "seresnext50_32x4d", "ecaresnet50d"),
        ),
    ),
    (
        r"denseblock1\.denselayer1\.conv\.?1\.weight",
        tuple(f"torchvision:densenet{depth}" for depth in (121, 161, 169, 201)),
    ),
    (
        r"features\.0\.weight",
        (
            *("torchvision:squeezenet1_0", "torchvision:squeezenet1_1", "torchvision:alexnet"),
            *(f"torchvision:vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
        ),
    ),
    (
        r"features\.0\.0\.weight",
        (
            *("torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small", "torchvision:mobilenet_v3_large"),
            *(f"torchvision:efficientnet_b{size}" for size in range(8)),
            *(f"torchvision:efficientnet_v2_{size}" for size in "sml"),
            *(f"torchvision:convnext_{size}" for size in ("tiny", "small", "base", "large")),
            *(f"torchvision:swin_{size}" for size in ("t", "s", "b", "v2_t", "v2_s", "v2_b")),
        ),
    ),
    (
        r"_conv_stem\.weight",
        (
            *(f"tf_efficientnet_b{size}" for size in range(9)),
            *(f"tf_efficientnet_lite{size}" for size in range(5)),
        ),
    ),
    (
        r"conv_stem\.weight",
        (
            *(f"{kind}efficientnet_b{size}" for size in range(8) for kind in ("", "tf_")),
            *(f"{kind}efficientnet_lite{size}" for size in range(5) for kind in ("", "tf_")),
            *(f"tf_efficientnetv2_{size}" for size in ("s", "m", "l", "b0", "b1", "b2", "b3")),
            *("mobilenetv2_050", "mobilenetv2_100", "mobilenetv2_140", "mnasnet_100", "test_efficientnet"),
            *("mobilenetv3_small_050", "mobilenetv3_small_075", "mobilenetv3_small_100"),
            *("tf_mobilenetv3_small_075", "tf_mobilenetv3_small_100", "tf_mobilenetv3_large_100"),
            *("mobilenetv3_large_100", "mobilenetv4_conv_small", "mobilenetv4_conv_medium"),
        ),
    ),
    (r"conv_proj\.weight", tuple(f"torchvision:vit_{size}" for size in ("b_16", "b_32", "l_16", "l_32"))),
    (
        r"patch_embed\.proj\.weight",
        (
            *(f"{kind}_{size}_patch16_224" for size in ("tiny", "small", "base") for kind in ("vit", "deit")),
            *(
                "vit_large_patch16_224",
                "vit_small_patch32_224",
                "vit_base_patch32_224",
                "vit_base_patch8_224",
            ),
            *("vit_base_patch16_384", "deit_base_patch16_384", "test_vit"),
            *(f"swin_{size}_patch4_window7_224" for size in ("tiny", "small", "base", "large")),
        ),
    ),
    (
        r"stages\.0\.blocks\.0\.conv_dw\.weight",
        tuple(
            f"convnext_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "small", "base", "large")
        ),
    ),
    (
        r"s1\.b1\.conv1\.conv\.weight",
        tuple(
            f"regnet{kind}_{size}"
            for size in ("002", "004", "006", "008", "016", "032", "040", "064", "080", "160", "320")
            for kind in "xy"
        ),
    ),
    (
        r"trunk_output\.block1\.",
        tuple(
            f"torchvision:regnet_{kind}_{size}gf".replace("mgf", "mf")
            for size in ("400m", "800m", "1_6", "3_2", "8", "16", "32")
            for kind in "xy"
        ),
    ),
    (r"conv1\.0\.weight", tuple(f"torchvision:shufflenet_v2_x{n}" for n in ("0_5", "1_0", "1_5", "2_0"))),
    (r"layers\.0\.weight", tuple(f"torchvision:mnasnet{n}" for n in ("0_5", "0_75", "1_0", "1_3"))),
    (r"inception3a\.branch1\.conv\.weight", ("torchvision:googlenet",)),
    (r"Mixed_5b\.branch1x1\.conv\.weight", ("torchvision:inception_v3",)),
)


def recognise(state: Mapping[str, torch.Tensor], *, prefix: str = "") -> str:
    """Return the architecture that weights fit whole, but for the number of classes.

    Raises MismatchError where none does that Regraft tries, or more than one.
    """
    names = "\n".join(layouts.plain(state))
    candidates = [
        architecture
        for mark, family in _FAMILIES
        if re.search(rf"(?:^|\.){mark}", names, re.MULTILINE)
        for architecture in family
    ]
    shapes = {tensor.shape for tensor in state.values()}
    found = [architecture for architecture in candidates if _fits(state, shapes, architecture, prefix)]
    if not found:
        raise MismatchError("The weights are of no architecture that Regraft recognises.", hint=_HINT)
    if len(found) > 1:
        raise MismatchError(f"The weights fit several architectures: {', '.join(found)}.", hint=_HINT)
    return found[0]


def _fits(state: Mapping[str, torch.Tensor], shapes: Set[torch.Size], architecture: str, prefix: str) -> bool:
    net = nets.outline(architecture)
    if not {tensor.shape for tensor in net.trunk.parameters()} <= shapes:
        return False  # whatever the names
    wanted = nets.original_state(net)
    renamed, _ = layouts.translate(state, wanted, classifier=net.classifier, prefix=prefix)
    return fitting.compare(renamed, wanted, classifier=net.classifier).whole
