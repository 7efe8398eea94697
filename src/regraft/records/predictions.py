"""What is said of single pictures, in the forms in which it is written out."""

from __future__ import annotations

from regraft.records.base import Record


class Label(Record):
    """A label and its probability."""

    label: str
    probability: float


class Prediction(Record):
    """What a model says of one picture: the likeliest labels first, or why it says nothing."""

    picture: str
    top: tuple[Label, ...]
    error: str | None = None
    #: The distance of the picture's features from those that were learned from, over the distance above which
    #: a picture is unknown; None where the model does not know it.
    strangeness: float | None = None
    #: The labels among which the true one is, as often as was asked for; None where nothing was asked.
    labels: tuple[str, ...] | None = None

    @property
    def unknown(self) -> bool | None:
        """Whether the picture is like none that was learned from; None where that cannot be told."""
        return None if self.strangeness is None else self.strangeness > 1

    @property
    def label(self) -> str | None:
        """The likeliest label; None where the picture could not be read."""
        return self.top[0].label if self.top else None

    @property
    def probability(self) -> float | None:
        """The probability of the likeliest label."""
        return self.top[0].probability if self.top else None


class Suggestion(Record):
    """A picture whose label is likely wrong, and which one is likelier."""

    key: str
    digest: str
    split: str
    #: The label that it has, and how likely that is.
    label: str
    given: float
    suggested: str
    #: How likely the suggested label is.
    probability: float
    #: Who says so.
    reason: str


class Neighbour(Record):
    """A picture that a model learned from, and how like another one it is to the net."""

    key: str
    digest: str
    label: str
    #: Cosine of the angle between the features: 1 for the same picture.
    similarity: float
    #: Whether the two look like one photograph: scaled, turned, compressed anew.
    same: bool = False


class Explanation(Record):
    """Why a model says what it says of one picture."""

    prediction: Prediction
    #: The label that the heat is about; None where the picture could not be read.
    label: str | None
    #: How much each place of what the net sees speaks for the label, in rows, from 0 to 1; empty where the
    #: net has no map of places, or none speaks for it.
    heat: tuple[tuple[float, ...], ...]
    #: The most alike first.
    nearest: tuple[Neighbour, ...]
    #: What is odd about the picture among those that were learned from, such as `blurred`.
    flags: tuple[str, ...]
    #: What else a reader should know.
    notes: tuple[str, ...]
