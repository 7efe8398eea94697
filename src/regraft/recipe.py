"""Recipes: how to fine-tune, in five sections with good defaults, from TOML and from `--set`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from regraft.errors import InvalidRecipe, NotFoundError, did_you_mean
from regraft.records import Precision


class Section(BaseModel):
    """A part of a recipe: it never changes, and it takes no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSection(Section):
    """Which pretrained model to start from."""

    #: `embedded:NAME`, `timm:NAME`, or a model of the workspace.
    ref: str = "embedded:efficientnet_lite0"
    #: A file with weights (.safetensors, .pth), for sources that bring none.
    weights: str = ""


class DataSection(Section):
    """How pictures without a split get one."""

    val_fraction: float = Field(default=0.1, ge=0, lt=0.5)
    test_fraction: float = Field(default=0.2, gt=0, lt=0.5)
    #: What keeps pictures in one split: `column:NAME`, `path:REGEX` or `time:SECONDS`.
    group_by: str = ""
    #: Whether pictures that look alike are kept in one split.
    similar: bool = True


class OptimSection(Section):
    """How the head is fitted."""

    #: Inverse strengths of regularisation to choose from, the strongest regularisation first.
    C: tuple[PositiveFloat, ...] = Field(default=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3), min_length=1)
    max_iterations: int = Field(default=500, ge=1)
    tolerance: float = Field(default=1e-4, gt=0)


class TrainSection(Section):
    """What is trained, and in which precision."""

    strategy: Literal["probe"] = "probe"
    seed: int = Field(default=0, ge=0, lt=2**31)
    #: `auto` measures what is fastest; `exact` is float32 without a change of layout.
    precision: Literal["auto", "exact"] | Precision = "auto"
    #: Pictures that the net sees at once, over all devices.
    batch_size: int = Field(default=32, ge=1)


class EvalSection(Section):
    """How the result is measured."""

    #: Folds of the cross-validation within the train split; fewer where a class has fewer pictures.
    folds: int = Field(default=5, ge=2, le=20)


class Recipe(Section):
    """How to fine-tune; every default is good."""

    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    optim: OptimSection = OptimSection()
    train: TrainSection = TrainSection()
    eval: EvalSection = EvalSection()


def read(source: Recipe | str | Path | None, settings: Iterable[str] = ()) -> Recipe:
    """Take a recipe, a TOML file, or the defaults, and apply settings such as `train.seed=1`.

    Raises NotFoundError where the file is missing, InvalidRecipe where a key or value is wrong.
    """
    if isinstance(source, Recipe):
        document = source.model_dump()
    else:
        document = {} if source is None else _read_toml(Path(source))
    for setting in settings:
        _apply(document, setting)
    return check(document)


def check(document: Mapping[str, Any]) -> Recipe:
    """Make a recipe of a document; raises InvalidRecipe, which names the key and its neighbour."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first, *others = error.errors()
        parts = [str(part) for part in first["loc"] if not str(part).startswith("literal[")]
        where = ".".join(parts)
        wishes = dict.fromkeys(e["msg"] for e in (first, *others) if list(e["loc"])[: len(parts)] == parts)
        if first["type"] == "extra_forbidden":
            raise _unknown(parts, where) from None
        raise InvalidRecipe(
            f"{where!r} cannot be {first['input']!r}.",
            hint=f"{'. Or: '.join(wishes) or first['msg']}.",
            where=where,
        ) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no recipe file {str(path)!r}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRecipe(f"{str(path)!r} is not TOML: {error}.") from None
    except OSError as error:
        raise InvalidRecipe(f"{str(path)!r} cannot be read: {error.strerror}.") from None


def _unknown(parts: list[str], where: str) -> InvalidRecipe:
    *above, key = parts
    model: type[BaseModel] = Recipe
    for part in above:
        model = type(model.model_fields[part].default)
    place = f" in {'.'.join(above)!r}" if above else ""
    known = list(model.model_fields)
    return InvalidRecipe(
        f"Unknown key {key!r}{place}.",
        hint=did_you_mean(key, known, otherwise=f"Known keys: {', '.join(known)}."),
        where=where,
    )


def _apply(document: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise InvalidRecipe(f"{setting!r} is no setting.", hint="Write --set section.key=value.")
    *above, key = path.strip().split(".")
    table = document
    for part in above:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InvalidRecipe(f"{part!r} in {path!r} is not a section.", where=path)
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text  # a bare word is a string
