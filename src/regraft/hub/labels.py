"""Label reuse: which new labels an old classifier knows already, and its rows for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from regraft.errors import InvalidError, MismatchError, NotFoundError
from regraft.hub import heads

#: Each holds names of one label. `#934`, or a number that is no label itself, is the index of an old class.
Synonyms = Sequence[Sequence[str]]

_INDEX = re.compile(r"#?[0-9]{1,9}")
#: ImageNet has two cranes; the names of both end in the number of their synset.
_SYNSET = re.compile(r" \(n[0-9]{8}\)$")


def matches(old: Sequence[str], new: Sequence[str], synonyms: Synonyms = ()) -> dict[int, int]:
    """Return, by index of each new label that is known, the index of the first old one that it matches."""
    return {index: found[0] for index, found in candidates(old, new, synonyms).items()}


def candidates(old: Sequence[str], new: Sequence[str], synonyms: Synonyms = ()) -> dict[int, tuple[int, ...]]:
    """Return, by index of each new label that is known, all old ones that it matches equally well.

    The first way counts in which any old label matches: by an index among the synonyms; by name, letter for
    letter; by name, where case, spaces, `_` and `-` do not count; by one of several names, which ImageNet
    separates by commas; by the name of a synonym. Raises InvalidError for an index that no old label has.
    """
    ways: tuple[Callable[[str], list[str]], ...] = (_exact, _whole, _parts)
    tables = [_table(old, way) for way in ways]
    groups = _table([",".join(group) for group in synonyms], _parts)
    labels = {*old, *new}
    result = {}
    for index, label in enumerate(new):
        same = [name for part in _parts(label) for group in groups.get(part, ()) for name in synonyms[group]]
        attempts = [
            [_index(name, len(old)) for name in same if _INDEX.fullmatch(name) and name not in labels],
            *(_look_up(table, way(label)) for way, table in zip(ways, tables, strict=True)),
            _look_up(tables[-1], [_plain(name) for name in same]),
        ]
        if found := next(filter(None, attempts), None):
            result[index] = tuple(sorted(set(found)))
    return result


def read_synonyms(path: Path) -> Synonyms:
    """Read a file of synonyms: on each line names of one label, separated by commas.

    Empty lines do not count, nor do those that begin with `#` and no number. Raises NotFoundError, and
    InvalidError with the number of the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"There is no file of synonyms {str(path)!r}.") from None
    except UnicodeDecodeError:
        raise InvalidError(f"{str(path)!r} is not text in UTF-8.", where=str(path)) from None
    except OSError as error:
        raise InvalidError(f"{str(path)!r} cannot be read: {error.strerror}.", where=str(path)) from None
    result = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or re.match(r"\s*#(?![0-9])", line):
            continue
        names = tuple(name.strip() for name in line.split(","))
        if reason := _fault(names, seen):
            raise InvalidError(
                f"Line {number} of {str(path)!r} {reason}.",
                hint="Write names of one label on a line, such as: hot_dog, frankfurter, #934",
                where=f"{path}:{number}",
            )
        seen.update((_plain(name), number) for name in names)
        result.append(names)
    return tuple(result)


def reuse(head: nn.Module, old: nn.Module, matched: Mapping[int, int]) -> nn.Module:
    """Begin rows of a linear head with rows of an old one, by `matches`, in place; return the head.

    Raises MismatchError where one of them is not linear, or they take other features.
    """
    for name, module in {"new": head, "old": old}.items():
        if heads.kind(module) != "linear":
            raise MismatchError(
                f"The {name} head is not linear: its labels have no rows to reuse.",
                hint="Set model.reuse_labels = false, or model.head = 'linear'.",
            )
    weight, old_weight = head.get_parameter("weight"), old.get_parameter("weight")
    if weight.shape[1] != old_weight.shape[1]:
        raise MismatchError(
            f"The new head takes {weight.shape[1]} features, and the old one {old_weight.shape[1]}."
        )
    bias, old_bias = head.get_parameter("bias"), old.get_parameter("bias")
    with torch.no_grad():
        for row, known in matched.items():
            weight[row] = old_weight[known]
            bias[row] = old_bias[known]
    return head


def _exact(label: str) -> list[str]:
    return [label]


def _whole(label: str) -> list[str]:
    return [_plain(label)]


def _parts(label: str) -> list[str]:
    return [_plain(part) for part in label.split(",") if part.strip()]


def _plain(name: str) -> str:
    """Return a name without what people write one way or another."""
    return re.sub(r"[\s_-]+", "", _SYNSET.sub("", name)).casefold() or name


def _table(labels: Sequence[str], way: Callable[[str], list[str]]) -> dict[str, list[int]]:
    table = defaultdict(list)
    for index, label in enumerate(labels):
        for name in way(label):
            table[name].append(index)
    return dict(table)


def _look_up(table: Mapping[str, list[int]], names: Sequence[str]) -> list[int]:
    return [index for name in names for index in table.get(name, ())]


def _index(name: str, count: int) -> int:
    index = int(name.removeprefix("#"))
    if index >= count:
        raise InvalidError(
            f"The synonyms name class {name}, and the old classifier has {count}.",
            hint=f"Classes are counted from 0 to {count - 1}.",
            where=name,
        )
    return index


def _fault(names: Sequence[str], seen: Mapping[str, int]) -> str:
    """Return what is wrong with a line of synonyms; empty where nothing is."""
    if "" in names:
        return "has an empty name"
    if len(names) == 1:
        return f"has one name, {names[0]!r}, which says nothing"
    for name in names:
        if name.startswith("#") and not _INDEX.fullmatch(name):
            return f"has {name!r}, which is no number of a class"
        if _plain(name) in seen:
            return f"names {name!r}, which line {seen[_plain(name)]} names already"
    return ""
