"""The single steps of a pipeline, each as what Regraft knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from regraft.dialects.openmmlab.parts import Part
from regraft.errors import did_you_mean

#: What only brings pictures into a form that the next step takes.
_FORMS = (
    *("ImageToTensor", "ToTensor", "Transpose", "Collect", "ToPIL", "ToNumpy", "DefaultFormatBundle"),
    *("PackInputs", "PackClsInputs"),
)
_CODE = "Regraft reads pictures by Pillow and scales them by its own code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A step that changes which part of a picture is seen, or its size."""

    #: `square` and `short` scale, `center`, `random` and `resized` cut.
    kind: str
    #: Of the square, or the short side.
    side: int
    part: Part
    interpolation: str = ""
    padding: int = 0
    fill: tuple[int, int, int] = (0, 0, 0)
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A step that changes what is seen."""

    entry: object
    part: Part
    #: Whether it would do something else before the part is cut.
    firm: bool
    #: How many cuts stand before it.
    after: int = 0


@dataclass(kw_only=True, slots=True)
class Steps:
    """What a pipeline does, in order."""

    red_first: bool
    cuts: list[Cut] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    #: Mean and deviation of red, green and blue, where 1 is the brightest.
    normal: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    normalised: bool = False


def read(parts: Sequence[Part], *, red_first: bool) -> Steps:
    """Read a pipeline; raises InvalidRecipe for a step that Regraft has not."""
    steps = Steps(red_first=red_first)
    for part in parts:
        kind = part.text("type")
        name = kind.removeprefix("mmcls.").removeprefix("mmpretrain.")
        if name in _CUTS:
            steps.cuts.append(_CUTS[name](part, steps))
        elif name in _CHANGES:
            change = _CHANGES[name](part, steps)
            if steps.normalised and change.firm:
                fact = f"{kind!r} stands behind Normalize, where pictures are no longer what one sees."
                raise part.refuse("type", fact, "Move it before Normalize.")
            steps.changes.append(replace(change, after=len(steps.cuts)))
        elif name == "Normalize":
            steps.normal, steps.normalised = _normal(part, steps), True
        elif name == "LoadImageFromFile":
            part.expect("color_type", "color", hint="Regraft shows every net red, green and blue.")
            part.ignore(_CODE, "to_float32", "imdecode_backend", "file_client_args", "backend_args")
        elif name in _FORMS:
            continue  # Regraft forms batches by itself
        else:
            known = [*_CUTS, *_CHANGES, "Normalize", "LoadImageFromFile", *_FORMS]
            near = did_you_mean(name, known, otherwise="Others can be had by --set data.augment=[...].")
            raise part.refuse("type", f"There is no step {kind!r}.", near)
        part.close()
    return steps


def _normal(part: Part, steps: Steps) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = part.numbers("mean", (0, 0, 0)), part.numbers("std", (1, 1, 1))
    for key, values in (("mean", mean), ("std", std)):
        if len(values) != 3 or (key == "std" and min(values) <= 0):
            raise part.wrong(key, "Write three numbers, for red, green and blue, where 255 is the brightest.")
    turned = part.flag("to_rgb", default=True)
    if steps.red_first and turned:
        part.book.note(
            f"{part.name('to_rgb')}: the pictures of this dataset come with red first, and to_rgb=True would "
            "show the net blue first. Regraft leaves red first, as mean and std are meant."
        )
    if not steps.red_first and not turned:
        part.book.note(
            f"{part.name('to_rgb')}: without it the original shows the net blue first. Regraft shows red "
            "first, with mean and std turned around; weights that were trained blue first do not suit that."
        )
        mean, std = mean[::-1], std[::-1]
    return tuple(round(value / 255, 9) for value in mean), tuple(round(value / 255, 9) for value in std)


def _resize(part: Part, _steps: Steps) -> Cut:
    scale = [int(side) for side in part.numbers("size" if part.has("size") else "scale")]
    part.expect("adaptive_side", "short")
    keeps = part.flag("keep_ratio")
    interpolation = _filter(part)
    match scale:
        case [side] | [side, -1]:
            kind = "short" if len(scale) == 2 else "square"
        case [side, other] if side == other and not keeps:
            kind = "square"
        case _:
            raise part.refuse(
                "size", f"{part.path}: Regraft shows nets squares.", "Write size=224, or size=(256, -1)."
            )
    return Cut(kind=kind, side=side, part=part, interpolation=interpolation)


def _resize_edge(part: Part, _steps: Steps) -> Cut:
    part.expect("edge", "short")
    return Cut(kind="short", side=part.whole("scale", 0), part=part, interpolation=_filter(part))


def _center_crop(part: Part, _steps: Steps) -> Cut:
    part.expect("efficientnet_style", False)
    part.expect("pad_cfg", None)
    part.expect("auto_pad", False)
    part.ignore(_CODE, "backend", "crop_padding", "interpolation")
    return Cut(kind="center", side=_side(part, "crop_size"), part=part)


def _random_crop(part: Part, steps: Steps) -> Cut:
    padding = part.numbers("padding", (0,))
    if len({*padding}) != 1:
        raise part.wrong("padding", "Write one number for all four sides.")
    part.expect("padding_mode", "constant")
    part.ignore("pictures are scaled to the size of the crop in any case", "pad_if_needed")
    return Cut(
        kind="random",
        side=_side(part, "size" if part.has("size") else "crop_size"),
        part=part,
        padding=int(padding[0]),
        fill=_colour(part, "pad_val", (0, 0, 0), steps),
    )


def _random_resized_crop(part: Part, _steps: Steps) -> Cut:
    modern = not part.has("size")  # in 1.x `scale` is the size
    scale, ratio = ("crop_ratio_range", "aspect_ratio_range") if modern else ("scale", "ratio")
    part.expect("efficientnet_style", False)
    part.ignore("it is ten", "max_attempts")
    part.ignore(_CODE, "min_covered", "crop_padding")
    return Cut(
        kind="resized",
        side=_side(part, "scale" if modern else "size"),
        part=part,
        interpolation=_filter(part),
        scale=_pair(part, scale, (0.08, 1.0)),
        ratio=_pair(part, ratio, (3 / 4, 4 / 3)),
    )


def _flip(part: Part, _steps: Steps) -> Change:
    chance = part.number("flip_prob" if part.has("flip_prob") else "prob", 0.5)
    direction = part.text("direction", "horizontal")
    part.expect("direction", "horizontal", "vertical")
    return Change(entry={"name": "flip", "p": chance, "direction": direction}, part=part, firm=False)


def _jitter(part: Part, _steps: Steps) -> Change:
    strengths: dict[str, object] = {}
    for key in ("brightness", "contrast", "saturation", "hue"):
        values = part.numbers(key, (0.0,))
        if len(values) == 2 and abs(values[0] + values[1] - (0 if key == "hue" else 2)) < 1e-9:
            values = [(values[1] - values[0]) / 2]
        if len(values) != 1:
            raise part.wrong(key, "Write one number: 0.4 is from 0.6 to 1.4.")
        strengths[key] = values[0]
    part.ignore(_CODE, "backend")
    return Change(entry={"name": "color-jitter", **strengths}, part=part, firm=False)


def _gray(part: Part, _steps: Steps) -> Change:
    chance = part.number("gray_prob" if part.has("gray_prob") else "prob", 0.1)
    part.ignore("the colour is taken away as Pillow does", "keep_channels", "channel_weights", "color_format")
    return Change(entry={"name": "gray", "p": chance}, part=part, firm=False)


def _erase(part: Part, steps: Steps) -> Change:
    ratio = part.numbers("aspect_range", (0.3, 10 / 3))
    entry = {
        "name": "erase",
        "p": part.number("erase_prob", 0.5),
        "scale": [part.number("min_area_ratio", 0.02), part.number("max_area_ratio", 0.4)],
        "ratio": ratio if len(ratio) == 2 else [ratio[0], 1 / ratio[0]],
        "value": _colour(part, "fill_color", (128, 128, 128), steps),
    }
    part.expect("mode", "const", "rand")
    if part.text("mode") == "rand":
        part.ignore("a part that is painted over has one colour", "mode", "fill_std")
    return Change(entry=entry, part=part, firm=True)


def _auto_augment(part: Part, _steps: Steps) -> Change:
    policies = part.get("policies", "imagenet")
    if policies != "imagenet":
        raise part.refuse(
            "policies",
            "Regraft knows the policies of AutoAugment by their names, and none of one's own.",
            "Write policies='imagenet', or --set data.augment=[...] with cifar10 or svhn.",
        )
    part.ignore("borders are black", "hparams")
    return Change(entry={"name": "auto-augment", "policy": "imagenet"}, part=part, firm=True)


def _randaugment(part: Part, _steps: Steps) -> Change:
    total = part.number("total_level", 30)
    spread = part.get("magnitude_std", 0.0)
    if isinstance(spread, str) or not isinstance(spread, int | float):
        raise part.wrong("magnitude_std", "Write a number.")
    entry = {
        "name": "randaugment",
        "num_ops": part.whole("num_policies", 2),
        "magnitude": part.number("magnitude_level", 9) * 30 / total,
        "std": spread * 30 / total,
    }
    part.ignore("operations are drawn from the list of torchvision", "policies")
    part.ignore("borders are black", "hparams")
    return Change(entry=entry, part=part, firm=True)


_CUTS: dict[str, Callable[[Part, Steps], Cut]] = {
    "Resize": _resize,
    "ResizeEdge": _resize_edge,
    "CenterCrop": _center_crop,
    "RandomCrop": _random_crop,
    "RandomResizedCrop": _random_resized_crop,
}
_CHANGES: dict[str, Callable[[Part, Steps], Change]] = {
    "RandomFlip": _flip,
    "ColorJitter": _jitter,
    "RandomGrayscale": _gray,
    "RandomErasing": _erase,
    "AutoAugment": _auto_augment,
    "RandAugment": _randaugment,
}


def _side(part: Part, key: str) -> int:
    sides = part.numbers(key)
    if not sides or len({*sides}) != 1 or sides[0] < 1:
        raise part.wrong(key, "Write the side of a square, in pixels.")
    return int(sides[0])


def _pair(part: Part, key: str, default: tuple[float, float]) -> tuple[float, float]:
    values = part.numbers(key, default)
    if len(values) != 2:
        raise part.wrong(key, "Write the least and the most.")
    return values[0], values[1]


def _colour(part: Part, key: str, default: tuple[int, int, int], steps: Steps) -> tuple[int, int, int]:
    """Return a colour with red first."""
    values = [int(value) for value in part.numbers(key, default)]
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3:
        raise part.wrong(key, "Write a number, or three for a colour.")
    red, green, blue = values if steps.red_first else values[::-1]
    return red, green, blue


def _filter(part: Part) -> str:
    if part.get("backend") != "pillow":
        part.ignore(_CODE, "backend")
    part.expect("interpolation", "bilinear", "bicubic")
    return part.text("interpolation", "bilinear")
