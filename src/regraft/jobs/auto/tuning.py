"""Tune the net where time allows, several ways at first and the best one longer; a head is the measure."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft import suggest
from regraft.engine import contest
from regraft.engine.contest import Losses, Standing
from regraft.engine.predict import Floats, logits, softmax
from regraft.engine.probe import each_log_loss, find_temperature
from regraft.errors import RegraftError
from regraft.jobs.auto.attempt import Attempt
from regraft.jobs.auto.clock import Enough
from regraft.jobs.auto.search import Search
from regraft.jobs.auto.ways import Way, ways_of
from regraft.jobs.learners import Learners, learners
from regraft.jobs.precision import fastest_training
from regraft.recipe import Recipe
from regraft.records import ModelVersion
from regraft.registry import Entry

#: How much longer a picture takes to learn from than to compute features of.
_TIMES = 4.0
#: Epochs under which tuning is not worth its beginning, and of a first round among several ways.
_LEAST, _ROUND = 3, 2
#: The part of train that is held out to compare by, where there is no `val`: enough to tell a difference.
_HOLDOUT = 0.2
#: Of the time left a training may take so much; its end takes the rest.
_PART = 0.85
#: Fewer pictures than this cannot tell two nets apart.
_FEWEST = 20


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What a training gave, measured on what it was chosen by."""

    way: Way
    recipe: Recipe
    model: ModelVersion
    standing: Standing
    chosen_by: int


def tune(search: Search, harmless: Callable[[Search], tuple[Entry, ...]]) -> None:
    """Tune the net within the time that is left; let it lead where it is better beyond doubt.

    `harmless` finds the augmentations that change no label, for which it wants time, too.
    """
    tuner = _Tuner(search)
    if len(tuner.learners.chosen_by) < _FEWEST:
        search.ledger.say(f"{len(tuner.learners.chosen_by)} pictures are too few to compare tuned nets by.")
        return
    epochs = tuner.affordable()
    if epochs >= _LEAST and search.recipe.data.augment == "auto":
        tuner.augment = harmless(search)
        epochs = tuner.affordable()
    if epochs < _LEAST:
        search.ledger.say(
            f"Tuning the net would take about {tuner.epoch_seconds:.0f} s for an epoch here, and "
            f"{max(0.0, search.clock.left):.0f} s are left: the head stays as it is."
        )
        return
    found: list[Tried] = []
    try:
        _try_ways(tuner, search, epochs, found)
    except Enough as end:
        search.ledger.say(str(end))
    tuner.decide(found)


def _try_ways(tuner: _Tuner, search: Search, epochs: int, found: list[Tried]) -> None:
    """Train by several ways, and by the best one longer, as far as there is time; add what comes of it."""
    ways = ways_of(search.lead.entrant.model.architecture)
    if epochs < len(ways) * _ROUND + _LEAST:
        tuner.train(ways[0], min(epochs, search.recipe.train.epochs), search.clock.left, found)
        return
    for way in ways:
        tuner.train(way, _ROUND, search.clock.left / 2 / len(ways), found)
    left = min(search.recipe.train.epochs, tuner.affordable())
    if found and left > _ROUND:
        best = min(found, key=lambda one: one.standing.log_loss)
        search.ledger.say(f"{best.way.name} did best in {_ROUND} epochs; it is tried for {left}.")
        tuner.train(best.way, left, search.clock.left, found)


