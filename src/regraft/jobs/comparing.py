"""Compare what models said of the same pictures: which is better, where, and by more than chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regraft.engine import comparing, gates, metrics
from regraft.engine.gates import Verdict
from regraft.engine.intervals import number
from regraft.engine.scoring import Scored
from regraft.errors import MismatchError
from regraft.jobs import predictions
from regraft.jobs.predictions import Said
from regraft.records import Difference, Report, Version
from regraft.store.opening import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A picture that one of two models names rightly, and the other does not."""

    key: str
    digest: str
    label: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassChange:
    """Recall of one class by both models."""

    label: str
    support: int
    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceChange:
    """Accuracy on a part of the pictures by both models."""

    name: str
    count: int
    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A report against the first one."""

    #: Refs of the reports, and of the models.
    first: str
    second: str
    first_model: str
    second_model: str
    #: Pictures that both have measured; those of one alone are left out.
    pictures: int
    alone: tuple[int, int]
    numbers: dict[str, Difference]
    fixed: tuple[Change, ...]
    broken: tuple[Change, ...]
    #: Of McNemar's exact test, or of one by families: how often chance parts two equal models as much.
    p_value: float
    #: What that means, in a sentence.
    verdict: str
    classes: tuple[ClassChange, ...]
    #: As the first report has them.
    slices: tuple[SliceChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Reports against the first of them, and the gates that the last has to pass."""

    pairs: tuple[Pair, ...]
    gates: tuple[Verdict, ...]


def compare(store: Store, reports: Sequence[Version], requirements: Sequence[str]) -> Comparison:
    """Compare reports with the first, on the pictures that both have measured.

    Requirements are for the last one, drops being from the first. Raises MismatchError where two have no
    picture in common or other labels, InvalidError for a requirement that is none.
    """
    first, *others = reports
    base = first.read(Report)
    said = predictions.read(store, base)
    pairs, verdicts = [], tuple[Verdict, ...]()
    for version in others:
        other = version.read(Report)
        both = _align(first, version, base, other, said, predictions.read(store, other))
        pairs.append(_pair(first, version, base, other, both))
        if version is others[-1]:
            old, new = (
                metrics.measure(one.scores, one.targets, base.labels, families=both.families)
                for one in both.scored
            )
            verdicts = gates.judge(requirements, new, old)
    return Comparison(pairs=tuple(pairs), gates=verdicts)


@dataclass(frozen=True, kw_only=True)
class _Both:
    """What two models said of the pictures that both have measured."""

    said: tuple[Said, Said]
    #: Where these stand in the table of each.
    places: tuple[list[int], list[int]]
    scored: tuple[Scored, Scored]

    @property
    def families(self) -> list[str]:
        """Of each picture that both have measured."""
        return [self.said[0].families[place] for place in self.places[0]]


def _align(first: Version, second: Version, one: Report, two: Report, a: Said, b: Said) -> _Both:
    if set(one.labels) != set(two.labels):
        raise MismatchError(
            f"{str(first)!r} and {str(second)!r} have other labels.",
            hint="Only models with the same labels can be compared.",
        )
    where = {digest: place for place, digest in enumerate(b.digests)}
    mine = [place for place, digest in enumerate(a.digests) if digest in where]
    theirs = [where[a.digests[place]] for place in mine]
    if not mine:
        raise MismatchError(
            f"{str(first)!r} and {str(second)!r} have no picture in common.",
            hint="Evaluate both models on the same split: regraft evaluate MODEL DATASET.",
        )
    # the columns of both in the order of the first
    order = [two.labels.index(label) for label in one.labels]
    left = predictions.scored(a, one.labels, mine)
    right = predictions.scored(b, two.labels, theirs)
    targets = np.array([order.index(target) for target in right.targets], dtype=np.int64)
    if (targets != left.targets).any():
        raise MismatchError(
            f"{str(first)!r} and {str(second)!r} give the same pictures other labels.",
            hint="Evaluate both models on the same version of the dataset.",
        )
    return _Both(said=(a, b), places=(mine, theirs), scored=(left, Scored(right.scores[:, order], targets)))


def _pair(first: Version, second: Version, one: Report, two: Report, both: _Both) -> Pair:
    a, b = both.scored
    right, also = a.predicted == a.targets, b.predicted == b.targets
    fixed, broken = np.flatnonzero(~right & also), np.flatnonzero(right & ~also)
    members = number(both.families)
    numbers = comparing.differences(a, b, members)
    p_value = comparing.probability(right, also, members)
    return Pair(
        first=str(first),
        second=str(second),
        first_model=one.model_ref,
        second_model=two.model_ref,
        pictures=a.count,
        alone=(len(both.said[0].keys) - a.count, len(both.said[1].keys) - a.count),
        numbers=numbers,
        fixed=_changes(one.labels, both, fixed.tolist()),
        broken=_changes(one.labels, both, broken.tolist()),
        p_value=p_value,
        verdict=_verdict(
            one.model_ref,
            two.model_ref,
            p_value,
            len(fixed) > len(broken),
            comparing.beside_accuracy(a, b, members),
        ),
        classes=tuple(
            ClassChange(
                label=label,
                support=int(there.sum()),
                before=float(right[there].mean()),
                after=float(also[there].mean()),
            )
            for place, label in enumerate(one.labels)
            if (there := a.targets == place).any()
        ),
        slices=_slices(both, right, also),
    )


def _slices(
    both: _Both, right: npt.NDArray[np.bool_], also: npt.NDArray[np.bool_]
) -> tuple[SliceChange, ...]:
    """Return accuracy slice by slice, those first that lost most."""
    named = [both.said[0].slices[place] for place in both.places[0]]
    found = []
    for name in sorted({name for names in named for name in names}):
        marks = np.array([name in names for names in named])
        found.append(
            SliceChange(
                name=name,
                count=int(marks.sum()),
                before=float(right[marks].mean()),
                after=float(also[marks].mean()),
            )
        )
    return tuple(sorted(found, key=lambda one: one.after - one.before))


def _changes(labels: Sequence[str], both: _Both, places: Sequence[int]) -> tuple[Change, ...]:
    a, b = both.scored
    said = both.said[0]
    return tuple(
        Change(
            key=said.keys[both.places[0][place]],
            digest=said.digests[both.places[0][place]],
            label=labels[a.targets[place]],
            before=labels[a.predicted[place]],
            after=labels[b.predicted[place]],
        )
        for place in places
    )


def _verdict(first: str, second: str, p_value: float, rose: bool, beside: Sequence[str]) -> str:
    """Say whether accuracy differs, or else which other numbers do."""
    if p_value < comparing.LEVEL:
        better, worse = (second, first) if rose else (first, second)
        return f"{better} is better than {worse} (p = {p_value:.2g})."
    others = " and ".join(name.replace("_", " ") for name in beside)
    but = f" in accuracy, but in {others}" if others else ""
    return f"No evidence of a difference{but}."
