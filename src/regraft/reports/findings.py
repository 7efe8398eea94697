"""How findings are ordered, counted and judged: the same on the page and in the terminal."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from regraft.records import Checkup, Finding, Severity
from regraft.reports.words import number

#: From grave to mild.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

VERDICTS: dict[Severity, str] = {
    "error": "Numbers measured on this dataset cannot be trusted until the errors are mended.",
    "warning": "Nothing here spoils the numbers for certain, but look at the warnings before training.",
    "note": "Nothing here has to be mended; the notes are good to know.",
}


def gravest_first(checkup: Checkup) -> list[Finding]:
    """Return the findings by severity; those of one severity keep their order."""
    return sorted(checkup.findings, key=lambda finding: SEVERITIES.index(finding.severity))


def tally(checkup: Checkup) -> str:
    """Count the findings by severity: `2 errors, 1 note`; empty where there are none."""
    counts = Counter(finding.severity for finding in checkup.findings)
    return ", ".join(number(counts[word], word) for word in SEVERITIES if counts[word])


def verdict(checkup: Checkup) -> str:
    """Say in one sentence what the findings mean for the dataset."""
    findings = gravest_first(checkup)
    if findings:
        return VERDICTS[findings[0].severity]
    return f"No findings: {number(len(checkup.checked), 'check')} made."


def silent(checkup: Checkup) -> list[str]:
    """Return the codes of the checks that were made and found nothing, in their order."""
    loud = {finding.code for finding in checkup.findings}
    return [code for code in checkup.checked if code not in loud]
