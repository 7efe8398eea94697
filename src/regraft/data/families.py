"""Families: pictures that must not stand in different splits, because they look alike or belong together."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from regraft.data import similar
from regraft.errors import InvalidError
from regraft.records import Row

Facts = npt.NDArray[np.void]


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A new picture, and what is known of where it belongs."""

    key: str
    digest: str
    #: Empty where nothing says.
    group: str
    metadata: str
    facts: Facts | None


@dataclass(kw_only=True, slots=True)
class Family:
    """New pictures that belong together, and the old ones that they belong to."""

    members: list[int] = field(default_factory=list)
    #: What the members without a group of their own are stored with.
    name: str = ""
    #: Old rows in the same family: where they stand, the new ones have to go.
    old: list[Row] = field(default_factory=list)


def grouped(
    members: Sequence[Member],
    group_by: str,
    *,
    old_times: Callable[[], Iterable[tuple[int, str]]],
    asked: bool = True,
) -> list[str]:
    """Return the group of each member by a rule: `column:NAME`, `path:REGEX`, `time:SECONDS`, or nothing.

    A group that the source gave comes first. `old_times` tells when the old pictures were taken, and their
    families. Raises InvalidError where the rule cannot be followed, or finds no group though a person has
    `asked` for it now.
    """
    kind, _, words = group_by.partition(":")
    if not group_by:
        found = [""] * len(members)
    elif kind == "column" and words:
        found = [_column(member, words) for member in members]
    elif kind == "path" and words:
        found = [_path(member, _pattern(words)) for member in members]
    elif kind == "time" and words:
        found = _times(members, _seconds(words), old_times())
    else:
        raise InvalidError(
            f"The rule {group_by!r} groups nothing.",
            hint="Write column:NAME, path:REGEX or time:SECONDS.",
            where="group_by",
        )
    if group_by and asked and members and not any(found):
        raise InvalidError(
            f"The rule {group_by!r} finds no group in any picture.",
            hint={
                "column": "Name a column of the list.",
                "path": f"The paths look like {members[0].key!r}.",
            }.get(kind, "The pictures do not say when they were taken (EXIF)."),
            where="group_by",
        )
    return [member.group or group for member, group in zip(members, found, strict=True)]


def families(
    members: Sequence[Member],
    *,
    alike: bool,
    old_of_group: Callable[[set[str]], Iterable[Row]],
    old_alike: Callable[[Facts], Iterable[tuple[int, Row]]],
) -> list[Family]:
    """Join members that share a group or, where `alike`, look alike, with each other and with old rows.

    `old_of_group` finds the old rows of some families; `old_alike` finds, for facts of members, which of
    them looks like which old row.
    """
    union = _Union(len(members))
    first: dict[str, int] = {}
    for number, member in enumerate(members):
        if member.group:
            union.join(first.setdefault(member.group, number), number)
    seen = [n for n, member in enumerate(members) if member.facts is not None] if alike else []
    relatives: list[tuple[int, Row]] = []
    if seen:
        facts = _stacked([one for number in seen if (one := members[number].facts) is not None])
        for one, other in similar.near(facts):
            union.join(seen[one], seen[other])
        relatives = [(seen[n], row) for n, row in old_alike(facts)]
    old: dict[str, dict[str, Row]] = defaultdict(dict)  # a row of each split stands for all
    for row in old_of_group(set(first)):
        old[row.family].setdefault(row.split, row)
    found: dict[int, Family] = {}
    for number in range(len(members)):
        family = found.setdefault(union.root(number), Family())
        family.members.append(number)
        family.old += old.get(members[number].group, {}).values()
    for number, row in relatives:
        found[union.root(number)].old.append(row)
    for family in found.values():
        family.name = _name(family, members)
    return list(found.values())


def _stacked(facts: Sequence[Facts]) -> Facts:
    result = np.zeros(len(facts), facts[0].dtype)
    for place, one in enumerate(facts):  # numpy's own would compare their fields one by one
        result[place] = one
    return result


def _name(family: Family, members: Sequence[Member]) -> str:
    if family.old:
        return family.old[0].family
    if group := next(filter(None, (members[number].group for number in family.members)), ""):
        return group
    if len(family.members) > 1:
        return f"~{min(members[number].digest for number in family.members)[:16]}"
    return ""


def _column(member: Member, name: str) -> str:
    value = json.loads(member.metadata).get(name)
    return "" if value in (None, "") else f"{name}={value}"


def _path(member: Member, pattern: re.Pattern[str]) -> str:
    match = pattern.search(member.key)
    if not match:
        return ""
    return "path=" + ("|".join(part or "" for part in match.groups()) if match.groups() else match[0])


def _pattern(words: str) -> re.Pattern[str]:
    try:
        return re.compile(words)
    except re.error as error:
        raise InvalidError(
            f"{words!r} is no regular expression: {error}.", hint="Such as path:(.*)_[0-9]+", where="group_by"
        ) from None


def _seconds(words: str) -> float:
    try:
        seconds = float(words)
    except ValueError:
        seconds = -1
    if not seconds > 0:
        raise InvalidError(f"{words!r} is no number of seconds.", hint="Such as time:60", where="group_by")
    return seconds


def _times(members: Sequence[Member], gap: float, old: Iterable[tuple[int, str]]) -> list[str]:
    """Cut the pictures, in order of the time they were taken, wherever nothing was taken for so long."""
    taken = [(int(member.facts["taken"]), n) for n, member in enumerate(members) if member.facts is not None]
    moments = sorted([*((time, n, "") for time, n in taken), *((time, -1, family) for time, family in old)])
    found = [""] * len(members)
    burst: list[tuple[int, int, str]] = []
    for moment in [*(moment for moment in moments if moment[0]), None]:
        if burst and (moment is None or moment[0] - burst[-1][0] > gap):
            name = next((family for _, _, family in burst if family), f"time={burst[0][0]}")
            for _, number, family in burst:
                if not family:
                    found[number] = name
            burst = []
        if moment is not None:
            burst.append(moment)
    return found


class _Union:
    """Disjoint sets of numbers; the smallest stands for its set."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parents[high] = low
