"""Transforms by MindCV's names: steps of Regraft's own, in MindCV's order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from regraft.dialects.mindcv_missing import refuse
from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.records import InputSpec
from regraft.registry import Entry

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
_MNIST = ((0.1307,) * 3, (0.3081,) * 3)

_COLOURS = ("brightness", "contrast", "saturation", "hue")
#: Strengths of MindCV and timm go to 10, those of Regraft and torchvision to 30.
_STRENGTH = 3


@dataclass(frozen=True, kw_only=True)
class Transforms:
    """What happens to a picture on its way into a net, in order."""

    #: Steps of a recipe's `data.augment`; none of them where pictures are measured.
    augment: tuple[Entry, ...]
    #: How a picture becomes a square where no step chooses, and what is taken off its colours.
    spec: InputSpec
    #: Grey pictures have one channel.
    channels: int = 3


def create_transforms(
    dataset_name: str = "",
    image_resize: int = 224,
    is_training: bool = False,
    auto_augment: str | None = None,
    *,
    hflip: float = 0.5,
    vflip: float = 0.0,
    color_jitter: float | Sequence[float] | None = None,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (0.75, 1.333),
    re_prob: float = 0.0,
    re_scale: tuple[float, float] = (0.02, 0.33),
    re_ratio: tuple[float, float] = (0.3, 3.3),
    crop_pct: float = 0.875,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    separate: bool = False,
) -> Transforms:
    """Return the steps that MindCV takes for a data set, in its order.

    To learn, from pictures like ImageNet's: a random part, mirrored left to right and upside down, an
    automatic augmentation or else other colours, a part painted over. To measure: the middle.
    `mean` and `std` are fractions of the brightest, as they are printed, or of 255, as MindCV hands them on.
    Raises NotFoundError for another data set, InvalidError for another augmentation and for `separate`.
    """
    refuse("separate", separate, False)
    kind = dataset_name.casefold()
    presets = {"": _IMAGENET, "imagenet": _IMAGENET, "cifar10": _CIFAR, "cifar100": _CIFAR, "mnist": _MNIST}
    if kind not in presets:
        raise NotFoundError(
            f"There are no transforms for {dataset_name!r}.",
            hint=did_you_mean(kind, presets, otherwise="Leave the name empty for a folder of your own."),
        )
    spec = InputSpec(
        size=image_resize,
        crop=crop_pct if presets[kind] is _IMAGENET else 1.0,
        mean=_fractions(mean or presets[kind][0]),
        std=_fractions(std or presets[kind][1]),
        interpolation=interpolation,
    )
    steps: list[Entry] = []
    if is_training and presets[kind] is _CIFAR:
        # four pixels of a picture of 32
        steps = [{"name": "random-crop", "padding": round(4 * image_resize / 32)}, "flip"]
    elif is_training and presets[kind] is _IMAGENET:
        first = {
            "name": "random-resized-crop",
            "scale": scale,
            "ratio": ratio,
            "interpolation": interpolation,
        }
        steps = [first]
        steps += [{"name": "flip", "p": hflip}] if hflip else []
        steps += [{"name": "flip", "p": vflip, "direction": "vertical"}] if vflip else []
        steps += [_automatic(auto_augment)] if auto_augment else _jitter(color_jitter)
        if re_prob:
            steps.append({"name": "erase", "p": re_prob, "scale": re_scale, "ratio": re_ratio})
    return Transforms(augment=tuple(steps), spec=spec, channels=1 if kind == "mnist" else 3)


def _fractions(numbers: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (number / 255 if max(numbers) > 1 else number for number in numbers)
    return red, green, blue


def _jitter(strength: float | Sequence[float] | None) -> list[Entry]:
    if not strength:
        return []
    strengths = list(strength) if isinstance(strength, Sequence) else [strength] * 3
    return [{"name": "color-jitter", **dict(zip(_COLOURS, strengths, strict=False))}]  # a hue is rare


def _automatic(words: str) -> Entry:
    """Read an augmentation as timm and MindCV write it: `randaug-m7-mstd0.5`."""
    name, *parts = words.split("-")
    found = [re.fullmatch(r"([a-z]+)([0-9.]+)", part) for part in parts]
    options = {match[1]: float(match[2]) for match in found if match}
    if name == "randaug" and options.keys() <= {"m", "n", "mstd"} and all(found):
        return {
            "name": "randaugment",
            "num_ops": int(options.get("n", 2)),
            "magnitude": options.get("m", 9) * _STRENGTH,
            "std": options.get("mstd", 0) * _STRENGTH,
        }
    if name == "augmix" and options.keys() <= {"m", "w", "d"} and all(found):
        return {
            "name": "augmix",
            "severity": int(options.get("m", 3)),
            "width": int(options.get("w", 3)),
            "depth": int(options.get("d", 0)),
        }
    plain = {"autoaug": "auto-augment", "trivialaugwide": "trivial-augment"}
    if words in plain:
        return plain[words]
    raise InvalidError(
        f"There is no automatic augmentation {words!r}.",
        hint="There is autoaug, trivialaugwide, randaug-m7-mstd0.5-n2 and augmix-m3-w3-d2; "
        "of randaug there is no inc, no w and no mmax.",
        where="auto_augment",
    )
