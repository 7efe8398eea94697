"""The doctor: everything that is looked for in a dataset, in one pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

from regraft.data.checks.classes import check_counts, check_names, check_splits
from regraft.data.checks.copies import check_exact_copies, check_groups, check_look_alikes
from regraft.data.checks.labels import check_labels, why_not
from regraft.data.checks.patient import Patient
from regraft.data.checks.quality import check_pictures, check_unreadable
from regraft.data.checks.shortcuts import check_files, check_grey
from regraft.progress import Progress
from regraft.records import Finding, Severity

__all__ = ["CHECKS", "Patient", "examine"]

#: What is looked for by each check.
CHECKS: tuple[tuple[tuple[str, ...], Callable[[Patient], Iterator[Finding]]], ...] = (
    (("exact-duplicates",), check_exact_copies),
    (("leakage", "conflicting-labels", "near-duplicates"), check_look_alikes),
    (("parted-groups",), check_groups),
    (("few-pictures", "imbalance"), check_counts),
    (("unknown-in-split", "missing-in-split"), check_splits),
    (("name-clash",), check_names),
    (("grey-only-class",), check_grey),
    (("size-correlated", "format-correlated", "orientation"), check_files),
    (("unreadable",), check_unreadable),
    (("tiny", "blank", "dark", "overexposed", "blurred", "odd-aspect"), check_pictures),
    (("wrong-labels",), check_labels),
)


def examine(
    patient: Patient, *, progress: Progress
) -> tuple[tuple[Finding, ...], tuple[str, ...], dict[str, str]]:
    """Return what was found, the gravest first; the codes of the checks made; and why others were not."""
    found: list[Finding] = []
    checked: list[str] = []
    skipped = {"wrong-labels": reason} if (reason := why_not(patient)) else {}
    for done, (codes, check) in enumerate(CHECKS, start=1):
        if not skipped.keys() & set(codes):
            found += check(patient)
            checked += codes
        progress("Examining the dataset", done, len(CHECKS))
    found.sort(key=lambda finding: get_args(Severity).index(finding.severity))
    return tuple(found), tuple(checked), skipped
