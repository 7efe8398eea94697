"""Before anything is spent: does all exist that a recipe names, and does it go together?"""

from __future__ import annotations

from pathlib import Path

from regraft.data.augment import pipeline
from regraft.engine import losses, optim, schedules
from regraft.engine.groups import parameter_groups
from regraft.errors import InvalidRecipe
from regraft.hub import adapters, nets
from regraft.hub.heads import HEADS
from regraft.hub.labels import read_synonyms
from regraft.hub.stages import layers
from regraft.jobs import modes
from regraft.recipe import Recipe
from regraft.records import ModelVersion
from regraft.registry import split


def check(model: ModelVersion, recipe: Recipe, *, classes: int) -> None:
    """Raise InvalidRecipe for what a resolved recipe names and nothing has, and for what excludes each other.

    No weights are read for it, and no pictures.
    """
    _check_head(recipe)
    pipeline.build(tuple(recipe.data.augment), size=recipe.data.size)
    varied = recipe.data.augment or recipe.train.mixup or recipe.train.cutmix
    if recipe.train.boundary == "cache" and varied:
        raise InvalidRecipe(
            "What is frozen cannot be computed once: the net sees a picture otherwise in every epoch.",
            hint="Set data.augment=[] and no mixing, or train.boundary=auto.",
            where="train.boundary",
        )
    losses.build(recipe.train.loss, classes=classes, label_smoothing=0.0, class_weights=None)
    schedules.build(recipe.optim, steps_per_epoch=1, epochs=recipe.train.epochs)
    net = nets.outline(model.architecture)
    adapted = recipe.train.strategy == "adapters"
    added = adapters.add(net, recipe.model.adapter) if adapted else frozenset[str]()
    modes.build(net, recipe, added)(recipe.train.epochs - 1).apply(net)
    learning = {name: p for name, p in net.named_parameters() if p.requires_grad}
    groups = parameter_groups(learning, layers=layers(net), optim=recipe.optim)
    optim.build(recipe.optim.optimizer, groups, lr=float(recipe.optim.lr), weight_decay=0.0)


def _check_head(recipe: Recipe) -> None:
    HEADS.find(recipe.model.head, where="model.head")
    linear = split(recipe.model.head, where="model.head")[0] == "linear"
    fitted = recipe.train.strategy == "lp-ft"
    if fitted and not linear:
        raise InvalidRecipe(
            "The strategy 'lp-ft' fits a linear head first.",
            hint='Set model.head = "linear", or train.strategy = "full".',
            where="model.head",
        )
    if recipe.model.reuse_labels and (fitted or not linear):
        raise InvalidRecipe(
            "Rows of the old classifier cannot begin a head that is fitted first, or is not linear.",
            hint='Leave model.reuse_labels out, or set train.strategy = "full" and model.head = "linear".',
            where="model.reuse_labels",
        )
    if recipe.model.synonyms:
        read_synonyms(Path(recipe.model.synonyms))