class _Tuner:
    """Trains on the same pictures each time, and compares on the same others."""

    def __init__(self, search: Search) -> None:
        self._search = search
        #: What is done to pictures that are learned from.
        self.augment = () if search.recipe.data.augment == "auto" else search.recipe.data.augment
        # the split that the result is measured on is not even shown
        self._rows = [row for row in search.rows if row.split in ("train", "val")]
        self._rows = [row for row in self._rows if row.split != search.measured]
        index = {label: number for number, label in enumerate(search.labels)}
        self._targets = np.array([index[row.label] for row in self._rows], dtype=np.int64)
        self._holdout = max(_HOLDOUT, search.recipe.eval.holdout)
        self.learners: Learners = learners(
            self._rows,
            self._targets,
            measured=search.measured,
            holdout=self._holdout,
            seed=search.recipe.train.seed,
        )
        entrant = search.lead.entrant
        one = search.features.seconds(entrant, 1_001) - search.features.seconds(entrant, 1)
        self.epoch_seconds = one / 1_000 * (_TIMES * len(self.learners.train) + len(self.learners.chosen_by))
        self._count = 0

    def affordable(self) -> int:
        """Return how many epochs there is time for; a tuned net takes longer to measure, too."""
        search = self._search
        search.keep_for_the_end(search.lead.entrant, times=2)
        return int(_PART * search.clock.left / self.epoch_seconds) if self.epoch_seconds else _LEAST

    def train(self, way: Way, epochs: int, seconds: float, found: list[Tried]) -> None:
        """Train one way for some epochs, and no longer than so many seconds; add what comes of it."""
        from regraft.jobs import tune
        from regraft.jobs.session import Session, Task

        search = self._search
        search.clock.check()
        self._count += 1
        attempt = Attempt(search.run, f"{self._count}-{way.name.replace(' ', '-')}")
        attempt.drop()  # what a run left that was cut off and is resumed: it may have chosen otherwise
        began = time.monotonic()
        entrant = search.lead.entrant
        try:
            recipe = self._recipe(way, epochs)
            task = Task(
                store=search.store,
                run=attempt,
                base=entrant.model,
                labels=search.labels,
                rows=self._rows,
                recipe=recipe,
                measured=search.measured,
                progress=search.progress,
            )
            search.progress(f"Tuning: {way.name}, {epochs} epochs", 0, 0)
            tune.begin(Session(task))  # what is measured of the machine, before the time is taken
            limit = seconds - (time.monotonic() - began) - self._measuring()
            timed = recipe.train.model_copy(update={"time_limit": max(1.0, limit)})
            task = dataclasses.replace(task, recipe=recipe.model_copy(update={"train": timed}))
            model, said = tune.tune(task, self._plain())
        except (RegraftError, RuntimeError) as error:
            search.ledger.say(f"{way.name} failed: {error}")
            return
        finally:
            attempt.drop()
        took = time.monotonic() - began
        done = len(model.training.epochs) if model.training else 0
        if done:  # with its beginning, which a longer training has to make again
            self.epoch_seconds = took / done
        standing = self._standing(way, said, took)
        search.ledger.add(entrant, standing, pictures=len(self.learners.chosen_by))
        count = len(self.learners.chosen_by)
        found.append(Tried(way=way, recipe=recipe, model=model, standing=standing, chosen_by=count))

    def decide(self, found: list[Tried]) -> None:
        """Let the best tuned net lead, where it beats the head by more than a standard error."""
        search = self._search
        if not found:
            return
        head = self._head()
        better = contest.best([one.standing for one in found], against=head)
        best = min(
            (one for one in found if better is None or one.standing is better),
            key=lambda one: one.standing.log_loss,
        )
        errors = contest.gain(head.losses, best.standing.losses)
        words = (
            f"{best.way.name}: accuracy {best.standing.accuracy:.1%}, log-loss "
            f"{best.standing.log_loss:.3f} on {best.chosen_by} held-out pictures; a head that learned from "
            f"the same {head.accuracy:.1%} and {head.log_loss:.3f}"
        )
        if better is not None:
            search.ledger.say(f"{words}. The tuned net is {errors:.1f} standard errors better; it is taken.")
            search.lead = dataclasses.replace(
                search.lead,
                tuned=best.model,
                tuned_recipe=best.recipe,
                tuned_standing=best.standing,
            )
        else:
            search.ledger.say(f"{words}. That is no difference worth tuning for: the head is taken.")

    def _head(self) -> Standing:
        """Return how the leading head does that learns from no more than the tuned nets did."""
        search, lead = self._search, self._search.lead
        place = {row.digest: number for number, row in enumerate(search.train)}
        learned = [place[self._rows[one].digest] for one in self.learners.train]
        found = search.judge(
            lead.features[learned],
            learned,
            views={name: features[learned] for name, features in lead.views.items()},
        )
        asked = [self._rows[one] for one in self.learners.chosen_by]
        features = search.features.of(lead.entrant, asked)
        head = found.heads.get(lead.contest.standings[0].kind, found.head)
        said = logits("linear", {"weight": head.weight, "bias": head.bias}, features)
        # a tuned net gets its temperature from these pictures, too
        said = softmax(said / find_temperature(said, self._targets[self.learners.chosen_by]))
        everything = np.full((len(self._rows), len(search.labels)), np.nan)
        everything[self.learners.chosen_by] = said
        standing = self._score("head alone", everything, 0.0)
        search.ledger.add(lead.entrant, standing, pictures=len(asked))
        return standing

    def _standing(self, way: Way, said: Floats, seconds: float) -> Standing:
        chosen = np.full(said.shape, np.nan)
        chosen[self.learners.chosen_by] = said[self.learners.chosen_by]
        return self._score(way.name, chosen, seconds)

    def _score(self, kind: str, said: np.ndarray[Any, Any], seconds: float) -> Standing:
        rows = self.learners.chosen_by
        losses: Losses = np.full(len(said), np.nan)
        losses[rows] = each_log_loss(np.log(np.clip(said[rows], 1e-15, 1)), self._targets[rows])
        return Standing(
            kind=kind,
            accuracy=float((said[rows].argmax(axis=1) == self._targets[rows]).mean()),
            log_loss=float(losses[rows].mean()),
            seconds=seconds,
            losses=losses,
        )

    def _measuring(self) -> float:
        """Return the seconds of a last validation, and of measuring what was trained."""
        entrant = self._search.lead.entrant
        return 1.3 * 2 * self._search.features.seconds(entrant, len(self.learners.chosen_by))

    def _recipe(self, way: Way, epochs: int) -> Recipe:
        """Return the recipe of one training, without open questions."""
        search = self._search
        recipe = search.recipe
        entrant = search.lead.entrant
        augment = () if way.kept else self.augment
        train = {
            "strategy": "lp-ft",
            "epochs": epochs,
            "soup": 0,
            "budget": 0.0,
            **way.train,
        }
        open_recipe = recipe.model_copy(
            update={
                "model": entrant.suited(recipe).model.model_copy(update=dict(way.model)),
                "data": recipe.data.model_copy(update={"augment": augment, "size": 0, "resize": "auto"}),
                "optim": recipe.optim.model_copy(update={"lr": "auto", "head_lr_scale": "auto", **way.optim}),
                "train": recipe.train.model_copy(update=train),
                "eval": recipe.eval.model_copy(
                    update={"holdout": self._holdout, "precision": entrant.precision}
                ),
            }
        )
        counts = np.bincount(self._targets[self.learners.train])
        precision = fastest_training(search.store, entrant.model, open_recipe, search.progress)
        return suggest.resolve(
            open_recipe.model_copy(
                update={"train": open_recipe.train.model_copy(update={"precision": precision})}
            ),
            training=precision,
            inference=entrant.precision,
            smallest_class=int(counts[counts > 1].min(initial=len(self._rows))),
            input=entrant.model.input,
        )

    def _plain(self) -> ModelVersion:
        return self._search.lead.entrant.model.model_copy(
            update={
                "labels": self._search.labels,
                "precision": self._search.lead.entrant.precision,
                "learning": None,
                "training": None,
            }
        )
