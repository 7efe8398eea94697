"""Gates: what a number has to reach, in words such as `accuracy >= 0.9` or `no class drops > 2 points`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regraft.errors import InvalidError, did_you_mean
from regraft.records import ClassScores, Metrics

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(
    r"(?P<name>\w+)(?:\[(?P<label>.+)\])?(?:\.(?P<end>low|high))?\s*(?P<operator>>=|<=|>|<)"
    r"\s*(?P<number>-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|-?\.\d+)\s*(?P<percent>%?)",
    re.DOTALL,
)
_DROP = re.compile(
    r"(?P<subject>no class|\w+) drops (?P<operator>>=|<=|>|<)\s*(?P<number>\d+(?:\.\d*)?|\.\d+)(?: points?)?",
    re.IGNORECASE,
)
_TOP = re.compile(r"top_(\d+)_accuracy")
#: What a report has numbers of, as a whole and of each class.
_OF_ALL = tuple(
    name for name, field in Metrics.model_fields.items() if field.annotation in (int, float, float | None)
)
_OF_CLASSES = ("precision", "recall", "f1", "support", "roc_auc", "average_precision")
_HINT = (
    "Write `accuracy >= 0.9`, `macro_f1.low > 80 %`, `recall[cat] >= 0.8`, `accuracy drops <= 1 point` or "
    "`no class drops > 2 points`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether a gate is passed, and the numbers that say so."""

    gate: str
    passed: bool
    #: Such as `accuracy is 0.929`.
    found: str


def judge(gates: Sequence[str], metrics: Metrics, before: Metrics | None = None) -> tuple[Verdict, ...]:
    """Return whether metrics pass gates; drops are against those `before`.

    Raises InvalidError for words that are no gate, for a number that there is not, and for a drop where there
    is nothing before.
    """
    return tuple(_judge(gate.strip(), metrics, before) for gate in gates)


def check(gates: Sequence[str], labels: Sequence[str]) -> None:
    """Raise InvalidError for what cannot be judged of one report, before anything is spent on its numbers.

    Those are words that are no gate, numbers and classes that there are not, and drops.
    """
    for gate in map(str.strip, gates):
        if _DROP.fullmatch(gate):
            raise _no_drop(gate)
        found = _bound(gate)
        if found["label"] is not None:
            _class(gate, found["label"], labels)
            _known(gate, found["name"], _OF_CLASSES)
        elif not _TOP.fullmatch(found["name"]):
            _known(gate, found["name"], _OF_ALL)


def _no_drop(gate: str) -> InvalidError:
    return InvalidError(
        f"There is nothing that {gate!r} could be a drop from.",
        hint="Compare two reports: regraft report compare OLD NEW --require ...",
        where=gate,
    )


def _bound(gate: str) -> re.Match[str]:
    if not (found := _BOUND.fullmatch(gate)):
        raise InvalidError(f"{gate!r} is no requirement.", hint=_HINT, where=gate)
    return found


def _class(gate: str, words: str, labels: Sequence[str]) -> str:
    """Return the class that words name, with quotes around it or without."""
    bare = words.strip().strip("'\"")
    found = next((label for label in (words, words.strip(), bare) if label in labels), None)
    if found is None:
        raise InvalidError(
            f"There is no class {bare!r}.", hint=did_you_mean(bare, labels, otherwise=_HINT), where=gate
        )
    return found


def _known(gate: str, name: str, numbers: Sequence[str]) -> None:
    if name not in numbers:
        raise InvalidError(
            f"There is no number {name!r}.",
            hint=did_you_mean(name, numbers, otherwise=f"There is {', '.join(sorted(numbers))}."),
            where=gate,
        )


def _judge(gate: str, metrics: Metrics, before: Metrics | None) -> Verdict:
    if found := _DROP.fullmatch(gate):
        if before is None:
            raise _no_drop(gate)
        return _drop(gate, found, metrics, before)
    found = _bound(gate)
    value, words = _value(gate, found, metrics)
    bound = float(found["number"]) / (100 if found["percent"] else 1)
    passed = value is not None and _OPERATORS[found["operator"]](value, bound)
    return Verdict(gate=gate, passed=passed, found=f"{words} is {_said(value)}")


def _value(gate: str, found: re.Match[str], metrics: Metrics) -> tuple[float | None, str]:
    """Return the number that a gate names, and its name."""
    name, label, end = found["name"], found["label"], found["end"]
    source: Metrics | ClassScores = metrics
    words = name
    if label is not None:
        _known(gate, name, _OF_CLASSES)
        names = [one.label for one in metrics.classes]
        source = metrics.classes[names.index(_class(gate, label, names))]
        words = f"{name} of {source.label!r}"
    elif not _TOP.fullmatch(name):
        _known(gate, name, _OF_ALL)
    if end is not None:
        bounds = source.intervals.get(name)  # of a few pictures there is none, and nothing is shown
        return None if bounds is None else getattr(bounds, end), f"the {end} end of {words}"
    if top := _TOP.fullmatch(name):
        return metrics.top_k_accuracy.get(top[1]), words
    return getattr(source, name), words


def _drop(gate: str, found: re.Match[str], metrics: Metrics, before: Metrics) -> Verdict:
    """Judge a drop, in points: hundredths of a number, a log-loss too."""
    limit = float(found["number"]) / 100
    compare = _OPERATORS[found["operator"]]
    if found["subject"].lower() == "no class":
        was = {one.label: one.recall for one in before.classes if one.recall is not None}
        drops = {
            one.label: was[one.label] - one.recall
            for one in metrics.classes
            if one.recall is not None and one.label in was
        }
        worst = max(drops, key=lambda label: drops[label], default="")
        fallen = [label for label, drop in drops.items() if compare(round(drop, 12), limit)]
        words = (
            f"recall of {worst!r} fell by {drops[worst] * 100:.1f} points" if drops else "no class is in both"
        )
        return Verdict(gate=gate, passed=not fallen, found=words)
    name = found["subject"]
    old, new = (getattr(one, name, None) for one in (before, metrics))
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        raise InvalidError(f"There is no number {name!r} in both.", hint=_HINT, where=gate)
    drop = old - new
    return Verdict(
        gate=gate,
        passed=compare(round(drop, 12), limit),
        found=f"{name} fell by {drop * 100:.1f} points" if drop > 0 else f"{name} did not fall",
    )


def _said(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"
