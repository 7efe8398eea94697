"""Before anything is spent: does the dataset suit the job, what is measured on, what is still open?"""

from __future__ import annotations

from dataclasses import dataclass

from regraft import suggest
from regraft.errors import InvalidError
from regraft.jobs.features import fastest_precision
from regraft.recipe import Recipe
from regraft.records import DatasetVersion, ModelVersion, Row
from regraft.store.opening import Store
from regraft.store.tables import read_rows

#: Fewer test pictures than this give a number that says little.
FEW = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """A recipe without open questions, and what the person should know before reading the result."""

    recipe: Recipe
    #: The split that the model is measured on.
    split: str
    warnings: tuple[str, ...]


def check(store: Store, dataset: DatasetVersion, model: ModelVersion, recipe: Recipe) -> Preflight:
    """Check a dataset, and resolve the recipe for it on this machine.

    Raises InvalidError where there are not two classes, where nothing is left to measure on, or where a
    class cannot be learned.
    """
    train = dataset.splits.get("train", {})
    split = held_out(dataset)
    if len(dataset.labels) == 1:
        raise InvalidError(
            f"There is one class only: {dataset.labels[0]!r}.",
            hint="A classifier needs two classes or more, a folder for each: photos/cat, photos/dog.",
            where=dataset.labels[0],
        )
    if not train:
        raise InvalidError(
            f"There are no pictures to learn from: the splits are {', '.join(dataset.splits)}.",
            hint="Add a folder 'train', or give the class folders without splits above them.",
            where="train",
        )
    if split is None:
        raise InvalidError(
            "There is nothing to measure on: no class has two pictures.",
            hint="Add pictures; three of each class are the least, thirty a beginning.",
        )
    unknown = [label for label in dataset.splits[split] if label not in train]
    if unknown:
        raise InvalidError(
            f"Class {unknown[0]!r} has pictures in {split!r} and none in 'train'.",
            hint="Give it pictures in 'train', or take its folder away; names must match to the letter.",
            where=f"{split}/{unknown[0]}",
        )
    fastest = fastest_precision(store, model) if recipe.train.precision == "auto" else None
    smallest = min((count for count in train.values() if count > 1), default=2)
    resolved = suggest.resolve(recipe, fastest=fastest, smallest_class=smallest)
    return Preflight(recipe=resolved, split=split, warnings=tuple(_warnings(dataset, split)))


def held_out(dataset: DatasetVersion) -> str | None:
    """Return the split to measure on: `test`, or else `val`, which the head never sees."""
    return next((split for split in ("test", "val") if dataset.splits.get(split)), None)


def default_split(store: Store, model: ModelVersion, dataset: DatasetVersion) -> str:
    """Return what to evaluate on where the person does not say: `test`, or `all` of pictures that are new.

    A split that was made here says nothing about pictures that the model has never met.
    """
    known = {row.digest for row in training_rows(store, model)}
    met = any(row.digest in known for row in read_rows(store.blobs, dataset.segments))
    given = not dataset.split_rule.fractions
    return "test" if "test" in dataset.splits and (given or met) else "all"


def training_rows(store: Store, model: ModelVersion) -> list[Row]:
    """Return the pictures that a model learned from; none where its dataset is not in this store."""
    if model.lineage is None:
        return []
    dataset = store.catalog.find_digest("datasets", model.lineage.dataset)
    if dataset is None:
        return []
    rows = read_rows(store.blobs, dataset.read(DatasetVersion).segments)
    return [row for row in rows if row.split == "train"]


def _warnings(dataset: DatasetVersion, split: str) -> list[str]:
    warnings = []
    if split == "val":
        warnings.append("There is no test split: measured on 'val', which nothing was chosen by.")
    count = sum(dataset.splits[split].values())
    if count < FEW:
        warnings.append(f"Only {count} pictures to measure on: the interval is wide.")
    lone = [label for label in dataset.labels if label not in dataset.splits[split]]
    if lone:
        names = ", ".join(map(repr, lone[:5])) + (", ..." if len(lone) > 5 else "")
        warnings.append(f"Not measured, for want of pictures in {split!r}: {names}.")
    return warnings
