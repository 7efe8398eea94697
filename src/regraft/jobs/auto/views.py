"""Further views of a picture that a head may learn from: what stays what it is, seen otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.engine.predict import Floats
from regraft.jobs.auto.changes import CHANGES
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.features import Features
from regraft.records import Row

#: What pictures are in them, in the order in which they are tried.
VIEWS = ("mirrored", "cropped")


def features_of_view(features: Features, entrant: Entrant, rows: Sequence[Row], view: str) -> Floats:
    """Return the features [n, d] of pictures in one view: mirrored, or the middle of each from closer."""
    if view == "mirrored":
        return features.changed(entrant, rows, CHANGES["flip"][2], "flip")
    return features.of(entrant.closer(), rows)
