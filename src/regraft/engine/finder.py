"""Search for a rate: let it grow from step to step, and see where the loss falls fastest (Smith, 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from statistics import fmean

#: What the running mean of the losses keeps of itself at a step; the search ends where it is so many times
#: its lowest.
KEEPS, DIVERGED = 0.9, 4.0
#: At the lowest loss the rate is about to be too high; a tenth of it is not.
BELOW_LOWEST = 10
#: Losses are smoothed over so many steps to either side, and judged from so many on.
RADIUS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search for a rate gave."""

    #: The rates that were tried, and the smoothed losses at each.
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    #: The rate at which the loss fell fastest; None where it did not fall.
    steepest: float | None
    #: A tenth of the rate at which the loss was lowest; None where it did not fall.
    below_lowest: float | None
    #: The smaller of the two.
    suggestion: float | None


def find(
    step: Callable[[float], float], *, lowest: float = 1e-7, highest: float = 1.0, steps: int = 100
) -> Found:
    """Learn one batch at each of `steps` rates, from the lowest to the highest by equal factors.

    `step` learns at a rate and returns the loss before that. The search ends early where the loss blows up.
    """
    rates: list[float] = []
    losses: list[float] = []
    mean, least = 0.0, inf
    for number in range(steps):
        rate = lowest * (highest / lowest) ** (number / max(steps - 1, 1))
        loss = step(rate)
        mean = KEEPS * mean + (1 - KEEPS) * loss
        running = mean / (1 - KEEPS ** (number + 1))
        least = min(least, running)
        if not isfinite(loss) or running > DIVERGED * least:
            break
        rates.append(rate)
        losses.append(loss)
    return _suggest(rates, _smooth(losses))


def _smooth(losses: Sequence[float]) -> list[float]:
    """Average each with its neighbours, as many on one side as on the other."""
    radii = [min(RADIUS, at, len(losses) - 1 - at) for at in range(len(losses))]
    return [fmean(losses[at - radius : at + radius + 1]) for at, radius in enumerate(radii)]


def _suggest(rates: Sequence[float], losses: Sequence[float]) -> Found:
    slopes = {
        at: (losses[at + 1] - losses[at - 1]) / log(rates[at + 1] / rates[at - 1])
        for at in range(RADIUS, len(rates) - 1)
    }
    fastest = min(slopes, key=lambda at: slopes[at], default=None)
    falls = fastest is not None and slopes[fastest] < 0
    steepest = rates[fastest] if fastest is not None and falls else None
    below = rates[min(slopes, key=lambda at: losses[at])] / BELOW_LOWEST if falls else None
    return Found(
        rates=tuple(rates),
        losses=tuple(losses),
        steepest=steepest,
        below_lowest=below,
        suggestion=min(steepest, below) if steepest and below else None,
    )
