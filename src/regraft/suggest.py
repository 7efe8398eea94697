"""Facts about the data and the machine in, a recipe without open questions out: pure functions."""

from __future__ import annotations

from regraft.recipe import Recipe
from regraft.records import Precision


def resolve(recipe: Recipe, *, fastest: Precision | None, smallest_class: int) -> Recipe:
    """Replace every value that was left open by the one that these facts ask for.

    `fastest` is the precision that was measured on this machine, needed where the recipe says `auto`;
    `smallest_class` counts the train pictures of the rarest class that has two or more of them.
    """
    precision = recipe.train.precision
    if precision == "auto" and fastest is not None:
        precision = fastest
    elif precision == "exact":
        precision = "float32"
    train = recipe.train.model_copy(update={"precision": precision})
    folds = recipe.eval.model_copy(update={"folds": max(2, min(recipe.eval.folds, smallest_class))})
    return recipe.model_copy(update={"train": train, "eval": folds})
