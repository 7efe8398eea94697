"""Doubtful labels: what was planted comes first, and nobody vouches for a copy of its own."""

import numpy as np
import pytest

from regraft.data import label_lists
from regraft.engine import probe
from regraft.engine.label_errors import NEIGHBOURS, doubt
from regraft.errors import InvalidError
from regraft.recipe import Recipe
from regraft.records import Suggestion


def clouds(count, classes, *, apart, seed=0):
    """Return features of `classes` clouds with `count` pictures each, and their classes."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(classes), count)
    centres = random.normal(0, apart, (classes, 16))
    return (centres[targets] + random.normal(0, 1, (len(targets), 16))).astype(np.float32), targets


def out_of_fold(features, targets, families):
    return probe.fit(
        features, targets, Recipe().optim, families=families, folds=5, seed=0, step=lambda done, total: None
    ).out_of_fold


def suggestion(**changes):
    whole = {
        "key": "cat/1.jpg",
        "digest": "d" * 64,
        "split": "train",
        "label": "cat",
        "given": 0.1,
        "suggested": "dog",
        "probability": 0.9,
        "reason": "20 of the 20 most alike bear it, the net says so",
    }
    return Suggestion(**(whole | changes))


def test_planted_labels_come_first_with_the_right_one_suggested():
    features, right = clouds(40, 3, apart=2)
    given = right.copy()
    wrong = [3, 17, 50, 77, 99, 110]
    given[wrong] = (given[wrong] + 1) % 3
    families = [str(number) for number in range(len(given))]

    found = doubt(features, given, out_of_fold(features, given, families), families)

    assert sorted(found.places[:6].tolist()) == wrong
    assert found.suggested[:6].tolist() == right[found.places[:6]].tolist()
    assert (found.asked, bool((found.likely > found.given).all())) == (NEIGHBOURS, True)
    odds = found.likely / found.given
    assert odds.tolist() == sorted(odds, reverse=True)


def test_labels_that_are_right_are_not_doubted():
    features, right = clouds(40, 3, apart=4)
    families = [str(number) for number in range(len(right))]

    found = doubt(features, right, out_of_fold(features, right, families), families)

    assert found.places.tolist() == []


def test_copies_of_a_picture_do_not_vouch_for_its_label():
    features, right = clouds(30, 2, apart=2)
    copies = np.repeat(features[:1], 25, axis=0)
    features, given = np.concatenate([features, copies]), np.concatenate([right, np.ones(25, int)])
    given[0] = 1
    families = [*(str(number) for number in range(60)), *["0"] * 25]

    found = doubt(features, given, out_of_fold(features, given, families), families)

    assert set(found.places[:26].tolist()) == {0, *range(60, 85)}
    assert set(found.suggested[:26].tolist()) == {0}


def test_what_nobody_judged_is_not_doubted():
    features, given = clouds(20, 2, apart=2)
    given[0] = 1
    families = [str(number) for number in range(len(given))]
    said = out_of_fold(features, given, families)
    said[0] = np.nan

    found = doubt(features, given, said, families)

    assert 0 not in found.places


def test_a_list_is_read_as_it_was_written(tmp_path):
    list_of = [suggestion(), suggestion(key='a "b", c.jpg', suggested="=fish;\n")]
    file = tmp_path / "labels.csv"
    file.write_bytes(label_lists.write(list_of))

    lines = label_lists.read(file)

    assert [(line.key, line.label, line.digest) for line in lines] == [
        ("cat/1.jpg", "dog", "d" * 64),
        ('a "b", c.jpg', "=fish;", "d" * 64),
    ]


def test_a_list_that_a_spreadsheet_wrote_is_read(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes("\ufeffkey;suggested\r\nä.jpg;dog\r\nb.jpg;\r\n".encode())

    lines = label_lists.read(file)

    assert [(line.number, line.key, line.label, line.digest) for line in lines] == [(2, "ä.jpg", "dog", "")]


def test_what_is_no_list_is_refused(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("key,label\na.jpg,dog\n")

    with pytest.raises(InvalidError) as caught:
        label_lists.read(file)

    assert str(caught.value) == f"The list {str(file)!r} has no column 'suggested'."
