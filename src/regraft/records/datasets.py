"""What is stored of pictures: rows, versions of a dataset, and what a checkup found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from regraft.records.base import Record

#: From grave to mild: numbers cannot be trusted, something should be looked at, good to know.
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One labelled picture of a dataset version, and where its bytes lie."""

    #: The picture's name inside the dataset: its path below the folder it came from.
    key: str
    digest: str
    pack: str
    offset: int
    length: int
    label: str
    split: str
    #: Pictures of one group never stand in different splits.
    group: str = ""
    #: In pixels, as a person sees the picture (EXIF orientation applied).
    width: int
    height: int
    #: Anything else that came with the picture, as a JSON object.
    metadata: str = "{}"

    @property
    def family(self) -> str:
        """The group that the picture belongs to; of one without a group, itself."""
        return self.group or f"~{self.digest[:16]}"


class Refused(Record):
    """A file that cannot be used, and why."""

    key: str
    reason: str
    #: Of the bytes, where they could be read.
    digest: str = ""
    #: The class that the file would belong to.
    label: str = ""


class Correction(Record):
    """What a person changed by hand about one picture; it holds when the same source is added again."""

    digest: str
    key: str
    change: Literal["label", "split", "dropped"]
    #: What the source said, and what holds instead; empty where the picture was dropped.
    old: str = ""
    new: str = ""


class SplitRule(Record):
    """How pictures without a split get one."""

    #: Fractions of train, val and test; empty where the source gave the splits itself.
    fractions: dict[str, float]
    seed: int
    #: What keeps pictures together: `column:NAME`, `path:REGEX` or `time:SECONDS`; empty: nothing but looks.
    group_by: str = ""
    #: Whether pictures that look alike are kept together.
    similar: bool = True


class Segment(Record):
    """A part of a dataset's rows: a table of its own, which versions share."""

    digest: str
    #: How many rows it has.
    count: int


class DatasetVersion(Record):
    """The manifest of one version of a dataset."""

    #: Digest of the version before; None for the first.
    parent: str | None
    labels: tuple[str, ...]
    #: Pictures by split and label; the splits are those that the version has.
    splits: dict[str, dict[str, int]]
    split_rule: SplitRule
    count: int
    #: The row tables, in order.
    segments: tuple[Segment, ...]
    packs: tuple[str, ...]
    #: Bytes of all pictures.
    size: int
    #: Digest of the list of refused files; None where there are none.
    refused: str | None
    refused_count: int
    #: Digest of the list of corrections made by hand; None where there are none.
    corrections: str | None = None

    def split_sizes(self) -> dict[str, int]:
        """Return how many pictures each split has, in the order train, val, test."""
        order = ("train", "val", "test")
        return {split: sum(self.splits[split].values()) for split in order if split in self.splits}


class Example(Record):
    """Pictures that show what a finding means: one, or several that belong together."""

    keys: tuple[str, ...]
    digests: tuple[str, ...]
    #: What is to be seen in these.
    words: str


class Finding(Record):
    """Something that the doctor found in a dataset."""

    #: Such as `near-duplicates`.
    code: str
    severity: Severity
    #: What was found, one sentence.
    title: str
    #: How many pictures, pairs or classes it concerns.
    count: int
    #: What to do about it.
    advice: str
    examples: tuple[Example, ...]


class Checkup(Record):
    """What the doctor said of one version of a dataset."""

    dataset_ref: str
    #: Digest of the version.
    dataset: str
    #: The gravest first.
    findings: tuple[Finding, ...]
    #: Codes of the checks that were made, and of those that were not, with the reason.
    checked: tuple[str, ...]
    skipped: dict[str, str]
