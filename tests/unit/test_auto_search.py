"""What a search writes down, and the few pictures that it looks at first."""

import numpy as np
import pytest

from regraft.engine import contest
from regraft.engine.contest import Standing
from regraft.jobs.auto.clock import Clock
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.features import Features
from regraft.jobs.auto.ledger import Ledger
from regraft.jobs.auto.search import Lead, Search, judge, sample
from regraft.recipe import Recipe
from regraft.records import InputSpec, LoadReport, ModelVersion, Row, Version
from regraft.store.journal import Run
from regraft.store.opening import open_store


def quiet(task, done, total):
    pass


@pytest.fixture
def entrant():
    model = ModelVersion(
        parent=None,
        architecture="test_resnet",
        source="timm:test_resnet",
        weights_file="",
        trunk="",
        head="",
        num_features=4,
        labels=("cat", "dog"),
        input=InputSpec(size=32, crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear"),
        temperature=1.0,
        precision=None,
        licence="",
        load_report=LoadReport(loaded=0, converted=0, missing=(), unexpected=()),
        learning=None,
        lineage=None,
    )
    return Entrant(
        version=Version(kind="models", name="base", number=1, digest="d" * 64, data=b""),
        model=model,
        precision="float32",
    )


def rows_of(count):
    return [
        Row(
            key=f"{number}",
            digest=f"{number:064}",
            pack="",
            offset=0,
            length=0,
            label="",
            split="train",
            group=f"{number}",
            width=1,
            height=1,
        )
        for number in range(count)
    ]


def standing(kind, accuracy):
    return Standing(kind=kind, accuracy=accuracy, log_loss=0.5, seconds=1.0, losses=np.zeros(80))


def test_of_two_trainings_by_one_way_the_one_that_was_taken_is_marked(entrant, tmp_path):
    ledger = Ledger(Run(tmp_path), quiet, budget=60.0)
    first, other, longer = (standing("lp-ft", 0.8), standing("adapters", 0.7), standing("lp-ft", 0.9))
    for one in (first, other, longer):
        ledger.add(entrant, one, pictures=80)

    board = ledger.board(longer, ())

    assert [(row.head, row.accuracy, row.taken) for row in board.rows] == [
        ("lp-ft", 0.8, False),
        ("adapters", 0.7, False),
        ("lp-ft", 0.9, True),
    ]


def test_nothing_is_marked_where_there_were_too_few_pictures_to_tell(entrant, tmp_path):
    ledger = Ledger(Run(tmp_path), quiet, budget=0.0)

    assert ledger.board(None, ()).rows == ()


@pytest.mark.parametrize(
    ("pictures", "classes", "of_each"),
    [
        ([500] * 2, 2, {150}),
        ([5000, 5000, *[3] * 100], 102, {2, 49}),
        ([2] * 1000, 150, {2}),
        ([7] * 1000, 150, {2}),
        ([1] * 400, 150, {1}),
        ([100] * 3, 3, {100}),
    ],
    ids=["two", "two of which are large", "a thousand", "a thousand larger", "single pictures", "all"],
)
def test_no_more_pictures_are_looked_at_than_was_said(pictures, classes, of_each):
    targets = np.repeat(range(len(pictures)), pictures)

    places = sample(targets, 300, seed=0)

    counts = np.bincount(targets[places])
    assert len(set(places)) == len(places) <= 300
    assert (np.count_nonzero(counts), set(counts[counts > 0].tolist())) == (classes, of_each)


def test_heads_compete_on_pictures_of_some_classes_alone():
    random = np.random.default_rng(0)
    targets = np.repeat([3, 7, 11], 10)
    features = (random.normal(size=(12, 8))[targets] * 3 + random.normal(size=(30, 8))).astype(np.float32)
    rows = rows_of(30)

    found = judge(Recipe(), features, rows, targets, quiet, views={"mirrored": features})

    assert {one.kind for one in found.standings} == {"logistic", "logistic, mirrored too"}
    assert all(one.accuracy > 0.8 for one in found.standings)
    assert len(found.head.weight) == 3


@pytest.fixture
def search(entrant, tmp_path):
    """Make a search over pictures of three classes, of which each look shows the same under other noise."""
    random = np.random.default_rng(4)
    targets = np.repeat([0, 1, 2], 40)
    clean = random.normal(size=(3, 30))[targets] * 0.25

    def look(rows=range(120)):
        chosen = [int(getattr(row, "key", row)) for row in rows]
        return (clean + random.normal(size=clean.shape)).astype(np.float32)[chosen]

    store, run, rows = open_store(tmp_path / "workspace"), Run(tmp_path), rows_of(120)
    features = look()
    search = Search(
        store=store,
        run=run,
        recipe=Recipe(),
        labels=("cat", "dog", "eel"),
        rows=rows,
        train=rows,
        targets=targets,
        measured="test",
        clock=Clock(run, 60.0, spent=0.0),
        ledger=Ledger(run, quiet, budget=60.0),
        features=Features(store, 32, quiet),
        progress=quiet,
        lead=Lead(
            entrant=entrant, features=features, contest=judge(Recipe(), features, rows, targets, quiet)
        ),
    )
    return search, look


def test_further_views_are_added_as_long_as_each_helps(search):
    search, look = search
    plain = search.lead.standing

    search.see_also("mirrored", look, list(range(0, 120, 2)))
    mirrored = search.lead.standing
    search.see_also("cropped", look, list(range(0, 120, 2)))

    assert (mirrored.kind, list(search.lead.views)) == ("logistic, mirrored too", ["mirrored", "cropped"])
    assert search.lead.standing.kind == "logistic, mirrored and cropped too"
    assert contest.beats(plain, mirrored)
    assert contest.beats(mirrored, search.lead.standing)


def test_a_view_that_does_not_help_is_left_out_and_that_is_said(search):
    search, look = search
    before = search.lead

    search.see_also("mirrored", lambda rows: look(rows)[::-1], list(range(120)))

    assert search.lead is before
    said = search.ledger.board(before.standing, ()).reasons[-1]
    assert said.startswith("Mirrored pictures too, for the head: ")
    assert said.endswith(" standard errors worse on 120 pictures; they are left out.")
