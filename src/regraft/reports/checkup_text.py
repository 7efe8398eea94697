"""A checkup in plain lines, for a terminal."""

from __future__ import annotations

from regraft.records import Checkup, Example, Finding
from regraft.reports import words
from regraft.reports.findings import gravest_first, tally, verdict
from regraft.reports.words import number

#: Examples of a finding, and keys of an example, that are written.
EXAMPLES = 3
KEYS = 4


def summary(checkup: Checkup) -> str:
    """Write the findings of a checkup without a colour code: the gravest first, each with what to do.

    The last lines name the checks that were not made.
    """
    blocks = ["\n".join(_finding(finding)) for finding in gravest_first(checkup)]
    made = number(len(checkup.checked), "check")
    blocks.append(f"{tally(checkup)} ({made} made). {verdict(checkup)}" if blocks else verdict(checkup))
    skipped = [_line("skipped", f"{code}: {reason}") for code, reason in sorted(checkup.skipped.items())]
    if skipped:
        blocks.append("\n".join(skipped))
    return "\n\n".join(blocks)


def _finding(finding: Finding) -> list[str]:
    lines = [_line(finding.severity, finding.title)]
    lines += [_line("", line) for line in finding.advice.splitlines()]
    lines += [_line("", f"- {_example(example)}") for example in finding.examples[:EXAMPLES]]
    if more := _more(finding):
        lines.append(_line("", f"- {more}"))
    return lines


def _more(finding: Finding) -> str:
    """Say how much of a finding is not written.

    Where an example is one picture or file these are counted, for a finding keeps only some of its examples;
    else the examples are.
    """
    if finding.examples and all(len(example.keys) == 1 for example in finding.examples):
        hidden = max(finding.count, len(finding.examples)) - min(EXAMPLES, len(finding.examples))
        return f"and {hidden:,} more" if hidden else ""
    hidden = len(finding.examples) - EXAMPLES
    return f"and {number(hidden, 'more example')}" if hidden > 0 else ""


def _example(example: Example) -> str:
    keys = ", ".join(example.keys[:KEYS])
    if len(example.keys) > KEYS:
        keys += f" and {len(example.keys) - KEYS} more"
    return ": ".join(filter(None, [keys, example.words]))


def _line(name: str, value: str) -> str:
    return f"{name:<8}  {words.printable(value)}"
