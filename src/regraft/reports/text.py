"""A report in a few plain lines, for a terminal."""

from __future__ import annotations

from regraft.records import ClassScores, Metrics, Report, Training
from regraft.reports import words

#: Classes that are named as the weakest.
WEAKEST = 3


def summary(report: Report) -> str:
    """Write the numbers of a report in at most nine lines, without a colour code.

    Fractions are in percent; the log-loss is in nats, the calibration error a fraction.
    """
    metrics = report.metrics
    bounds = words.interval(metrics.accuracy_interval)
    right = f"{metrics.correct} of {words.pictures(metrics.count)} of split {report.split!r}"
    lines = [_line("accuracy", f"{words.percent(metrics.accuracy)}  (95 % interval {bounds}, {right})")]
    if report.baselines:
        each = (f"{words.printable(b.name)} {words.percent(b.accuracy)}" for b in report.baselines)
        lines.append(_line("baseline", ", ".join(each)))
    lines.append(_line("others", _others(metrics)))
    if report.training is not None:
        lines.append(_line("tuned", _training(report.training)))
    if report.seen:
        lines.append(_line("left out", f"{words.pictures(report.seen)} that the model had learned from"))
    for index, scores in enumerate(_weakest(metrics)):
        lines.append(_line("" if index else "weakest", _recall(scores)))
    return "\n".join(lines)


def _line(name: str, value: str) -> str:
    return f"{name:<8}  {value}"


def _others(metrics: Metrics) -> str:
    return (
        f"balanced accuracy {words.percent(metrics.balanced_accuracy)}"
        f", macro-F1 {words.decimal(metrics.macro_f1)}"
        f", log-loss {words.decimal(metrics.log_loss)}"
        f", calibration error {words.decimal(metrics.calibration_error)}"
    )


def _training(training: Training) -> str:
    """Say by which strategy, how long, and which epoch was taken."""
    count = len(training.epochs)
    taken = f"epoch {training.best}" if training.best else "what it began with"
    if len(training.soup) > 1:
        taken = f"the mean of epochs {', '.join(map(str, sorted(training.soup)))}"
    early = f"; ended early: {training.ended}" if training.ended else ""
    by = f", chosen by {words.pictures(training.chosen_by)}" if training.chosen_by else ""
    return f"{training.strategy}, {words.number(count, 'epoch')}, {taken} taken{by}{early}"


def _weakest(metrics: Metrics) -> list[ClassScores]:
    if len(metrics.classes) <= 2:
        return []
    known = [
        (scores.recall, index)
        for index, scores in enumerate(metrics.classes)
        if scores.recall is not None and scores.recall < 1
    ]
    return [metrics.classes[index] for _, index in sorted(known)[:WEAKEST]]


def _recall(scores: ClassScores) -> str:
    label = words.printable(scores.label)
    return f"{label}: recall {words.percent(scores.recall)} of {words.pictures(scores.support)}"
