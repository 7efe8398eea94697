"""A checkup in plain lines, for a terminal."""

from __future__ import annotations

from regraft.records import Checkup, Example, Finding
from regraft.reports import words
from regraft.reports.findings import gravest_first, number, tally, verdict

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
    hidden = len(finding.examples) - EXAMPLES
    if hidden > 0:
        lines.append(_line("", f"- and {number(hidden, 'more example')}"))
    return lines


def _example(example: Example) -> str:
    keys = ", ".join(example.keys[:KEYS])
    if len(example.keys) > KEYS:
        keys += f" and {len(example.keys) - KEYS} more"
    return ": ".join(filter(None, [keys, example.words]))


def _line(name: str, value: str) -> str:
    return f"{name:<8}  {words.printable(value)}"
