"""`regraft explain`: why does a model say what it says of these pictures?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from regraft.cli.output import facts, plain, short, with_workspace
from regraft.cli.predict import to_json as predictions
from regraft.errors import InvalidPicture
from regraft.records import Explanation
from regraft.reports.explanation import FLAGS, where
from regraft.workspace.main import ExplainResult, Workspace


def show(result: ExplainResult) -> str:
    """Write a paragraph for each picture, and where the page is."""
    parts = [facts(_facts(item)) for item in result.explanations]
    return "\n\n".join([*parts, facts([("page", result.page)])])


def to_json(result: ExplainResult) -> dict[str, Any]:
    """Return the explanations as JSON; the prediction of each looks as that of `regraft predict`."""
    told = predictions([item.prediction for item in result.explanations])
    return {
        "explanations": [
            {**plain(item), "prediction": said} for item, said in zip(result.explanations, told, strict=True)
        ],
        "page": str(result.page),
    }


def exit_code(result: ExplainResult) -> int:
    """Return 5 where a picture that was named by itself could not be read."""
    named = {str(Path(words)) for words in click.get_current_context().params["pictures"]}
    told = [item.prediction for item in result.explanations]
    return InvalidPicture.exit_code if any(i.error and i.picture in named for i in told) else 0


@click.command()
@click.argument("model")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option(
    "--label", help="Look for what speaks for this label.  [default: of each picture the likeliest]"
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="How often the true label is to be in the set.",
)
@click.option(
    "--nearest", type=click.IntRange(min=0), default=6, show_default=True, help="Pictures like each, at most."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page here: FILE.html."
)
@with_workspace(show, to_json=to_json, exit_code=exit_code)
def explain(
    workspace: Workspace,
    model: str,
    pictures: Sequence[str],
    label: str | None,
    coverage: float,
    nearest: int,
    out: Path | None,
) -> ExplainResult:
    """Explain what MODEL says of each PICTURE, on a page and in words.

    Where in the picture it looks, which of the pictures that it learned from are like it, which labels it
    may be, and whether it is like any of them at all.
    """
    return workspace.explain(model, pictures, label=label, coverage=coverage, nearest=nearest, out=out)


def _facts(item: Explanation) -> list[tuple[str, object]]:
    told = item.prediction
    lines: list[tuple[str, object]] = [("picture", told.picture)]
    if told.error is not None:
        return [*lines, ("error", told.error)]
    lines.append(("label", ", ".join(f"{short(one.label)} {one.probability:.1%}" for one in told.top)))
    if told.labels is not None:
        lines.append(("one of", ", ".join(short(label) for label in told.labels)))
    if told.strangeness is not None:
        word = "no, unlike what the model learned from" if told.unknown else "yes"
        lines.append(("known", f"{word} (strangeness {told.strangeness:.2f} of 1)"))
    if item.heat:
        lines.append(("looks at", f"{where(item)} (for {short(item.label or '')})"))
    for number, other in enumerate(item.nearest):
        copy = ", the same photograph" if other.same else ""
        words = f"{other.similarity:.2f}  {short(other.label)}  {short(other.key)}{copy}"
        lines.append(("nearest" if number == 0 else "", words))
    lines += [("odd", FLAGS.get(flag, flag)) for flag in item.flags]
    lines += [("note", note) for note in item.notes]
    return lines
