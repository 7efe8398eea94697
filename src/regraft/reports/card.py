"""A report as one picture, for a chat or a slide: the number, its interval, and the confusion matrix."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from regraft.records import Report
from regraft.reports import words

#: In pixels.
WIDTH, HEIGHT = 1200, 630
MARGIN = 60
#: With more classes the matrix has no names.
NAMED = 12

_PAPER, _INK, _MUTED, _LINE = (255, 255, 255), (27, 31, 36), (91, 100, 112), (225, 228, 232)
_BLUE, _RED = (27, 92, 184), (190, 38, 38)


def draw(report: Report) -> bytes:
    """Return the card as PNG; the same report gives the same bytes with the same Pillow."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    pen = ImageDraw.Draw(image)
    metrics = report.metrics
    left = 520
    title = f"{report.model_ref} on {report.dataset_ref}"
    pen.text((MARGIN, 60), _fit(pen, title, _font(30), WIDTH - 2 * MARGIN), font=_font(30), fill=_INK)
    pen.text((MARGIN, 160), words.percent(metrics.accuracy), font=_font(110), fill=_INK)
    lines = [
        f"accuracy: {metrics.correct:,} of {words.pictures(metrics.count)}",
        f"95 % interval: {words.interval(metrics.accuracy_interval)}",
        f"split {report.split}",
        *(f"{one.name} {words.percent(one.accuracy)}" for one in report.baselines),
    ]
    for number, line in enumerate(lines):
        place = (MARGIN, 310 + 42 * number)
        pen.text(place, _fit(pen, line, _font(26), left - 20), font=_font(26), fill=_MUTED)
    _matrix(pen, report, left + MARGIN, 130, HEIGHT - 130 - MARGIN)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _matrix(pen: ImageDraw.ImageDraw, report: Report, left: int, top: int, side: int) -> None:
    """Draw each row's parts: blue is right, red is wrong, white is nothing."""
    labels, table = report.labels, report.metrics.confusion
    named = len(labels) <= NAMED
    names = 130 if named else 0
    cell = min(side, WIDTH - MARGIN - left - names) / max(len(labels), 1)
    for row, counts in enumerate(table):
        whole = max(sum(counts), 1)
        y = top + row * cell
        if named:
            place = (left, y + cell / 2)
            pen.text(
                place, _fit(pen, labels[row], _font(18), names - 12), font=_font(18), fill=_INK, anchor="lm"
            )
        for column, count in enumerate(counts):
            x = left + names + column * cell
            share = count / whole
            fill = _mixed(_BLUE if row == column else _RED, 0.08 + 0.6 * share) if count else _PAPER
            if cell >= 2:
                pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=fill, outline=_LINE)
            elif count:
                pen.point((x, y), fill=fill)
            if named and count:
                pen.text((x + cell / 2, y + cell / 2), str(count), font=_font(18), fill=_INK, anchor="mm")


def _mixed(colour: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 + (part - 255) * share) for part in colour)
    return red, green, blue


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fit(
    pen: ImageDraw.ImageDraw, line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> str:
    """Cut the end off a line that is too long."""
    line = words.printable(line)
    if pen.textlength(line, font=font) <= width:
        return line
    while line and pen.textlength(f"{line}…", font=font) > width:
        line = line[:-1]
    return f"{line}…"
