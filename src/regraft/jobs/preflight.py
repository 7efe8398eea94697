"""Before anything is spent: does the dataset suit the job, what is measured on, what is still open?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from regraft import suggest
from regraft.data.assembly import read_refused
from regraft.errors import InvalidError, InvalidRecipe, MismatchError, listed
from regraft.jobs.precision import fastest_precision, fastest_training
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import DatasetVersion, InputSpec, ModelVersion, Refused, Row, Version
from regraft.store.opening import Store
from regraft.store.tables import read_rows

#: Fewer test pictures than this give a number that says little.
FEW = 30
#: Fewer train pictures of a class than this teach little of it.
FEW_TO_LEARN = 10
#: How the weights of most nets want their pictures.
_USUAL = InputSpec(
    size=224,
    crop=0.875,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    interpolation="bilinear",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """A recipe without open questions, and what the person should know before reading the result."""

    recipe: Recipe
    #: The split that the model is measured on.
    split: str
    #: Classes that are left out.
    warnings: tuple[str, ...]


def check(
    store: Store, dataset: DatasetVersion, model: ModelVersion, recipe: Recipe, progress: Progress
) -> Preflight:
    """Check a dataset, and resolve the recipe for it on this machine.

    Raises InvalidError where there are not two classes, where nothing is left to measure on, or where a
    class cannot be learned; InvalidRecipe or MismatchError where the recipe does not suit.
    """
    for fault in faults(store, dataset):
        raise fault
    split = held_out(dataset)
    if split is None:
        raise ValueError("a dataset without a fault has something to measure on")
    check_budget(recipe)
    if recipe.train.tunes:
        from regraft.jobs import recipe_check, soup  # torch and timm, which a probe on known features spares

        resolved = settle(model, recipe, smallest_class=smallest_class(dataset))
        recipe_check.check(model, resolved, classes=dataset.labels)
        if resolved.train.soup:
            soup.check(list(read_rows(store.blobs, dataset.segments)), resolved, measured=split)
    resolved = resolve(store, model, recipe, smallest_class=smallest_class(dataset), progress=progress)
    return Preflight(recipe=resolved, split=split, warnings=lost(store, dataset))


def check_budget(recipe: Recipe) -> None:
    """Raise InvalidRecipe where a budget is given to a strategy that keeps none."""
    if recipe.train.budget and recipe.train.strategy != "auto":
        raise InvalidRecipe(
            f"The strategy {recipe.train.strategy!r} keeps no budget.",
            hint="Leave it to auto: --strategy auto. A training ends in time with train.time_limit.",
            where="train.budget",
        )


def faults(store: Store, dataset: DatasetVersion) -> list[InvalidError]:
    """Return all that keeps a classifier from being learned from a dataset, and measured."""
    train = dataset.splits.get("train", {})
    if len(dataset.labels) == 1:
        need = "A classifier needs two classes or more, a folder for each: photos/cat, photos/dog."
        return [
            InvalidError(
                f"There is one class only: {dataset.labels[0]!r}.",
                hint=" ".join([*lost(store, dataset), need]),
                where=dataset.labels[0],
            )
        ]
    if not train:
        return [
            InvalidError(
                f"There are no pictures to learn from: the splits are {', '.join(dataset.split_sizes())}.",
                hint="Add a folder 'train', or give the class folders without splits above them.",
                where="train",
            )
        ]
    found = []
    if held_out(dataset) is None:
        several = any(count > 1 for count in train.values())
        found.append(
            InvalidError(
                "There is nothing to measure on: the pictures of each class look alike or belong together."
                if several
                else "There is nothing to measure on: no class has two pictures.",
                hint="Add pictures; three of each class are the least, thirty a beginning.",
            )
        )
    for other, counts in dataset.splits.items():
        found += [
            InvalidError(
                f"Class {label!r} has pictures in {other!r} and none in 'train'.",
                hint="Add pictures to learn it from, or take its folder away; spell names alike."
                + _left_out(store, dataset, label),
                where=f"{other}/{label}",
            )
            for label in counts
            if label not in train
        ]
    return found


def smallest_class(dataset: DatasetVersion) -> int:
    """Count the train pictures of the rarest class that has two or more of them; 2 where none has."""
    train = dataset.splits.get("train", {})
    return min((count for count in train.values() if count > 1), default=2)


def resolve(
    store: Store, model: ModelVersion, recipe: Recipe, *, smallest_class: int, progress: Progress
) -> Recipe:
    """Return the recipe without open questions; what is fastest here is measured, where nobody has."""
    tunes = recipe.train.tunes
    inference, training = None, None
    if (recipe.eval if tunes else recipe.train).precision == "auto":
        training = inference = fastest_precision(store, model, progress)
    if tunes and recipe.train.precision == "auto":
        training = fastest_training(store, model, recipe, progress)
    return suggest.resolve(
        recipe, training=training, inference=inference, smallest_class=smallest_class, input=model.input
    )


def settle(model: ModelVersion | None, recipe: Recipe, *, smallest_class: int) -> Recipe:
    """Return the recipe without open questions, where a precision that it leaves open is float32.

    Without a model, pictures are prepared as for most nets.
    """
    return suggest.resolve(
        recipe,
        training="float32",
        inference="float32",
        smallest_class=smallest_class,
        input=model.input if model else _USUAL,
    )


def held_out(dataset: DatasetVersion) -> str | None:
    """Return the split to measure on: `test`, or else `val`, which the head never sees."""
    return next((split for split in ("test", "val") if dataset.splits.get(split)), None)


def check_classifier(model: Version) -> ModelVersion:
    """Return the manifest of a model that can name something.

    Raises MismatchError where its weights came without a classifier.
    """
    record = model.read(ModelVersion)
    if not record.labels:
        raise MismatchError(
            f"The model {str(model)!r} has no classifier: its weights came without one.",
            hint=f"Fine-tune it first: regraft finetune DATASET --model {model}",
        )
    return record


def default_split(store: Store, model: ModelVersion, dataset: Version) -> str:
    """Return what to evaluate on where the person does not say: `test`, or `all` of pictures that are new.

    A split that was made here counts for models of the same dataset alone; for others every picture is new.
    """
    record = dataset.read(DatasetVersion)
    home = store.catalog.find_digest("datasets", model.lineage.dataset) if model.lineage else None
    own = home is not None and home.name == dataset.name
    given = not record.split_rule.fractions
    return "test" if "test" in record.splits and (given or own) else "all"


def training_rows(store: Store, model: ModelVersion) -> list[Row]:
    """Return the pictures that a model learned from or was chosen by, and the nets that it was made of.

    There are none of a dataset or a model that is not in this store.
    """
    found = own_rows(store, model)
    while model.lineage and (base := store.catalog.find_digest("models", model.lineage.model)):
        grown = model.growth is not None  # it still knows what its base had learned
        model = base.read(ModelVersion)
        if grown or model.training is not None:  # of a probe only the head has learned, which is gone
            found += own_rows(store, model)
    return found


def own_rows(store: Store, model: ModelVersion) -> list[Row]:
    """Return the pictures that a model learned from or was chosen by when it was made."""
    dataset = model.lineage and store.catalog.find_digest("datasets", model.lineage.dataset)
    if not dataset:
        return []
    data = dataset.read(DatasetVersion)
    splits = ["train"]
    searched = model.board is not None and model.board.budget > 0
    if (model.training is not None or searched) and held_out(data) == "test":
        splits.append("val")  # by which the epoch was chosen, or a head over a tuned net
    return [row for row in read_rows(store.blobs, data.segments) if row.split in splits]


def lost(store: Store, dataset: DatasetVersion) -> tuple[str, ...]:
    """Say which classes have no picture because none of their files can be used, and why."""
    classes: dict[str, list[Refused]] = defaultdict(list)
    for item in read_refused(store, dataset):
        if item.label and item.label not in dataset.labels:
            classes[item.label].append(item)
    return tuple(
        f"Class {label!r} is left out, since none of its files can be used ({len(files)}); "
        f"the first, {files[0].key!r}: {files[0].reason}."
        for label, files in classes.items()
    )


def _left_out(store: Store, dataset: DatasetVersion, label: str) -> str:
    """Add which files of a class were not used, where there are any."""
    files = [item for item in read_refused(store, dataset) if item.label == label]
    if not files:
        return ""
    return f" Of its files {len(files)} were left out; the first, {files[0].key!r}: {files[0].reason}."


def notes(dataset: DatasetVersion, split: str) -> tuple[str, ...]:
    """Say what a reader should know of the numbers that a split gives."""
    warnings = []
    few = [label for label, count in dataset.splits.get("train", {}).items() if count < FEW_TO_LEARN]
    if few:
        warnings.append(f"Learned from fewer than {FEW_TO_LEARN} pictures: {listed(few)}.")
    if split == "val" and not dataset.splits.get("test"):
        warnings.append("There is no test split: measured on 'val', which nothing was chosen by.")
    count = sum(dataset.splits[split].values())
    if count < FEW:
        warnings.append(f"Fewer than {FEW} pictures to measure on ({count}): the interval is wide.")
    lone = [label for label in dataset.labels if label not in dataset.splits[split]]
    if lone:
        warnings.append(f"Not measured, for want of pictures in {split!r}: {listed(lone)}.")
    return tuple(warnings)
