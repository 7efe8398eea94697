"""Models of timm: those that it knows by name, and repositories on the Hugging Face hub that it made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ValidationError

from regraft import durable
from regraft.errors import FetchError, InvalidError, MismatchError
from regraft.hub import nets
from regraft.hub.sources.mirrors import on_hub, published
from regraft.hub.sources.source import UNKNOWN, Locate, Source, distinct
from regraft.records import InputSpec
from regraft.refs import Ref


class _Preset(BaseModel):
    """How timm writes down what pictures the weights were made for."""

    input_size: tuple[int, int, int] | None = None
    crop_pct: float | None = None
    crop_mode: Literal["center", "border", "squash"] = "center"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    interpolation: str = ""


class _Config(BaseModel):
    """The config.json that timm writes beside weights."""

    architecture: str
    label_names: list[str] | dict[int, str] = []
    #: Of names such as synsets.
    label_descriptions: dict[str, str] = {}
    #: What the net was built with, besides its name.
    model_args: dict[str, Any] = {}
    pretrained_cfg: _Preset = _Preset()


def find(ref: Ref, weights: Path | None, locate: Locate) -> Source:
    """Return a model that timm knows by name; a local file stands for its weights where one is given.

    Raises NotFoundError with the nearest name, and FetchError, also where nobody publishes weights.
    """
    net = nets.outline(ref.name)
    if weights:
        return Source(architecture=ref.name, weights=weights, licence=UNKNOWN)
    facts = cast(dict[str, Any], net.trunk.pretrained_cfg)
    if repository := facts.get("hf_hub_id"):
        file = on_hub(repository, facts.get("hf_hub_filename") or "model.safetensors", "")
    elif url := facts.get("url"):
        file = published(url)
    else:
        raise FetchError(f"Nobody publishes weights for {str(ref)!r}.")
    return Source(architecture=ref.name, weights=locate(file), licence=facts.get("license") or UNKNOWN)


def find_repository(ref: Ref, locate: Locate) -> Source:
    """Return the model in a repository on the Hugging Face hub.

    Raises FetchError, InvalidError for a config.json that is damaged, and MismatchError for a model that
    timm did not make.
    """
    config = _read_config(locate(on_hub(ref.name, "config.json", ref.version)), ref)
    net = nets.outline(config.architecture)
    facts = cast(dict[str, Any], net.trunk.pretrained_cfg)
    known = facts.get("license") if facts.get("hf_hub_id") == ref.name else None
    return Source(
        architecture=config.architecture,
        weights=_weights(ref, locate),
        licence=known or UNKNOWN,
        labels=_labels(config),
        input=_input(config.pretrained_cfg, nets.input_spec(net), ref),
    )


def _weights(ref: Ref, locate: Locate) -> Path:
    """Locate the weights, which older repositories have as a pickle alone."""
    try:
        return locate(on_hub(ref.name, "model.safetensors", ref.version))
    except FetchError as error:
        try:
            return locate(on_hub(ref.name, "pytorch_model.bin", ref.version))
        except FetchError:
            raise error from None


def _read_config(path: Path, ref: Ref) -> _Config:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise durable.unreadable(error, path) from error
    try:
        config = _Config.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        if place == "architecture" and first["type"] == "missing":
            raise _foreign(ref, first["input"]) from None
        raise InvalidError(
            f"The config.json of {str(ref)!r} cannot be read: {first['msg']} at {place!r}.",
            hint="It is not as timm writes it; ask its author.",
            where=place,
        ) from None
    if config.model_args:
        raise MismatchError(
            f"The config.json of {str(ref)!r} builds its net with {config.model_args!r}, which Regraft does "
            "not do.",
            hint="Choose a repository without model_args.",
        )
    return config


def _foreign(ref: Ref, said: dict[str, Any]) -> MismatchError:
    kind = next((said[key] for key in ("architectures", "model_type") if key in said), sorted(said)[:5])
    return MismatchError(
        f"The config.json of {str(ref)!r} names no architecture of timm; it says {kind!r}.",
        hint="Choose a repository that timm made, such as hf:timm/resnet18.a1_in1k.",
    )


def _labels(config: _Config) -> tuple[str, ...]:
    names = config.label_names
    marks = (
        [names.get(index, str(index)) for index in range(len(names))] if isinstance(names, dict) else names
    )
    return distinct([config.label_descriptions.get(mark, mark) for mark in marks], marks)


def _input(preset: _Preset, usual: InputSpec, ref: Ref) -> InputSpec:
    """Return how pictures are prepared; what a preset leaves out is as usual for the architecture."""
    crop = usual.crop if preset.crop_pct is None else preset.crop_pct
    if preset.crop_mode != "center" and crop != 1:
        raise MismatchError(
            f"The model {str(ref)!r} wants its pictures prepared by {preset.crop_mode!r} and cropped, which "
            "is not supported."
        )
    bilinear = (preset.interpolation or usual.interpolation) == "bilinear"
    return InputSpec(
        size=preset.input_size[-1] if preset.input_size else usual.size,
        crop=crop,
        mean=preset.mean or usual.mean,
        std=preset.std or usual.std,
        interpolation="bilinear" if bilinear else "bicubic",
        resize={"center": "crop", "border": "pad", "squash": "squash"}[preset.crop_mode],
    )
