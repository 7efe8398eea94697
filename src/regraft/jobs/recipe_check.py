"""Before anything is spent: does all exist that a recipe names, and does it go together?

Each question is asked by itself, so that all that is wrong can be told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from regraft.data.augment import pipeline
from regraft.engine import losses, optim, schedules
from regraft.engine.groups import Group, parameter_groups
from regraft.errors import InvalidRecipe, MismatchError, RegraftError
from regraft.hub import adapters, labels, nets, operators
from regraft.hub.heads import HEADS
from regraft.hub.nets import Net
from regraft.hub.stages import layers
from regraft.jobs import modes
from regraft.recipe import OptimSection, Recipe
from regraft.records import ModelVersion
from regraft.registry import split


def check(model: ModelVersion, recipe: Recipe, *, classes: Sequence[str]) -> None:
    """Raise the first of what is wrong with a resolved recipe that tunes a net for some classes."""
    for fault in [*names(recipe), *fit(model.architecture, recipe), *reuse(model, recipe, classes)]:
        raise fault


def names(recipe: Recipe) -> list[RegraftError]:
    """Return what a recipe names and nothing has, and what in it excludes each other.

    No net is needed for it, and no picture. Rates and augmentations are no longer left open.
    """
    operators.register()  # before timm, whose optimisers may be asked for
    questions: list[Callable[[], object]] = [
        partial(HEADS.find, recipe.model.head, where="model.head"),
        partial(_check_fitted, recipe),
        partial(_check_reuse, recipe),
        partial(_synonyms, recipe),
        partial(pipeline.build, tuple(recipe.data.augment), size=recipe.data.size or 1),
        partial(_check_kept, recipe),
        partial(losses.build, recipe.train.loss, classes=2, label_smoothing=0.0, class_weights=None),
        partial(schedules.build, recipe.optim, steps_per_epoch=1, epochs=recipe.train.epochs),
        partial(_check_optimizer, recipe.optim),
    ]
    if recipe.train.strategy == "adapters":
        questions.append(partial(adapters.ADAPTERS.find, recipe.model.adapter, where="model.adapter"))
    return _faults(questions)


def fit(architecture: str, recipe: Recipe) -> list[RegraftError]:
    """Return what of a recipe does not suit a net: adapters, what is frozen, rules for parameters.

    No weights are read for it. An entry that does not exist is left to `names`.
    """
    net = nets.outline(architecture)
    added = frozenset[str]()
    if recipe.train.strategy == "adapters":
        if _faults([partial(adapters.ADAPTERS.find, recipe.model.adapter, where="model.adapter")]):
            return []
        try:
            added = adapters.add(net, recipe.model.adapter)
        except InvalidRecipe as error:
            return [error]  # what it would leave frozen is not known
    try:
        learning = modes.build(net, recipe, added)
    except InvalidRecipe as error:
        return [error, *_faults([partial(_check_rules, net, recipe)])]
    learning(recipe.train.epochs - 1).apply(net)
    return _faults(
        [
            partial(_check_rules, net, recipe),
            partial(_check_boundary, recipe, learning),
            partial(_check_size, architecture, recipe.data.size),
        ]
    )


def reuse(model: ModelVersion, recipe: Recipe, classes: Sequence[str]) -> list[RegraftError]:
    """Return what is wrong with the rows of an old classifier that a recipe wants for new classes."""
    if not recipe.model.reuse_labels or _faults([partial(_check_reuse, recipe), partial(_synonyms, recipe)]):
        return []
    return _faults([partial(reused, model, recipe, classes)])


def reused(model: ModelVersion, recipe: Recipe, classes: Sequence[str]) -> dict[int, tuple[int, ...]]:
    """Return, by number of each new class that the model knows, which of its classes that may be.

    Raises MismatchError where it knows none, or has no rows, and what `labels.read_synonyms` raises.
    """
    if model.head_kind != "linear":
        raise MismatchError(
            "The old head is not linear: its labels have no rows to reuse.",
            hint="Leave model.reuse_labels out.",
        )
    known = labels.candidates(model.labels, classes, _synonyms(recipe))
    if not known:
        raise MismatchError(
            f"None of the labels is among the {len(model.labels):,} that the model knows.",
            hint="Say what they are called there in a file of synonyms (model.synonyms), or leave "
            "model.reuse_labels out.",
        )
    return known


@contextmanager
def taken(architecture: str) -> Iterator[None]:
    """Say in a sentence what a net says that cannot take what it gets: InvalidRecipe."""
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        words = " ".join(str(error).split())[:300].rstrip(".")
        raise InvalidRecipe(
            f"The net {architecture!r} cannot take a batch: {words}.",
            hint="Look at data.size, which some nets want as their weights have it, and at train.batch_size.",
            where="data.size",
        ) from None


def varied(recipe: Recipe) -> bool:
    """Tell whether a net sees a picture otherwise in every epoch."""
    return bool(recipe.data.augment or recipe.train.mixup or recipe.train.cutmix)


def nothing_stays() -> InvalidRecipe:
    """Say that nothing is frozen that could be computed once."""
    return InvalidRecipe(
        "What is frozen cannot be computed once: nothing is that stays so from the stem upwards.",
        hint="Freeze stages (model.freeze), or set train.boundary=auto.",
        where="train.boundary",
    )


def _faults(questions: Sequence[Callable[[], object]]) -> list[RegraftError]:
    """Ask each question; return what was raised."""
    found = []
    for question in questions:
        try:
            question()
        except RegraftError as error:
            found.append(error)
    return found


def _linear(recipe: Recipe) -> bool:
    return split(recipe.model.head, where="model.head")[0] == "linear"


def _check_fitted(recipe: Recipe) -> None:
    if recipe.train.strategy == "lp-ft" and not _linear(recipe):
        raise InvalidRecipe(
            "The strategy 'lp-ft' fits a linear head first.",
            hint='Set model.head = "linear", or train.strategy = "full".',
            where="model.head",
        )


def _check_reuse(recipe: Recipe) -> None:
    if recipe.model.reuse_labels and (recipe.train.strategy == "lp-ft" or not _linear(recipe)):
        raise InvalidRecipe(
            "Rows of the old classifier cannot begin a head that is fitted first, or is not linear.",
            hint='Leave model.reuse_labels out, or set train.strategy = "full" and model.head = "linear".',
            where="model.reuse_labels",
        )


def _synonyms(recipe: Recipe) -> labels.Synonyms:
    return labels.read_synonyms(Path(recipe.model.synonyms)) if recipe.model.synonyms else ()


def _check_kept(recipe: Recipe) -> None:
    if recipe.train.boundary == "cache" and varied(recipe):
        raise InvalidRecipe(
            "What is frozen cannot be computed once: the net sees a picture otherwise in every epoch.",
            hint="Set data.augment=[] and no mixing, or train.boundary=auto.",
            where="train.boundary",
        )


def _check_boundary(recipe: Recipe, learning: Callable[[int], modes.Mode]) -> None:
    if recipe.train.boundary != "cache" or varied(recipe):
        return
    first, last = (learning(epoch).frozen for epoch in (0, recipe.train.epochs - 1))
    stays = first == last and last.names and last.stats
    if recipe.train.strategy == "scratch" or not stays:
        raise nothing_stays()


def _check_optimizer(section: OptimSection) -> None:
    """Build the optimiser for one parameter: which ones there are, only a net knows."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    alone = Group(name="", names=("",), parameters=(parameter,), lr_scale=1.0, decay_scale=1.0)
    optim.build(section.optimizer, [alone], lr=float(section.lr), weight_decay=0.0)


def _check_rules(net: Net, recipe: Recipe) -> None:
    parameter_groups(
        {name: p for name, p in net.named_parameters() if p.requires_grad},
        layers=layers(net),
        optim=recipe.optim,
    )


def _check_size(architecture: str, size: int) -> None:
    """Let a net of shapes alone see pictures of another size than its own."""
    net = nets.outline(architecture).eval()
    own = nets.input_spec(net).size
    if size == own:
        return
    try:
        net(torch.empty(2, 3, own, own, device="meta"))
    except RuntimeError:
        return  # it wants numbers
    with taken(architecture):
        net(torch.empty(2, 3, size, size, device="meta"))
