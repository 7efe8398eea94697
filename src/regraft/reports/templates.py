"""The one way in which pages are drawn: everything escaped, nothing undefined, nothing from outside."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from regraft.reports import plots, words


@cache
def environment() -> Environment:
    """Return the templates of this package, with the words and drawings that they use."""
    made = Environment(
        loader=PackageLoader("regraft.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        percent=words.percent,
        decimal=words.decimal,
        interval=words.interval,
        pictures=words.pictures,
        looks=words.looks,
    )
    made.globals.update(
        bar=plots.bar,
        curve=plots.curve,
        losses=plots.losses,
        reliability=plots.reliability,
        areas=plots.areas,
        gains=plots.gains,
    )
    return made
