"""A soup whose run is cut off: the epochs that it is made of are the same, to the last bit."""

import signal

import pytest
from tests.faults.tuning import EACH_EPOCH

#: The third epoch is not better than the second with this rate, so that there is something to choose.
SOUP = (EACH_EPOCH, "train.soup=2", "train.epochs=4", "optim.lr=0.003")


@pytest.fixture(scope="module")
def whole(tuning):
    """A run that nothing has happened to."""
    place = tuning.copy()
    ended = tuning.finetune(place, *SOUP)
    assert ended.status == 0, ended.err
    return place


def ingredients(place):
    """What the weights of epochs are called that the latest run has kept: numbers, and digests of all."""
    return sorted(path.name for path in (place.folder / "checkpoints" / "soup").iterdir())


def test_a_soup_is_of_the_best_epochs_and_the_record_names_them(whole):
    training = whole.model["training"]

    by_loss = sorted(training["epochs"], key=lambda epoch: epoch["loss"])
    best = [epoch["epoch"] for epoch in by_loss[:2]]
    assert [int(name.split("-")[1]) for name in ingredients(whole)] == sorted(best)
    assert training["best"] == best[0]
    assert training["soup"] in (best, best[:1])


@pytest.mark.parametrize(
    "points",
    [
        # of each epoch its weights come first, then its checkpoint
        ("checkpoint.publish=kill@2", "checkpoint.published=kill@1", "checkpoint.published=kill@2"),
        ("checkpoint.published=kill@3", "checkpoint.write=kill@2", "checkpoint.flush=kill@3"),
        ("checkpoint.published=kill@4", "journal.end.write=kill@1"),
    ],
    ids=" ".join,
)
def test_a_soup_whose_run_is_killed_is_the_same(tuning, whole, points):
    place = tuning.copy()

    statuses = [tuning.finetune(place, *SOUP, failpoints=points[0]).status]
    statuses += [place.run("run", "resume", "latest", failpoints=point).status for point in points[1:]]
    last = place.run("run", "resume", "latest")

    assert statuses == [-signal.SIGKILL] * len(points)
    assert last.status == 0, last.err
    assert (place.outcome, ingredients(place)) == (whole.outcome, ingredients(whole))


def test_a_run_that_is_extended_may_choose_among_all_epochs(tuning, whole):
    place = tuning.copy(whole)

    ended = place.run("run", "extend", "latest", "--epochs", "+1")

    assert ended.status == 0, ended.err
    kept = ingredients(place)
    assert len(kept) == 2
    assert set(kept) & set(ingredients(whole))
