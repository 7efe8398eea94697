"""`regraft predict`: what is in these pictures?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from regraft import durable
from regraft.cli.output import columns, short, with_workspace
from regraft.errors import InvalidPicture
from regraft.records import Prediction
from regraft.workspace.main import Workspace


def show(result: Sequence[Prediction]) -> str:
    """Write a line for each picture: the label, its probability, and the runners-up, or the set of labels."""
    context = click.get_current_context()
    if context.params["as_csv"]:
        return to_csv(result)
    sets = any(item.labels is not None for item in result)
    strange = sum(item.unknown is True for item in result)
    rows = [
        (
            item.picture,
            short(item.label) if item.label is not None else f"({item.error})",
            f"{item.probability:.1%}" if item.probability is not None else "",
            *(["unknown" if item.unknown else ""] if strange else []),
            ", ".join(short(label) for label in item.labels or ())
            if sets
            else ", ".join(f"{short(other.label)} {other.probability:.1%}" for other in item.top[1:]),
        )
        for item in result
    ]
    last = f"one of, {context.params['coverage']:g} of the time" if sets else "then"
    header = ("picture", "label", "probability", *(["known"] if strange else []), last)
    table = columns(header, rows, empty="no pictures")
    if not strange:
        return table
    what = "1 picture is" if strange == 1 else f"{strange:,} pictures are"
    return f"{table}\n\n{what} unlike those that the model learned from: the label may mean nothing."


def to_csv(result: Sequence[Prediction]) -> str:
    """Write a header and a line for each picture; the runners-up follow in pairs of columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    top = max(len(item.top) for item in result)
    more = [f"{word}_{place}" for place in range(2, top + 1) for word in ("label", "probability")]
    sets = any(item.labels is not None for item in result)
    writer.writerow(
        ["picture", "label", "probability", *more, "error", "unknown", *(["set"] if sets else [])]
    )
    for item in result:
        cells = [cell for label in item.top for cell in (label.label, f"{label.probability:.6f}")]
        cells += [""] * (2 * max(top, 1) - len(cells))
        unknown = "" if item.unknown is None else str(item.unknown).lower()
        held = [json.dumps(item.labels, ensure_ascii=False) if item.labels else ""] if sets else []
        writer.writerow([item.picture, *cells, item.error or "", unknown, *held])
    return text.getvalue().rstrip("\n")


def to_json(result: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return the predictions as JSON objects; label and probability are those of the likeliest."""
    return [
        {
            "picture": item.picture,
            "label": item.label,
            "probability": item.probability,
            **item.model_dump(mode="json"),
            "unknown": item.unknown,
        }
        for item in result
    ]


def exit_code(result: Sequence[Prediction]) -> int:
    """Return 5 where a picture that was named by itself could not be read."""
    named = {str(Path(words)) for words in click.get_current_context().params["pictures"]}
    return InvalidPicture.exit_code if any(i.error and i.picture in named for i in result) else 0


@click.command()
@click.argument("model")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...")
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Labels for each picture."
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Give each picture the set of labels among which the true one is so often, such as 0.95.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the result to this file too: FILE.csv or FILE.json.",
)
@with_workspace(show, to_json=to_json, exit_code=exit_code)
def predict(
    workspace: Workspace,
    model: str,
    pictures: tuple[str, ...],
    top: int,
    coverage: float | None,
    as_csv: bool,
    out: Path | None,
) -> Sequence[Prediction]:
    """Name what is in each PICTURE, with MODEL.

    A PICTURE may be a folder. MODEL is one of the workspace, or a pretrained one such as
    embedded:efficientnet_lite0. A picture unlike those that MODEL learned from is marked as unknown.
    """
    del as_csv  # a matter of printing
    if out is not None and out.suffix not in (".csv", ".json"):
        raise click.BadParameter("The file's name must end in .csv or .json.", param_hint="--out")
    result = workspace.predict(model, pictures, top=top, coverage=coverage)
    if out is not None:
        text = (
            to_csv(result)
            if out.suffix == ".csv"
            else json.dumps(to_json(result), ensure_ascii=False, indent=2)
        )
        durable.swap(out, f"{text}\n".encode())
    return result
