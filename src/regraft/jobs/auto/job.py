"""The job of `auto`: a head at once; with a budget a search; then the model with all that was tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from safetensors.numpy import load

from regraft.engine import learning_curve
from regraft.engine.predict import Floats, logits, softmax
from regraft.jobs import fit
from regraft.jobs.auto import changes, screening, tuning
from regraft.jobs.auto.clock import Clock, Enough
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.features import COMPUTING, Features
from regraft.jobs.auto.ledger import Ledger
from regraft.jobs.auto.search import Lead, Search, judge
from regraft.jobs.auto.views import VIEWS, features_of_view
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import CurvePoint, ModelVersion, Row
from regraft.reports.words import percent
from regraft.store.journal import Run
from regraft.store.opening import Store

#: What a training gives a model.
_TUNED = ("trunk", "head", "head_kind", "adapter", "training", "temperature", "precision", "trust")

#: Makes the manifest of a model that is to be fine-tuned, from what was chosen to begin with, and the recipe
#: by which it can be made again without a search.
Blank = Callable[[Entrant, Recipe], ModelVersion]


def run_auto(
    store: Store,
    run: Run,
    *,
    native: Entrant,
    blank: Blank,
    labels: tuple[str, ...],
    rows: Sequence[Row],
    recipe: Recipe,
    measured: str,
    progress: Progress,
) -> tuple[ModelVersion, Floats]:
    """Return the best model that the budget allows, and what is said of each row [n, classes].

    That is said by something that has not learned from the picture; NaN where there is none. `native` is the
    recipe's own backbone, as it wants its pictures; `measured` the split that is not looked at.
    """
    clock = Clock(run, recipe.train.budget, spent=float(run.record.inputs.get("spent", "0")))
    ledger = Ledger(run, progress, budget=recipe.train.budget)
    searching = False

    def tell(task: str, done: int, total: int) -> None:
        progress(task, done, total)
        if searching and task == COMPUTING:  # a training looks at the clock itself
            clock.check()

    features = Features(store, recipe.train.batch_size, tell)
    train = [row for row in rows if row.split == "train"]
    index = {label: number for number, label in enumerate(labels)}
    targets = np.array([index[row.label] for row in train])
    began = time.monotonic()
    # all at once where nothing is left to choose: the net is started once
    wanted = train if recipe.train.budget else rows
    run.log(f"features of {len(wanted)} pictures: {native.model.architecture}, {native.precision}")
    found = features.of(native, wanted)
    known = found if recipe.train.budget else found[[row.split == "train" for row in rows]]
    seconds = time.monotonic() - began
    run.log(f"head on {len(train)} pictures of {len(labels)} classes")
    asked: Sequence[str] = () if recipe.train.budget else recipe.train.views  # a search finds out which help
    views = {view: features_of_view(features, native, train, view) for view in asked}
    held = judge(recipe, known, train, targets, progress, views=views)
    for standing in held.standings:
        ledger.add(native, standing, pictures=len(train), seconds=seconds)
        seconds = 0.0
    search = Search(
        store=store,
        run=run,
        recipe=recipe,
        labels=labels,
        rows=rows,
        train=train,
        targets=targets,
        measured=measured,
        clock=clock,
        ledger=ledger,
        features=features,
        progress=tell,
        lead=Lead(entrant=native, features=known, contest=held, views=views),
    )
    _say_kind(search)
    if recipe.train.budget and held.standings:
        with clock.watched():
            searching = True
            try:
                clock.check()
                features.look(native, train)
                search.keep_for_the_end(native)
                screening.screen(search)
                _more_views(search)
                tuning.tune(search, changes.harmless)
            except Enough as end:
                ledger.say(str(end))
            finally:
                searching = False
    return _finished(search, blank, _curve(search))


def _say_kind(search: Search) -> None:
    """Tell which kind of head was taken, and why."""
    standings = search.lead.contest.standings
    if not standings:
        search.ledger.say("There are too few pictures to compare heads by.")
        return
    taken = standings[0]
    others = ", ".join(f"{one.kind} {one.log_loss:.3f}" for one in standings[1:])
    why = (
        "is plain, and no other is better beyond doubt"
        if taken.kind == "logistic"
        else "is better beyond doubt"
    )
    search.ledger.say(f"Head: {taken.kind}, log-loss {taken.log_loss:.3f}; it {why} ({others}).")


def _more_views(search: Search) -> None:
    """Let the head learn from further views of each picture, where that helps."""
    entrant, places = search.lead.entrant, screening.places(search)
    for view in VIEWS:
        search.see_also(view, partial(features_of_view, search.features, entrant, view=view), places)


def _curve(search: Search) -> tuple[CurvePoint, ...]:
    """Measure what fewer pictures give, and say what more would."""
    lead = search.lead
    if not lead.contest.standings:
        return ()
    curve = learning_curve.measure(
        lead.features,
        search.targets,
        search.recipe.optim,
        C=lead.contest.head.learning.C,
        families=search.families,
        folds=search.recipe.eval.folds,
        seed=search.recipe.train.seed,
        step=lambda done, total: search.progress("Measuring what more pictures would give", done, total),
    )
    if found := learning_curve.outlook(curve):
        half, full = curve[-2], curve[-1]
        search.ledger.say(
            f"More pictures: from {half.pictures} to {full.pictures} the accuracy of a head went from "
            f"{percent(half.accuracy)} to {percent(full.accuracy)}; twice as many may add about "
            f"{100 * found.next:.1f} points."
        )
    return curve


def _again(search: Search) -> Recipe:
    """Return the recipe by which the head that leads is fitted without a search."""
    lead = search.lead
    recipe = lead.entrant.suited(search.recipe) if search.recipe.train.budget else search.recipe
    found = {"budget": 0.0, "views": tuple(view for view in VIEWS if view in lead.views)}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=found)})


def _finished(search: Search, blank: Blank, curve: tuple[CurvePoint, ...]) -> tuple[ModelVersion, Floats]:
    """Return the model that leads, and what it says of each row."""
    lead, head = search.lead, search.lead.contest.head
    train = np.array([row.split == "train" for row in search.rows])
    if lead.tuned is None:
        features = search.features.of(lead.entrant, search.rows)
        model = fit.with_head(
            search.store,
            blank(lead.entrant, _again(search)),
            head,
            lead.features,
            search.targets,
            search.families,
            search.recipe,
        )
        said = fit.unseen(head, features, train)
        board = search.ledger.board(lead.standing, curve)
        for candidate in head.learning.candidates:
            search.run.metric(
                C=candidate.C, log_loss=candidate.log_loss, standard_error=candidate.standard_error
            )
        return model.model_copy(update={"board": board}), said
    tuned = lead.tuned
    model = blank(lead.entrant, lead.tuned_recipe or search.recipe).model_copy(
        update={key: getattr(tuned, key) for key in _TUNED}
    )
    said = np.full((len(search.rows), len(search.labels)), np.nan, dtype=np.float32)
    said[train] = head.out_of_fold  # the tuned net has learned from them
    rest = [row for row, own in zip(search.rows, train.tolist(), strict=True) if not own]
    if rest:
        features = search.features.of(
            Entrant(version=lead.entrant.version, model=model, precision=lead.entrant.precision), rest
        )
        weights = load(search.store.blobs.get(model.head))
        said[~train] = softmax(logits(model.head_kind, weights, features) / model.temperature)
    board = search.ledger.board(lead.standing, curve)
    return model.model_copy(update={"board": board}), said
