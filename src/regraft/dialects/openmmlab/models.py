"""`model` of a config: which net of Regraft it is, what of it is frozen, and which head and loss it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from regraft.dialects.openmmlab.parts import Part
from regraft.errors import did_you_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """A backbone as Regraft has it."""

    #: As `model.architecture` writes it.
    architecture: str
    #: Of the last map; 0 where it is not known.
    features: int
    freeze: int | str | tuple[str, ...]
    #: Whether checkpoints of OpenMMLab call its weights as Regraft's net does.
    same_names: bool = False
    norm_eval: bool = False
    sync_batchnorm: bool = False
    drop_path: float = 0.0
    #: Side of the pictures that it takes; 0 is any.
    size: int = 0
    #: Whether the config asks for pretrained weights by the architecture's name alone.
    pretrained: bool = False


def read_backbone(part: Part) -> Backbone:
    """Return the backbone that a config names; raises InvalidRecipe for one that Regraft has not."""
    kind = part.text("type")
    if kind not in _KINDS:
        near = did_you_mean(kind, _KINDS, otherwise=f"There is {', '.join(_KINDS)}.")
        raise part.refuse("type", f"There is no backbone {kind!r}.", near)
    return _KINDS[kind](part)


def _resnet(part: Part) -> Backbone:
    kind, depth = part.text("type"), part.whole("depth", 50)
    for key, usual in (
        ("in_channels", 3),
        ("stem_channels", 64),
        ("base_channels", 64),
        ("num_stages", 4),
        ("strides", (1, 2, 2, 2)),
        ("dilations", (1, 1, 1, 1)),
        ("out_indices", (3,)),
        ("deep_stem", kind not in ("ResNet", "ResNeXt")),
        ("avg_down", kind == "ResNetV1d"),
        ("expansion", None),
        ("conv_cfg", None),
    ):
        part.expect(key, usual)
    part.expect("style", "pytorch", *(["caffe"] if depth < 50 else []), hint=_CAFFE)
    part.ignore("it saves memory; train.micro_batch does so in Regraft", "with_cp")
    part.ignore("Regraft begins such layers as torchvision does", "zero_init_residual")
    architecture = _resnet_name(part, kind, depth)
    frozen = _frozen(part, -1, 4)
    return Backbone(
        architecture=architecture,
        features=512 if depth < 50 else 2048,
        freeze="stem" if frozen == 0 else max(frozen, 0),
        same_names=kind in ("ResNet", "ResNeXt"),
        norm_eval=part.flag("norm_eval"),
        sync_batchnorm=_norm(part),
        drop_path=part.number("drop_path_rate", 0.0),
    )


_CAFFE = "Nets of the style 'caffe' have their strides elsewhere; take a checkpoint of the style 'pytorch'."


def _resnet_name(part: Part, kind: str, depth: int) -> str:
    known = {f"{depth}": f"torchvision:resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    word = f"{depth}"
    if kind == "ResNetV1d":
        known = {f"{depth}": f"resnet{depth}d" for depth in (50, 101, 152)}
    if kind == "ResNeXt":
        word = f"{depth} {part.whole('groups', 32)}x{part.whole('width_per_group', 4)}"
        known = {
            "50 32x4": "torchvision:resnext50_32x4d",
            "101 32x8": "torchvision:resnext101_32x8d",
        }
    if word not in known:
        hint = f"There is {', '.join(known)}."
        raise part.refuse("depth", f"There is no {kind} {word!r}.", hint)
    return known[word]


def _densenet(part: Part) -> Backbone:
    arch = part.get("arch", "121")
    known = {"121": 1024, "161": 2208, "169": 1664, "201": 1920}
    if not isinstance(arch, str | int) or str(arch) not in known:
        raise part.refuse("arch", f"There is no DenseNet {arch!r}.", f"There is {', '.join(known)}.")
    for key, usual in (("in_channels", 3), ("bn_size", 4), ("drop_rate", 0), ("compression_factor", 0.5)):
        part.expect(key, usual)
    part.expect("out_indices", -1, 3, (3,))
    part.ignore("it saves memory; train.micro_batch does so in Regraft", "memory_efficient")
    blocks = _frozen(part, 0, 4)
    last = ["features.norm5.*"] if blocks == 4 else []
    frozen = [
        f"features.{word}{number}.*"
        for number in range(1, blocks + 1)
        for word in ("denseblock", "transition")
        if (word, number) != ("transition", 4)
    ]
    return Backbone(
        architecture=f"torchvision:densenet{arch}",
        features=known[str(arch)],
        freeze=tuple(frozen + last) or 0,  # the stem learns there, whatever is frozen above it
        sync_batchnorm=_norm(part),
    )


#: Blocks of torchvision's MobileNetV2 that make up `layer1` to `layer7`.
_MOBILE = ((1, 1), (2, 3), (4, 6), (7, 10), (11, 13), (14, 16), (17, 17))


def _mobilenet(part: Part) -> Backbone:
    part.expect("widen_factor", 1.0, 1)
    part.expect("out_indices", (7,))
    part.expect("conv_cfg", None)
    part.ignore("it saves memory; train.micro_batch does so in Regraft", "with_cp")
    count = _frozen(part, -1, 7)
    blocks = [place for first, last in _MOBILE[: max(count, 0)] for place in range(first, last + 1)]
    if count >= 0:
        part.book.note("The first batch-norm keeps its statistics, which the original lets move.")
    frozen = [f"features.{place}.*" for place in ([0] if count >= 0 else []) + blocks]
    return Backbone(
        architecture="torchvision:mobilenet_v2",
        features=1280,
        freeze=tuple(frozen) or 0,
        norm_eval=part.flag("norm_eval"),
        sync_batchnorm=_norm(part),
    )


def _vit(part: Part) -> Backbone:
    arch, patch = part.text("arch", "base"), part.whole("patch_size", 16)
    sizes = {"b": ("b", 768, 12), "base": ("b", 768, 12), "l": ("l", 1024, 24), "large": ("l", 1024, 24)}
    if arch not in sizes or patch not in (16, 32):
        raise part.refuse(
            "arch", f"There is no VisionTransformer {arch!r} with patches of {patch}.", "There is b and l."
        )
    letter, features, blocks = sizes[arch]
    part.expect("img_size", 224, (224, 224), hint="torchvision's ViT takes pictures of 224 pixels alone.")
    for key, usual in (("in_channels", 3), ("out_indices", -1), ("qkv_bias", True), ("final_norm", True)):
        part.expect(key, usual)
    part.expect("out_type", "cls_token")
    part.ignore("features are dropped before the head alone: --set model.dropout=0.1", "drop_rate")
    part.ignore("Regraft begins such layers as torchvision does", "norm_cfg", "patch_cfg", "interpolate_mode")
    count = _frozen(part, -1, blocks)
    return Backbone(
        architecture=f"torchvision:vit_{letter}_{patch}",
        features=features,
        freeze="backbone" if count == blocks else max(count, 0),  # 0 freezes nothing there
        drop_path=part.number("drop_path_rate", 0.0),
        size=224,
    )


def _timm(part: Part) -> Backbone:
    part.expect("frozen_stages", None, -1, hint="Freeze stages by --set model.freeze=2.")
    part.expect("features_only", False)
    part.expect("in_channels", 3)
    name = part.text("model_name")
    if not name:
        raise part.refuse("type", "The backbone of timm has no name.", "Write model_name='resnet50'.")
    return Backbone(
        architecture=name, features=0, freeze=0, same_names=True, pretrained=part.flag("pretrained")
    )


_KINDS: dict[str, Callable[[Part], Backbone]] = {
    "ResNet": _resnet,
    "ResNetV1d": _resnet,
    "ResNeXt": _resnet,
    "DenseNet": _densenet,
    "MobileNetV2": _mobilenet,
    "VisionTransformer": _vit,
    "TIMMBackbone": _timm,
}


def _frozen(part: Part, nothing: int, most: int) -> int:
    count = part.whole("frozen_stages", nothing)
    if not -1 <= count <= most:
        raise part.refuse(
            "frozen_stages",
            f"{part.name('frozen_stages')!r} cannot be {count}.",
            f"Write a number from {nothing} to {most}; {nothing} freezes nothing.",
        )
    return max(count, nothing)


def _norm(part: Part) -> bool:
    """Tell whether batch-norms share their statistics between devices."""
    norm = part.part("norm_cfg")
    if norm is None:
        return False
    kind = norm.text("type", "BN")
    norm.expect("type", "BN", "BN2d", "SyncBN", "MMSyncBN")
    norm.expect("requires_grad", True)
    norm.expect("momentum", 0.1)
    norm.expect("eps", 1e-5)
    norm.close()
    return "Sync" in kind
