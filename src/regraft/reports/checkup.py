"""A checkup of a dataset as one self-contained page: the gravest findings first, with their pictures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from regraft.records import Checkup, Example, Finding
from regraft.reports.findings import gravest_first, silent, tally, verdict
from regraft.reports.templates import environment
from regraft.reports.words import number

#: Pictures of one example that are drawn; of the others the page writes the keys.
DRAWN = 8

#: What stands in `...` in a sentence is typed, not read.
TYPED = re.compile(r"`([^`\n]+)`")


def render(checkup: Checkup, thumbnails: Mapping[str, str], *, facts: Sequence[tuple[str, str]]) -> str:
    """Draw the page of a checkup.

    `thumbnails` holds `data:` URIs by picture digest (`gallery.encode`), of which `pictured` says which are
    wanted; a picture without one gets a grey box, or a line where a finding has none at all. `facts` stand
    at the top, in their order. Names are hostile text: all of it is escaped.
    """
    return (
        environment()
        .get_template("checkup.html.j2")
        .render(
            checkup=checkup,
            facts=facts,
            findings=[_shown(finding, thumbnails) for finding in gravest_first(checkup)],
            tally=tally(checkup),
            verdict=verdict(checkup),
            grave=any(finding.severity != "note" for finding in checkup.findings),
            silent=silent(checkup),
            number=number,
            typed=TYPED.split,
            thumbnails=thumbnails,
            dataset=shlex.quote(checkup.dataset_ref.partition(":")[0]),
        )
    )


def pictured(checkup: Checkup) -> tuple[str, ...]:
    """Return the digests of the pictures that the page draws, each once."""
    drawn = (
        digest
        for finding in checkup.findings
        for example in finding.examples
        for digest in example.digests[: min(len(example.keys), DRAWN)]
        if digest
    )
    return tuple(dict.fromkeys(drawn))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Together:
    """Pictures that are to be seen side by side."""

    words: str
    #: Key and digest of each; the digest is empty where it is not known.
    pictures: list[tuple[str, str]]
    #: Keys of those that are not drawn.
    others: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """A finding, and its examples by how they are drawn."""

    finding: Finding
    alone: list[_Together]
    together: list[_Together]
    #: Of the examples without a picture, such as names of classes or files that cannot be read.
    words: list[str]


def _shown(finding: Finding, thumbnails: Mapping[str, str]) -> _Shown:
    """Sort the examples; a row of grey boxes says nothing, so files without any preview become a list."""
    single = [example for example in finding.examples if len(example.keys) == 1]
    previews = any(digest in thumbnails for example in single for digest in example.digests)
    listed = [
        example for example in finding.examples if not example.keys or (example in single and not previews)
    ]
    return _Shown(
        finding=finding,
        alone=[_side_by_side(example) for example in single] if previews else [],
        together=[_side_by_side(example) for example in finding.examples if len(example.keys) > 1],
        words=[": ".join(filter(None, [*example.keys, example.words])) for example in listed],
    )


def _side_by_side(example: Example) -> _Together:
    pictures = list(zip_longest(example.keys, example.digests[: len(example.keys)], fillvalue=""))
    return _Together(words=example.words, pictures=pictures[:DRAWN], others=example.keys[DRAWN:])
