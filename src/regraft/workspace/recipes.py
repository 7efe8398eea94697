"""Recipes: what they come to, and which rate suits them, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from regraft import durable, suggest
from regraft.engine import schedules
from regraft.engine.finder import Found
from regraft.errors import InvalidError, InvalidRecipe
from regraft.progress import Progress
from regraft.recipe import OptimSection, Recipe
from regraft.recipe import read as read_recipe
from regraft.registry import split
from regraft.reports import curve
from regraft.store.opening import Store
from regraft.workspace.datasets import Datasets
from regraft.workspace.ready import make_plan, make_ready

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


class Recipes:
    """What can be asked of a recipe before anything is trained by it."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._datasets = Datasets(store, progress)

    def schedule(
        self,
        recipe: Recipe | str | Path | None = None,
        *,
        settings: Iterable[str] = (),
        pictures: int | None = None,
        steps_per_epoch: int | None = None,
        plot: Path | None = None,
    ) -> Planned:
        """Work out the rates of the trunk and of the head from step to step, without training.

        An epoch has `steps_per_epoch` steps, or as many as so many train `pictures` make in batches of the
        recipe's; 100 where neither is said. `plot` is an SVG file to draw the rates into. Raises
        InvalidRecipe for a schedule or an option that there is not.
        """
        if plot is not None:
            _check_plot(plot)
        plan = read_recipe(recipe, settings)
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

    def find_lr(
        self,
        dataset: str | Path,
        *,
        model: str | None = None,
        strategy: str | None = None,
        recipe: Recipe | str | Path | None = None,
        settings: Iterable[str] = (),
        steps: int = SEARCH_STEPS,
        plot: Path | None = None,
    ) -> FoundRate:
        """Search for the base rate at which the loss falls fastest, on the first steps of a fine-tuning.

        The rate grows from step to step, and the search ends where the loss blows up. There is no run of it,
        and what was learned is forgotten. `dataset`, `model`, `strategy`, `recipe` and `settings` are those
        of `Workspace.finetune`; `plot` is an SVG file to draw the losses into. Raises InvalidRecipe for a
        probe, which is fitted without rates.
        """
        if plot is not None:
            _check_plot(plot)
        if steps < 2:
            raise InvalidError(f"A search cannot have {steps} steps.", hint="Give a number from 2 on.")
        plan = make_plan(recipe, settings, model=model, strategy=strategy)
        if plan.train.strategy == "probe":
            raise InvalidRecipe(
                "A probe is fitted without rates.",
                hint="Choose a strategy that learns: --strategy lp-ft, or full.",
                where="train.strategy",
            )
        ready = make_ready(self._store, self._datasets, dataset, plan, self._progress)
        from regraft.jobs import finding  # torch and timm, which a schedule does without

        found = finding.find(
            self._store,
            model=ready.model,
            dataset=ready.dataset,
            recipe=ready.checked.recipe,
            split=ready.checked.split,
            steps=steps,
            progress=self._progress,
        )
        suggestion = None if found.suggestion is None else float(f"{found.suggestion:.2g}")
        if plot is not None:
            _draw_search(found, suggestion, plot)
        return FoundRate(
            dataset=str(ready.dataset),
            model=str(ready.model),
            strategy=plan.train.strategy,
            rates=found.rates,
            losses=found.losses,
            steepest=found.steepest,
            below_lowest=found.below_lowest,
            suggestion=suggestion,
            setting=None if suggestion is None else f"optim.lr={suggestion:g}",
            plot=plot,
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
    if plan.train.strategy == "probe":
        notes.append("A probe is fitted without rates; another train.strategy learns at these.")
    if name == "plateau":
        notes.append("Drops follow from validation losses, and nobody knows them yet.")
    return notes


def _check_plot(path: Path) -> None:
    if path.suffix.lower() != ".svg":
        raise InvalidError(
            f"{str(path)!r} is no SVG file.", hint="Let its name end in .svg.", where=str(path)
        )


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
