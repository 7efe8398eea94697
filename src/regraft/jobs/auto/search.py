"""The search for what is best on the train pictures: sizes, backbones, more views of each, then tuning.

Everything is judged out of fold, or on held-out pictures, within train (and `val`, where that measures
nothing): the split that the result is measured on is never looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from regraft.engine import contest
from regraft.engine.contest import Contest, Standing
from regraft.engine.predict import Floats
from regraft.engine.probe import Targets
from regraft.jobs.auto.clock import Clock
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.features import Features
from regraft.jobs.auto.ledger import Ledger
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import ModelVersion, Row
from regraft.store.journal import Run
from regraft.store.opening import Store

#: Seconds that the doctor and the report take at the end, and for each picture.
_END, _END_EACH = 4.0, 0.003


@dataclass(frozen=True, kw_only=True)
class Lead:
    """What is best so far: a head on an entrant, or a net that was tuned."""

    entrant: Entrant
    #: Of the train pictures.
    features: Floats
    contest: Contest
    #: Features of other views of the pictures that the head learned from too, such as `mirrored`.
    views: Mapping[str, Floats] = field(default_factory=dict)
    tuned: ModelVersion | None = None
    #: The recipe that it was tuned by.
    tuned_recipe: Recipe | None = None
    #: How the tuned net did on the pictures that it was chosen by.
    tuned_standing: Standing | None = None

    @property
    def standing(self) -> Standing | None:
        """How it did, by which it leads; None where there were too few pictures to tell."""
        return self.tuned_standing or next(iter(self.contest.standings), None)


@dataclass(kw_only=True)
class Search:
    """The facts of a search, and what is best so far."""

    store: Store
    run: Run
    recipe: Recipe
    labels: tuple[str, ...]
    #: All pictures, and those of train.
    rows: Sequence[Row]
    train: Sequence[Row]
    targets: Targets
    #: The split that the result is measured on.
    measured: str
    clock: Clock
    ledger: Ledger
    features: Features
    progress: Progress
    lead: Lead

    @property
    def families(self) -> list[str]:
        """The families of the train pictures."""
        return [row.family for row in self.train]

    def judge(
        self,
        features: Floats,
        places: Sequence[int] | None = None,
        *,
        rivals: bool = True,
        views: Mapping[str, Floats] | None = None,
    ) -> Contest:
        """Let heads compete on the features of the train pictures, or of some of them."""
        return judge(
            self.recipe,
            features,
            self.train if places is None else [self.train[place] for place in places],
            self.targets if places is None else self.targets[list(places)],
            self.progress,
            rivals=rivals,
            views=views,
        )

    def keep_for_the_end(self, entrant: Entrant, *, times: int = 1) -> None:
        """Set aside the seconds that measuring an entrant on the rest of the pictures will take."""
        self.clock.reserve = self.end(entrant, times=times)

    def end(self, entrant: Entrant, *, times: int = 1) -> float:
        """Return the seconds from when an entrant is chosen to the end of the run."""
        rest = len(self.rows) - len(self.train)
        standings = self.lead.contest.standings
        curve = standings[0].seconds if standings else 0.0  # it takes about as long as the heads did
        measuring = times * self.features.seconds(entrant, rest)
        return _END + _END_EACH * len(self.rows) + curve + measuring

    def can(self, entrant: Entrant, pictures: int, *, then: int = 0, fitting: float = 0.0) -> bool:
        """Tell whether there is time for features of so many pictures, `then` of others, and the end.

        `fitting` is how many seconds heads will take that are fitted on them.
        Raises Enough where the search should end.
        """
        self.clock.check()
        self.keep_for_the_end(self.lead.entrant)  # by now more may be known of how long things take
        need = self.features.seconds(entrant, pictures) + self.features.seconds(entrant, then)
        more = max(0.0, self.end(entrant) - self.clock.reserve)
        return self.clock.left > 1.1 * need + fitting + more

    def challenge(self, entrant: Entrant) -> bool:
        """Compute all features of an entrant; let it lead where its head is better beyond doubt."""
        began = time.monotonic()
        features = self.features.of(entrant, self.train)
        seconds = time.monotonic() - began
        found = self.judge(features)
        for standing in found.standings:
            self.ledger.add(entrant, standing, pictures=len(self.train), seconds=seconds)
            seconds = 0.0
        errors = contest.gain(self.lead.contest.losses, found.losses)
        words = f"{entrant.backbone} at {entrant.view}: {_score(found)} on all {len(self.train)} pictures"
        if contest.beats(self.lead.contest.standings[0], found.standings[0]):
            self.ledger.say(f"{words}, {errors:.1f} standard errors better; it is taken.")
            self.lead = Lead(entrant=entrant, features=features, contest=found)
            self.keep_for_the_end(entrant)
            return True
        self.ledger.say(f"{words}, which is not better beyond doubt; {self.lead.entrant.view} stays.")
        return False

    def see_also(self, name: str, features_of: Callable[[Sequence[Row]], Floats], places: list[int]) -> None:
        """Let the head learn from another view of each picture too, where that is better beyond doubt.

        `name` is what pictures are in it, such as `mirrored`. Those at some places are tried first.
        """
        everything = list(range(len(self.train)))
        for tried in (places, everything):
            once = sum(one.seconds for one in self.lead.contest.standings) * len(tried) / len(self.train)
            fitting = (2 + len(self.lead.views)) * once
            if not self.can(self.lead.entrant, len(tried), fitting=fitting):
                self.ledger.say(f"There is no time to let the head learn from {name} pictures too.")
                return
            began = time.monotonic()
            view = features_of([self.train[place] for place in tried])
            seconds = time.monotonic() - began
            found = self._with_view(name, view, tried)
            if found is None:
                return
            heads, after, errors = found
            self.ledger.add(self.lead.entrant, after, pictures=len(tried), seconds=seconds)
            if errors <= 1 or tried == everything:
                break
        leading = self.lead.contest.standings[0]
        words = f"{name.capitalize()} pictures too, for the head: {abs(errors):.1f} standard errors "
        words += f"{'better' if errors > 0 else 'worse'} on {len(tried)} pictures"
        if tried == everything and heads.standings[0] is after and contest.beats(leading, after):
            self.lead = replace(self.lead, contest=heads, views={**self.lead.views, name: view})
            self.ledger.say(f"{words}; they are taken.")
        else:
            if errors > 1 and after.accuracy < leading.accuracy:
                words += ", but fewer are named rightly"
            elif errors > 1:
                words += f", but that is not better than {leading.kind} beyond doubt"
            self.ledger.say(f"{words}; they are left out.")

    def _with_view(
        self, name: str, view: Floats, places: list[int]
    ) -> tuple[Contest, Standing, float] | None:
        """Return the heads, the one that learns from one more view too, and its gain over that without.

        The gain is in standard errors. None where there are too few pictures to tell.
        """
        known = self.lead.features[places]
        earlier = {one: features[places] for one, features in self.lead.views.items()}
        heads = self.judge(known, places, views={**earlier, name: view})
        if not earlier:
            fewer = heads
        elif len(places) == len(self.train):
            fewer = self.lead.contest
        else:
            fewer = self.judge(known, places, views=earlier)
        before, after = _of_views(fewer, bool(earlier)), _of_views(heads, True)
        if before is None or after is None:
            return None
        return heads, after, contest.gain(before.losses, after.losses)


def judge(
    recipe: Recipe,
    features: Floats,
    rows: Sequence[Row],
    targets: Targets,
    progress: Progress,
    *,
    rivals: bool = True,
    views: Mapping[str, Floats] | None = None,
) -> Contest:
    """Let heads compete on the features of some pictures, under a recipe.

    Classes that none of them has are left out, so that the head may know fewer than there are.
    """
    return contest.hold(
        features,
        np.unique(targets, return_inverse=True)[1],
        recipe.optim,
        families=[row.family for row in rows],
        folds=recipe.eval.folds,
        seed=recipe.train.seed,
        step=_telling(progress),
        views=views,
        rivals=rivals,
    )


def sample(targets: Targets, count: int, *, seed: int) -> list[int]:
    """Return places of so many pictures at most, by chance: two of each class, and a like part of the rest.

    Where that would be too many, some classes are left out, by chance too.
    """
    if len(targets) <= count:
        return list(range(len(targets)))
    random = np.random.default_rng(seed)
    classes = np.unique(targets)
    if 2 * len(classes) > count:
        classes = np.sort(random.permutation(classes)[: count // 2])
    families = [random.permutation(np.flatnonzero(targets == target)) for target in classes]
    rest = sum(max(0, len(members) - 2) for members in families)
    part = (count - 2 * len(classes)) / rest if rest else 0.0
    chosen = [members[: 2 + int(part * max(0, len(members) - 2))] for members in families]
    return sorted(np.concatenate(chosen).tolist())


def _of_views(found: Contest, more: bool) -> Standing | None:
    """Return how the plain head did, that learned from more views than one or not."""
    return next((one for one in found.standings if (one.kind != contest.PLAIN) is more), None)


def _telling(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress("Fitting the head", done, total)


def _score(found: Contest) -> str:
    if not found.standings:
        return "too few pictures to tell"
    return f"accuracy {found.standings[0].accuracy:.1%}, log-loss {found.standings[0].log_loss:.3f}"
