"""The search for what is best on the train pictures: views, backbones, mirrored pictures, then tuning.

Everything is judged out of fold, or on held-out pictures, within train (and `val`, where that measures
nothing): the split that the result is measured on is never looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from regraft.engine import contest
from regraft.engine.contest import Contest, Standing
from regraft.engine.predict import Floats
from regraft.engine.probe import Targets
from regraft.jobs.auto.clock import Clock
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.features import Change, Features
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
    #: Features of the mirrored pictures, where the head learned from them too.
    mirrored: Floats | None = None
    tuned: ModelVersion | None = None
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
        mirrored: Floats | None = None,
    ) -> Contest:
        """Let heads compete on the features of the train pictures, or of some of them."""
        return judge(
            self.recipe,
            features,
            self.train if places is None else [self.train[place] for place in places],
            self.targets if places is None else self.targets[list(places)],
            self.progress,
            rivals=rivals,
            mirrored=mirrored,
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

    def can(self, entrant: Entrant, pictures: int, *, then: int = 0) -> bool:
        """Tell whether there is time for features of so many pictures, `then` of others, and the end.

        Raises Enough where the search should end.
        """
        self.clock.check()
        self.keep_for_the_end(self.lead.entrant)  # by now more may be known of how long things take
        need = self.features.seconds(entrant, pictures) + self.features.seconds(entrant, then)
        more = max(0.0, self.end(entrant) - self.clock.reserve)
        return self.clock.left > 1.1 * need + more

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

    def mirror(self, change: Change, places: list[int]) -> None:
        """Let the head learn from mirrored pictures too, where that is better beyond doubt.

        The pictures at some places are tried first.
        """
        lead = self.lead
        for tried in (places, list(range(len(self.train)))):
            if not self.can(lead.entrant, len(tried)):
                self.ledger.say("There is no time to let the head learn from mirrored pictures too.")
                return
            rows = [self.train[place] for place in tried]
            began = time.monotonic()
            mirrored = self.features.changed(lead.entrant, rows, change, "flip")
            seconds = time.monotonic() - began
            found = self.judge(lead.features[tried], tried, mirrored=mirrored)
            both = next((one for one in found.standings if one.kind != contest.PLAIN), None)
            alone = next((one for one in found.standings if one.kind == contest.PLAIN), None)
            if both is None or alone is None:
                return
            self.ledger.add(lead.entrant, both, pictures=len(tried), seconds=seconds)
            errors = contest.gain(alone.losses, both.losses)
            way = "better" if errors > 0 else "worse"
            words = f"Mirrored pictures too, for the head: {abs(errors):.1f} standard errors {way}"
            words += f" on {len(tried)} pictures"
            if errors <= 1 or len(tried) == len(self.train):
                break
        if found.standings[0] is both and contest.beats(lead.contest.standings[0], both):
            self.lead = replace(lead, contest=found, mirrored=mirrored)
            self.ledger.say(f"{words}; they are taken.")
        else:
            fewer = both is not None and both.accuracy < lead.contest.standings[0].accuracy
            but = f"{words}, but fewer are named rightly" if errors > 1 and fewer else words
            self.ledger.say(f"{but}; they are left out.")


def judge(
    recipe: Recipe,
    features: Floats,
    rows: Sequence[Row],
    targets: Targets,
    progress: Progress,
    *,
    rivals: bool = True,
    mirrored: Floats | None = None,
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
        mirrored=mirrored,
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


def _telling(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress("Fitting the head", done, total)


def _score(found: Contest) -> str:
    if not found.standings:
        return "too few pictures to tell"
    return f"accuracy {found.standings[0].accuracy:.1%}, log-loss {found.standings[0].log_loss:.3f}"
