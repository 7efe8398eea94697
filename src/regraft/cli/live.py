"""Metrics of a run, a line each, as they are watched in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regraft.reports.words import percent, printable

#: Keys of metrics in the order in which they are read, and how each is written.
_WORDS: dict[str, Callable[[Any], str]] = {
    "epoch": lambda value: f"epoch {value}",
    "step": lambda value: f"step {value:,}",
    "loss": lambda value: f"loss {value:.4f}",
    "val_loss": lambda value: f"val loss {value:.4f}",
    "val_accuracy": lambda value: f"accuracy {percent(value)}",
    "lr": lambda value: f"rate {_rates(value)}",
    "pictures_per_second": lambda value: f"{value:,.1f} pictures/s",
    "data_share": lambda value: f"data {value:.0%}",
    "memory_mb": lambda value: f"{value:,.0f} MB",
    "seconds_left": lambda value: f"{duration(value)} left",
}
#: Keys that are the line's frame.
_FRAME = ("time", "event")


def metrics_line(values: Mapping[str, Any]) -> str:
    """Write one line of metrics: the time, what happened, then what is known best, then the rest."""
    known = [words(values[key]) for key, words in _WORDS.items() if values.get(key) is not None]
    rest = [
        f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {printable(str(value))}"
        for key, value in values.items()
        if key not in (*_WORDS, *_FRAME) and value is not None
    ]
    event = [printable(str(values["event"]))] if "event" in values else []
    return "  ".join([values["time"][11:19], *event, *known, *rest])


def duration(seconds: float) -> str:
    """Write a time that is left, as exactly as it can be foretold."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rates(rates: float | Mapping[str, float]) -> str:
    """Write the rate of each group; of many, those of the lowest and the highest."""
    if not isinstance(rates, Mapping):
        return f"{rates:.3g}"
    if len(set(rates.values())) == 1:
        return f"{next(iter(rates.values())):.3g}"
    if len(rates) <= 3:
        return ", ".join(f"{printable(name)} {rate:.3g}" for name, rate in rates.items())
    return f"{min(rates.values()):.3g} to {max(rates.values()):.3g}"
