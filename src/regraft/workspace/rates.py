"""The rates of a training that has not been done: worked out, searched for, and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from regraft import durable, suggest
from regraft.engine import schedules
from regraft.engine.finder import Found
from regraft.errors import InvalidError, InvalidRecipe
from regraft.progress import Progress
from regraft.recipe import OptimSection, Recipe
from regraft.registry import split
from regraft.reports import curve
from regraft.store.opening import Store
from regraft.workspace.ready import Ready

#: Steps of an epoch where nobody says how many there are.
STEPS_PER_EPOCH = 100
#: Steps of a search for a rate where nobody says how many there are.
SEARCH_STEPS = 100
#: Points of a drawn line.
_POINTS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """The rates of a training that has not been done."""

    epochs: int
    steps_per_epoch: int
    #: At the first step of every epoch, and at the last step.
    rows: tuple[schedules.Row, ...]
    #: What the rows do not show.
    notes: tuple[str, ...]
    #: The drawing, where one was asked for.
    plot: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRate:
    """A rate for a training that has not been done."""

    #: Refs of what was tried on each other.
    dataset: str
    model: str
    strategy: str
    #: The rates that were tried, and the smoothed losses at each.
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    #: The rate at which the loss fell fastest, and a tenth of that at which it was lowest; None where it did
    #: not fall.
    steepest: float | None
    below_lowest: float | None
    #: The smaller of the two, in two digits, and the setting that says so to a fine-tuning.
    suggestion: float | None
    setting: str | None
    #: The drawing, where one was asked for.
    plot: Path | None


def plan_rates(
    plan: Recipe, *, pictures: int | None, steps_per_epoch: int | None, plot: Path | None
) -> Planned:
    """Work out the rates of a recipe from step to step."""
    per_epoch = _steps(plan, pictures, steps_per_epoch)
    optim = suggest.rates(plan.optim, plan.train)
    schedule = schedules.build(optim, steps_per_epoch=per_epoch, epochs=plan.train.epochs)
    if plot is not None:
        _draw(schedule, optim, plot)
    return Planned(
        epochs=plan.train.epochs,
        steps_per_epoch=per_epoch,
        rows=tuple(_rows(schedule, optim)),
        notes=tuple(_notes(plan)),
        plot=plot,
    )


def check_search(plan: Recipe, steps: int) -> None:
    """Raise InvalidRecipe for a recipe without rates, InvalidError for a search without a second step."""
    if steps < 2:
        raise InvalidError(f"A search cannot have {steps} steps.", hint="Give a number from 2 on.")
    if not plan.train.tunes:
        raise InvalidRecipe(
            "A probe is fitted without rates.",
            hint="Choose a strategy that learns: --strategy lp-ft, or full.",
            where="train.strategy",
        )


def search(store: Store, ready: Ready, *, steps: int, plot: Path | None, progress: Progress) -> FoundRate:
    """Search for the rate at which the loss falls fastest."""
    from regraft.jobs import finding  # torch and timm, which a schedule does without

    found = finding.find(
        store,
        model=ready.model,
        dataset=ready.dataset,
        recipe=ready.checked.recipe,
        split=ready.checked.split,
        steps=steps,
        progress=progress,
    )
    suggestion = None if found.suggestion is None else float(f"{found.suggestion:.2g}")
    if plot is not None:
        _draw_search(found, suggestion, plot)
    return FoundRate(
        dataset=str(ready.dataset),
        model=str(ready.model),
        strategy=ready.checked.recipe.train.strategy,
        rates=found.rates,
        losses=found.losses,
        steepest=found.steepest,
        below_lowest=found.below_lowest,
        suggestion=suggestion,
        setting=None if suggestion is None else f"optim.lr={suggestion:g}",
        plot=plot,
    )


def check_plot(path: Path | None) -> None:
    """Raise InvalidError where a drawing could not be written."""
    if path is not None and path.suffix.lower() != ".svg":
        raise InvalidError(
            f"{str(path)!r} is no SVG file.", hint="Let its name end in .svg.", where=str(path)
        )


def _steps(plan: Recipe, pictures: int | None, steps_per_epoch: int | None) -> int:
    if pictures is not None and steps_per_epoch is not None:
        raise InvalidError("Steps per epoch follow from the pictures.", hint="Say one of the two.")
    if any(number is not None and number < 1 for number in (pictures, steps_per_epoch)):
        raise InvalidError(
            "An epoch has at least one picture, and one step.", hint="Give a number from 1 on."
        )
    if pictures is not None:
        return ceil(pictures / plan.train.batch_size)  # the last batch may be smaller
    return steps_per_epoch or STEPS_PER_EPOCH


def _rows(schedule: schedules.Schedule, optim: OptimSection, most: int | None = None) -> list[schedules.Row]:
    if optim.lr == "auto" or optim.head_lr_scale == "auto":
        raise ValueError("a rate is still open")
    return schedules.table(schedule, lr=optim.lr, head_lr_scale=optim.head_lr_scale, most=most)


def _notes(plan: Recipe) -> list[str]:
    name, _ = split(plan.optim.schedule, where="optim.schedule")
    notes = []
    if not plan.train.tunes:
        notes.append("A probe is fitted without rates; another train.strategy learns at these.")
    if name == "plateau":
        notes.append("Drops follow from validation losses, and nobody knows them yet.")
    return notes


def _draw_search(found: Found, suggestion: float | None, path: Path) -> None:
    lines = [curve.Line(name="loss", points=tuple(zip(found.rates, found.losses, strict=True)))]
    if suggestion is not None:
        upright = ((suggestion, 0.0), (suggestion, max(found.losses)))
        lines.append(curve.Line(name="suggestion", points=upright))
    drawn = curve.draw(lines, title="Loss over rates", across="base rate", up="loss", log=True)
    durable.swap(path, drawn.encode())


def _draw(schedule: schedules.Schedule, optim: OptimSection, path: Path) -> None:
    rows = _rows(schedule, optim, most=_POINTS)
    per_epoch = schedule.span.steps_per_epoch
    lines = [curve.Line(name="trunk", points=tuple((row.step / per_epoch, row.lr) for row in rows))]
    if optim.head_lr_scale != 1:
        lines.append(
            curve.Line(name="head", points=tuple((row.step / per_epoch, row.head_lr) for row in rows))
        )
    name, _ = split(optim.schedule, where="optim.schedule")
    durable.swap(path, curve.draw(lines, title=f"Schedule {name}", across="epochs", up="rate").encode())
