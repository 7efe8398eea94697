"""The entry point: commands are imported when called, errors become one sentence and an exit code."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import NoReturn

import click

from regraft.errors import RegraftError, Terminated

#: Every command, the module that holds it, and what `regraft --help` says of it.
COMMANDS = {
    "finetune": ("regraft.cli.finetune", "Fine-tune a pretrained model on DATASET and measure it."),
    "predict": ("regraft.cli.predict", "Name what is in each PICTURE, with MODEL."),
    "explain": ("regraft.cli.explain", "Explain what MODEL says of each PICTURE, on a page and in words."),
    "evaluate": ("regraft.cli.evaluate", "Measure MODEL on DATASET."),
    "dataset": ("regraft.cli.dataset", "Labelled pictures in versions that never change."),
    "model": ("regraft.cli.model", "Pretrained and fine-tuned models."),
    "run": ("regraft.cli.run", "What was executed, and what became of it."),
    "recipe": ("regraft.cli.recipe", "How to fine-tune: what a recipe says and comes to, and which suits."),
    "report": ("regraft.cli.report", "What evaluations gave."),
    "store": ("regraft.cli.store", "What the workspace keeps on disk: verify it, clean it up."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List what the commands do without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="regraft", message="regraft %(version)s")
def cli() -> None:
    """Fine-tune a pretrained vision model on your own pictures.

    Begin with:  regraft finetune photos/   (a folder with one folder of pictures for each class)
    """


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, or stopped on request, 2 usage, 3 not found,
    4 conflict, 5 invalid input, 6 integrity, 7 not allowed, 130 interrupted, 143 terminated.
    """
    try:
        result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        _end_interrupted(error.__cause__ or error)  # click raises Abort from what it was
    except RegraftError as error:
        _show(error)
        sys.exit(error.exit_code)
    sys.exit(result if isinstance(result, int) else 0)


def _end_interrupted(error: BaseException) -> NoReturn:
    terminated = isinstance(error, Terminated)
    word = "Terminated" if terminated else "Interrupted"
    advice = "; ".join(_notes(error)) or "Nothing half-written is kept; run the command again to go on."
    click.echo(f"{word}. {advice}", err=True)
    sys.exit(143 if terminated else 130)


def _notes(error: BaseException) -> list[str]:
    """Return what was noted of an error on its way up: how to resume a run."""
    return getattr(error, "__notes__", [])


def _show(error: RegraftError) -> None:
    if "--json" in sys.argv[1:]:
        facts: dict[str, object] = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
        facts |= {"notes": notes} if (notes := _notes(error)) else {}
        click.echo(json.dumps(facts, ensure_ascii=False), err=True)
        return
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {error}", err=True)
    if error.hint:
        click.echo(f"{click.style('Try:', bold=True)}   {error.hint}", err=True)
    for note in _notes(error):
        click.echo(note, err=True)
