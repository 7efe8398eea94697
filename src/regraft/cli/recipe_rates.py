"""`regraft recipe schedule` and `find-lr`: the rates of a training that has not been done."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import click

from regraft.cli.output import columns, facts, with_workspace
from regraft.workspace.main import Workspace
from regraft.workspace.rates import SEARCH_STEPS, STEPS_PER_EPOCH, FoundRate, Planned

#: Lines of rates that a screen has room for; JSON has all.
_LINES = 20


def show_schedule(planned: Planned) -> str:
    """Write the rates at the first step of every epoch and at the last step; steps are counted from 0."""
    rows = [
        (row.epoch, row.step, f"{row.factor:.4g}", f"{row.lr:.4g}", f"{row.head_lr:.4g}")
        for row in planned.rows
    ]
    lines = [columns(("epoch", "step", "factor", "rate", "rate of the head"), rows, empty="")]
    lines += [f"note    {note}" for note in planned.notes]
    if planned.plot is not None:
        lines.append(facts([("drawn", planned.plot)]))
    return "\n".join(lines)


@click.command()
@click.option(
    "--recipe", "path", type=click.Path(path_type=Path), help="Recipe: a TOML file, a preset, run:ID."
)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@click.option("--pictures", type=click.IntRange(min=1), help="Pictures of the train split.")
@click.option(
    "--steps-per-epoch",
    type=click.IntRange(min=1),
    help=f"Steps of an epoch, in place of --pictures.  [default: {STEPS_PER_EPOCH}]",
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the rates into this file (.svg).")
@with_workspace(show_schedule)
def schedule(
    workspace: Workspace,
    path: Path | None,
    settings: tuple[str, ...],
    pictures: int | None,
    steps_per_epoch: int | None,
    plot: Path | None,
) -> Planned:
    """Print the rates of every epoch, for the trunk and for the head, without training."""
    return workspace.recipes.schedule(
        path, settings=settings, pictures=pictures, steps_per_epoch=steps_per_epoch, plot=plot
    )


def show_found(found: FoundRate) -> str:
    """Write the losses at some of the rates, and what to type next."""
    tried = list(zip(found.rates, found.losses, strict=True))
    rows = [(f"{rate:.3g}", f"{loss:.4f}") for rate, loss in tried[:: ceil(len(tried) / _LINES)]]
    pairs: list[tuple[str, object]] = [("rate", "none: the loss did not fall; try more --steps")]
    if found.suggestion is not None:
        pairs = [
            ("steepest", f"{found.steepest:.2g}, where the loss falls fastest"),
            ("lowest", f"{found.below_lowest:.2g}, a tenth of where the loss is lowest"),
            ("rate", f"{found.suggestion:g}, the smaller of the two"),
            ("next", f"--set {found.setting}"),
        ]
    if found.plot is not None:
        pairs.append(("drawn", found.plot))
    return "\n".join([columns(("rate", "loss"), rows, empty=""), "", facts(pairs)])


@click.command("find-lr")
@click.argument("dataset")
@click.option("--model", help="Start from this model: embedded:NAME, timm:NAME, or one of the workspace.")
@click.option("--strategy", help="full, partial, lp-ft, gradual, adapters or scratch.")
@click.option(
    "--recipe", "path", type=click.Path(path_type=Path), help="Recipe: a TOML file, a preset, run:ID."
)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@click.option(
    "--steps", type=click.IntRange(min=2), default=SEARCH_STEPS, show_default=True, help="Rates to try."
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the losses into this file (.svg).")
@with_workspace(show_found)
def find_lr(
    workspace: Workspace,
    dataset: str,
    model: str | None,
    strategy: str | None,
    path: Path | None,
    settings: tuple[str, ...],
    steps: int,
    plot: Path | None,
) -> FoundRate:
    """Search for the base rate at which a fine-tuning on DATASET learns fastest; nothing of it is kept."""
    return workspace.recipes.find_lr(
        dataset,
        model=model,
        strategy=strategy,
        recipe=path,
        settings=settings,
        steps=steps,
        plot=plot,
    )
