"""The pictures of a dataset by class, as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regraft.reports.templates import environment

#: Pictures of one class in one split.
EACH = 6
#: Pictures in all, so that a page stays small enough to send.
IN_ALL = 600

ORDER = ("train", "val", "test")

#: Key, label and split of a picture.
Labelled = tuple[str, str, str]


def gallery_page(title: str, rows: Sequence[Labelled], thumbnails: Mapping[str, str]) -> str:
    """Draw how many pictures each class has in each split, and a few of them.

    `rows` are all pictures of the dataset as key, label and split, an empty split where there are none.
    `thumbnails` holds `data:` URIs by key, of which `chosen` says which are wanted; a picture without one
    gets a grey box. Names are hostile text: all of it is escaped.
    """
    classes = _classes(rows)
    splits = list(dict.fromkeys(split for group in classes for split in group.keys))
    splits.sort(key=lambda split: (ORDER.index(split) if split in ORDER else len(ORDER), split))
    return (
        environment()
        .get_template("dataset_page.html.j2")
        .render(
            title=title,
            count=len(rows),
            classes=classes,
            splits=splits,
            totals={split: sum(len(group.keys.get(split, ())) for group in classes) for split in splits},
            most=max((len(keys) for group in classes for keys in group.keys.values()), default=1),
            drawn=_drawn(classes),
            thumbnails=thumbnails,
        )
    )


def chosen(rows: Sequence[Labelled]) -> tuple[str, ...]:
    """Return the keys of the pictures that the page draws: evenly out of each class and split."""
    return tuple(
        key for splits in _drawn(_classes(rows)).values() for keys in splits.values() for key in keys
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    label: str
    #: Of its pictures, by split.
    keys: dict[str, list[str]]


def _classes(rows: Sequence[Labelled]) -> list[_Class]:
    found: dict[str, dict[str, list[str]]] = {}
    for key, label, split in rows:
        found.setdefault(label, {}).setdefault(split, []).append(key)
    return [_Class(label=label, keys=found[label]) for label in sorted(found)]


def _drawn(classes: Sequence[_Class]) -> dict[str, dict[str, list[str]]]:
    """Choose keys by label and split; where there are very many classes, only the first have pictures."""
    places = sum(len(group.keys) for group in classes)
    each = max(1, min(EACH, IN_ALL // max(places, 1)))
    drawn: dict[str, dict[str, list[str]]] = {}
    left = IN_ALL
    for group in classes:
        picked = {split: _spread(keys, each) for split, keys in group.keys.items()}
        left -= sum(map(len, picked.values()))
        if left < 0:
            break
        drawn[group.label] = picked
    return drawn


def _spread(keys: Sequence[str], count: int) -> list[str]:
    """Pick evenly, since neighbours are often shots of one scene."""
    ordered = sorted(keys)
    count = min(count, len(ordered))
    return [ordered[(2 * index + 1) * len(ordered) // (2 * count)] for index in range(count)]
