"""Labels of a dataset against those of a model: matched by name, and what has no match is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regraft.errors import InvalidError, MismatchError, did_you_mean, listed


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """Which label of a model each label of a dataset is."""

    #: By the dataset's label; one that the model does not know is not there.
    known: Mapping[str, str]
    #: What a reader should know before the numbers.
    notes: tuple[str, ...]


def match(
    labels: Sequence[str], model: Sequence[str], *, renames: Mapping[str, str], counts: Mapping[str, int]
) -> Matching:
    """Match a dataset's labels to those of a model; `counts` says how many pictures are measured of each.

    A label is itself, or what `renames` says, or the one label that is written alike but for case, spaces,
    hyphens and underscores. Raises InvalidError for a rename that names nothing, and MismatchError where
    nothing matches.
    """
    _check(renames, labels, model)
    alike: dict[str, list[str]] = {}
    for name in model:
        alike.setdefault(_plain(name), []).append(name)
    known, notes = {}, []
    for label in (label for label in labels if counts[label]):
        same = [name for name in alike.get(_plain(label), ()) if name not in labels]
        if label in renames:
            known[label] = renames[label]
        elif label in model:
            known[label] = label
        elif len(same) == 1:
            known[label] = same[0]
            notes.append(f"{label!r} is taken for the model's {same[0]!r}.")
    if not known:
        raise MismatchError(
            f"The model knows none of the dataset's labels: {listed([*filter(counts.get, labels)])}.",
            hint=f"It knows {listed(model)}. "
            "Labels are matched by name; --rename OLD=NEW says which is which.",
        )
    if lost := [label for label in labels if counts[label] and label not in known]:
        pictures = sum(counts[label] for label in lost)
        notes.append(
            f"Left out, since the model does not know their labels: {pictures:,} pictures of {listed(lost)}. "
            "The numbers do not speak for these."
        )
    if missing := [name for name in model if name not in known.values()]:
        notes.append(f"Labels of the model without pictures here: {listed(missing)}.")
    return Matching(known=known, notes=tuple(notes))


def _check(renames: Mapping[str, str], labels: Sequence[str], model: Sequence[str]) -> None:
    for old, new in renames.items():
        for name, there, whose in ((old, labels, "dataset"), (new, model, "model")):
            if name not in there:
                raise InvalidError(
                    f"The {whose} has no label {name!r}.",
                    hint=did_you_mean(name, there, otherwise=f"It has {listed(there)}."),
                    where=f"{old}={new}",
                )


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()
