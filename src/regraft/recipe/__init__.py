"""Recipes: how to fine-tune, in five sections with good defaults, from TOML and from `--set`."""

from regraft.recipe.descriptions import descriptions, schema
from regraft.recipe.drafts import Origin
from regraft.recipe.reading import Traced, read, trace
from regraft.recipe.recorded import recorded
from regraft.recipe.sections import (
    DataSection,
    EvalSection,
    GroupRule,
    ModelSection,
    OptimSection,
    Recipe,
    Section,
    TrainSection,
)
from regraft.recipe.validation import check
from regraft.recipe.writing import write

__all__ = [
    "DataSection",
    "EvalSection",
    "GroupRule",
    "ModelSection",
    "OptimSection",
    "Origin",
    "Recipe",
    "Section",
    "Traced",
    "TrainSection",
    "check",
    "descriptions",
    "read",
    "recorded",
    "schema",
    "trace",
    "write",
]
