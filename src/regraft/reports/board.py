"""The board of `auto` in plain lines, for a terminal."""

from __future__ import annotations

from regraft.records import Board, BoardRow
from regraft.reports import words

_HEADER = ("BACKBONE", "VIEW", "HEAD", "PICTURES", "ACCURACY", "LOG-LOSS", "SECONDS", "")


def lines(board: Board) -> list[str]:
    """Write the board: all that was tried as a table where there was a budget, or else the heads in a line.

    What more pictures would give comes last.
    """
    found = [*_table(board.rows), ""] if board.budget else _heads(board.rows)
    more = [reason for reason in board.reasons if reason.startswith("More pictures: ")]
    return [*found, *(f"more      {words.printable(reason.partition(': ')[2])}" for reason in more)]


def _heads(rows: tuple[BoardRow, ...]) -> list[str]:
    if not rows:
        return []
    each = (f"{row.head} {words.percent(row.accuracy)}" for row in rows)
    return [f"heads     {', '.join(each)}, out of fold"]


def _table(rows: tuple[BoardRow, ...]) -> list[str]:
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def _cells(row: BoardRow) -> tuple[str, ...]:
    return (
        words.printable(row.backbone),
        row.view,
        row.head,
        f"{row.pictures:,}",
        words.percent(row.accuracy),
        words.decimal(row.log_loss),
        "" if row.seconds is None else f"{row.seconds:.1f}",
        "taken" if row.taken else "",
    )
