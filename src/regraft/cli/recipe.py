"""`regraft recipe`: what a recipe says and comes to, and which one suits, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from regraft.cli.output import columns, facts, short, with_workspace
from regraft.cli.recipe_check import check
from regraft.cli.recipe_import import import_
from regraft.cli.recipe_rates import find_lr, schedule
from regraft.recipe.writing import format_value
from regraft.reports.words import number
from regraft.workspace.main import Workspace
from regraft.workspace.recipes import Difference, Preset, Said, Shown, Suggested


@click.group()
def recipe() -> None:
    """How to fine-tune: what a recipe says and comes to, and which suits.

    A RECIPE is a TOML file, the name of a preset (`regraft recipe list`), or run:ID, by which a run was done.
    """


for command in (schedule, find_lr, check, import_):
    recipe.add_command(command)


@recipe.command("list")
@with_workspace(
    lambda found: columns(("preset", "is"), [(one.name, one.summary) for one in found], empty="No presets.")
)
def list_(workspace: Workspace) -> list[Preset]:
    """List the presets: recipes that come with Regraft."""
    return workspace.recipes.list()


def show_values(shown: Shown, *, every: bool) -> str:
    """Write a line for each value: those that somebody chose, and then, if asked for, the defaults."""
    chosen = [said for said in shown.values if not said.default]
    usual = [said for said in shown.values if said.default]
    rows = [
        (said.key, short(format_value(said.value)), ", ".join(said.origins))
        for said in (*chosen, *(usual if every else ()))
    ]
    lines = [columns(("key", "value", "from"), rows, empty="Nothing is chosen: every value is a default.")]
    if usual and not every:
        lines += ["", f"{number(len(usual), 'default')} besides; --all shows them, too."]
    return "\n".join(lines)


@recipe.command()
@click.argument("source", metavar="[RECIPE]", required=False)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@click.option("--all", "every", is_flag=True, help="The values that nobody chose, too.")
@click.option("--toml", "as_toml", is_flag=True, help="Print all of it as one file that needs no other.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write that into this file, a new one.")
@with_workspace(
    lambda told: told[0].text.rstrip() if told[2] else show_values(told[0], every=told[1]),
    to_json=lambda told: [_said_to_json(said) for said in told[0].values],
)
def show(
    workspace: Workspace,
    source: str | None,
    *,
    settings: tuple[str, ...],
    every: bool,
    as_toml: bool,
    output: Path | None,
) -> tuple[Shown, bool, bool]:
    """Show what RECIPE says, and where each value came from.

    Without RECIPE, what the defaults and --set come to. `regraft recipe show run:latest -o FILE` writes the
    recipe of a run, by which it can be repeated.
    """
    return workspace.recipes.show(source, settings=settings, output=output), every, as_toml


def _said_to_json(said: Said) -> dict[str, Any]:
    return {"key": said.key, "value": said.value, "origins": list(said.origins), "default": said.default}


def show_differences(found: Sequence[Difference]) -> str:
    """Write a line for each value that differs, and where both came from."""
    rows = [
        (
            one.key,
            *(
                f"{short(format_value(said.value))}  ({', '.join(said.origins)})"
                for said in (one.old, one.new)
            ),
        )
        for one in found
    ]
    return columns(("key", "old", "new"), rows, empty="They say the same.")


@recipe.command()
@click.argument("old")
@click.argument("new")
@with_workspace(show_differences)
def diff(workspace: Workspace, old: str, new: str) -> list[Difference]:
    """Tell in which values the recipes OLD and NEW differ, and where these came from."""
    return workspace.recipes.diff(old, new)


@recipe.command()
@with_workspace(lambda schema: json.dumps(schema, ensure_ascii=False, indent=2))
def schema(workspace: Workspace) -> dict[str, Any]:
    """Print the JSON schema of a recipe file, by which editors complete and check it."""
    return workspace.recipes.schema()


def show_suggested(found: Suggested) -> str:
    """Write the recipe with its reasons, or where it was written and what to type next."""
    if found.path is None:
        return found.text.rstrip()
    rows = [(one.key, short(format_value(one.value)), one.why) for one in found.advice]
    name = found.dataset.partition(":")[0]
    ends = [("written", found.path), ("next", f"regraft finetune {name} --recipe {found.path}")]
    return "\n".join([columns(("key", "value", "why"), rows, empty=""), "", facts(ends)])


@recipe.command()
@click.argument("dataset")
@click.option("--model", help="Begin with this model.  [default: embedded:efficientnet_lite0]")
@click.option("--budget", metavar="TIME", help="What a training may take: 90s, 5m, 1h.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the recipe into this file, a new one."
)
@with_workspace(show_suggested)
def suggest(
    workspace: Workspace, dataset: str, *, model: str | None, budget: str | None, output: Path | None
) -> Suggested:
    """Suggest a recipe for DATASET, a model and this machine, and say why each value."""
    return workspace.recipes.suggest(dataset, model=model, budget=budget, output=output)
