"""The model card of a page: what a model is for, how good it is, and where it ends."""

from __future__ import annotations

from regraft.records import ClassScores, Metrics, Report, SliceScores, Trust
from regraft.reports import words


def facts(
    report: Report, *, trust: Trust | None = None, source: str = "", licence: str = ""
) -> list[tuple[str, str]]:
    """Return the lines of the card, each with its title.

    `trust` is what the model knows of its limits, `source` where its pretrained weights came from, and
    `licence` under which these may be used.
    """
    metrics = report.metrics
    count = words.classes(len(report.labels))
    learned = report.learning or report.training
    lines = [
        (
            "Intended use",
            f"To tell {count} of whole pictures apart, on pictures like those that it was measured on.",
        ),
        (
            "Not for",
            f"Pictures of anything else: {_elsewhere(trust)} Decisions about people, without a person who "
            "looks.",
        ),
        (
            "Measured on",
            f"{report.dataset_ref}, split {report.split}: {words.pictures(metrics.count)}",
        ),
        ("Metrics", _metrics(metrics)),
        *([("Weakest class", _class(weakest))] if (weakest := _weakest_class(metrics)) else []),
        *([("Weakest slice", _slice(part))] if (part := _weakest_slice(report)) else []),
        ("Limits", " ".join(_limits(trust))),
    ]
    if learned:
        lines.append(("Learned from", words.pictures(learned.pictures)))
    if source:
        lines.append(("Pretrained weights", source + (f", licence {licence}" if licence else "")))
    return lines


def _elsewhere(trust: Trust | None) -> str:
    if trust is None or trust.threshold is None:
        return "it names one of its classes whatever is shown."
    return (
        "it names one of its classes whatever is shown, and `regraft predict` marks as `unknown` what lies "
        "far from the pictures that it learned from, which need not be all of it."
    )


def _metrics(metrics: Metrics) -> str:
    error = metrics.intervals.get("calibration_error")
    beside = f" (95 % interval {words.decimal(error.low)} to {words.decimal(error.high)})" if error else ""
    return (
        f"Accuracy {words.percent(metrics.accuracy)} (95 % interval "
        f"{words.interval(metrics.accuracy_interval)}), calibration error "
        f"{words.decimal(metrics.calibration_error)}{beside}"
    )


def _weakest_class(metrics: Metrics) -> ClassScores | None:
    """Return the class with the lowest recall; None where there is no lowest one."""
    known = sorted(
        (scores.recall, place) for place, scores in enumerate(metrics.classes) if scores.recall is not None
    )
    if len(known) < 2 or known[0][0] == known[1][0]:
        return None
    return metrics.classes[known[0][1]]


def _class(scores: ClassScores) -> str:
    bounds = scores.intervals.get("recall")
    beside = f" (95 % interval {words.interval(bounds)})" if bounds else ""
    return (
        f"{scores.label}: recall {words.percent(scores.recall)} of {words.pictures(scores.support)}{beside}"
    )


def _weakest_slice(report: Report) -> SliceScores | None:
    """Return the part that fares worse than the rest by more than chance, and worst; None where none does."""
    worse = [part for part in report.slices if part.distinct and part.accuracy < part.rest]
    return min(worse, key=lambda part: part.accuracy, default=None)


def _slice(part: SliceScores) -> str:
    return (
        f"{part.name}: accuracy {words.percent(part.accuracy)} of {words.pictures(part.count)} (95 % "
        f"interval {words.interval(part.interval)}), against {words.percent(part.rest)} of all others"
    )


def _limits(trust: Trust | None) -> list[str]:
    if trust is None:
        return [
            "Nothing is known of them: it was not measured on pictures that were held out when it was made, "
            "so it cannot say `unknown`, nor how many names it takes to be right so often."
        ]
    held = words.pictures(trust.pictures)
    most = 100 * trust.pictures // (trust.pictures + 1)  # (n + 1) * coverage may be n at most
    can = (
        "It can say `unknown` of a picture unlike those that it learned from."
        if trust.threshold is not None
        else f"It cannot say `unknown`: {held} held out when it was made are too few to tell what is strange."
    )
    return [
        can,
        f"Sets of names (`regraft predict --coverage`) rest on {held} that it had not learned from, which "
        f"can promise a coverage of {most / 100:.2f} at most.",
    ]
