"""The doctor: every defect that was planted is found, and the clean twin is left in peace."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from regraft.data import facts, pictures
from regraft.data.checks.labels import find_issues, more_than_slips
from regraft.data.checks.patient import Patient
from regraft.data.checks.shortcuts import association
from regraft.data.doctor import CHECKS, examine
from regraft.data.sources.planted import PLANTED, planted
from regraft.errors import InvalidPicture
from regraft.progress import silent
from regraft.records import Refused, Row, digest

CODES = {code for codes, _ in CHECKS for code in codes}


def patient(labels, *, splits=None, refused=(), probabilities=None, given=True, classes=None, **values):
    """Make a patient of ordinary pictures that do not look alike; `values` are facts of each."""
    count = len(labels)
    measured = np.zeros(count, facts.FACTS)
    random = np.random.default_rng(7)
    measured["thumb"] = random.integers(0, 256, (count, 16, 16))
    ordinary = {"brightness": 0.5, "contrast": 0.2, "sharpness": 1.2, "chroma": 0.2, "orientation": 1}
    for name, value in {**ordinary, "width": 400, "height": 300, "size": 30_000, **values}.items():
        measured[name] = value
    rows = [
        Row(
            key=f"{number}.jpg",
            digest=f"{number:064}",
            pack="",
            offset=0,
            length=30_000,
            label=label,
            split=splits[number] if splits else "train",
            width=int(measured[number]["width"]),
            height=int(measured[number]["height"]),
        )
        for number, label in enumerate(labels)
    ]
    return Patient(
        rows=rows,
        facts=measured,
        refused=refused,
        labels=tuple(classes or sorted(set(labels))),
        given=given,
        probabilities=probabilities,
    )


def found(sick, *codes):
    """Return severity and count of what was found, by code; of some codes, or of all but `few-pictures`."""
    findings, _, _ = examine(sick, progress=silent)
    wanted = codes or CODES - {"few-pictures"}
    return {finding.code: (finding.severity, finding.count) for finding in findings if finding.code in wanted}


def the(sick, code):
    findings, _, _ = examine(sick, progress=silent)
    return next(finding for finding in findings if finding.code == code)


def values(count, ordinary, **odd):
    """Return `count` ordinary values but for some: `values(40, 1.2, at_3=0.2)`."""
    result = np.full(count, ordinary, float)
    for place, value in odd.items():
        result[int(place.removeprefix("at_"))] = value
    return result


TWO = ["cat"] * 30 + ["dog"] * 30


@cache
def admitted(*, defects):
    """Read the planted pictures as they are read when they are added, and judge them out of fold."""
    measured, read, refused = {}, {}, []
    copies = {}
    with pictures.quiet():
        for entry in planted(defects).entries:
            data = entry.read()
            copies.setdefault(digest(data), []).append(entry)
            try:
                measured[digest(data)], read[digest(data)] = facts.measure(data), data
            except InvalidPicture as error:
                reason = str(error).removesuffix(".")
                refused.append(Refused(key=entry.key, reason=reason, digest=digest(data), label=entry.label))
    rows = []
    for name in measured:
        entries = copies[name]
        labels = sorted({entry.label for entry in entries})
        if len(labels) > 1:
            reason = f"the same picture is labelled {' and '.join(map(repr, labels))}"
            refused += [
                Refused(key=entry.key, reason=reason, digest=name, label=entry.label) for entry in entries
            ]
            continue
        first = min(entries, key=lambda entry: entry.split == "train")
        reason = f"the same picture as {first.key!r}"
        refused += [
            Refused(key=entry.key, reason=reason, digest=name, label=entry.label)
            for entry in entries
            if entry is not first
        ]
        size = {"width": int(measured[name]["width"]), "height": int(measured[name]["height"])}
        place = {"pack": "", "offset": 0, "length": int(measured[name]["size"])}
        rows.append(Row(key=first.key, digest=name, label=first.label, split=first.split, **place, **size))
    labels = tuple(sorted({row.label for row in rows}))
    return Patient(
        rows=rows,
        facts=np.stack([measured[row.digest] for row in rows]),
        refused=refused,
        labels=labels,
        given=True,
        probabilities=judged([read[row.digest] for row in rows], [labels.index(row.label) for row in rows]),
    )


def judged(read, targets):
    """Return what a logistic regression on the colours says of pictures that it has not learned from."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    colours = np.array([histogram(data) for data in read])
    net = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        likely = cross_val_predict(net, colours, targets, cv=5, method="predict_proba")
    return likely.astype(np.float32)


def histogram(data):
    pixels = np.asarray(Image.open(BytesIO(data)).convert("RGB").resize((64, 64)).convert("HSV"))[8:56, 8:56]
    hue, saturation = pixels[..., 0], pixels[..., 1].astype(float)
    strong, _ = np.histogram(hue, 32, (0, 256), weights=saturation)
    levels, _ = np.histogram(saturation, 8, (0, 256))
    return np.concatenate([strong / 1e5, levels / 5e3])


def test_every_planted_defect_is_found():
    sick = admitted(defects=True)

    findings, checked, skipped = examine(sick, progress=silent)

    counts = {finding.code: finding.count for finding in findings}
    exact = {code: count for code, count in PLANTED.items() if code != "wrong-labels"}
    assert {code: counts.get(code) for code in exact} == exact
    assert counts.keys() == PLANTED.keys()
    assert set(checked) == CODES
    assert skipped == {}


def test_the_planted_wrong_labels_are_among_the_likeliest():
    wrong = {f"train/{label}/{number:03}.jpg" for label, numbers in WRONG.items() for number in numbers}

    finding = the(admitted(defects=True), "wrong-labels")

    shown = {example.keys[0] for example in finding.examples}
    assert len(wrong) == PLANTED["wrong-labels"]
    assert len(shown & wrong) >= 5
    assert finding.severity == "warning"


WRONG = {"brick": (20, 23), "leaf": (21, 24), "plum": (22, 25)}


def test_the_clean_twin_has_nothing_to_look_at():
    healthy = admitted(defects=False)

    findings, checked, skipped = examine(healthy, progress=silent)

    assert [finding for finding in findings if finding.severity != "note"] == []
    assert len(healthy.rows) == len(planted(defects=False).entries)
    assert (set(checked), skipped) == (CODES, {})


def test_the_planted_pictures_depend_on_the_seed_alone():
    first, again, other = (planted(seed=seed).entries for seed in (0, 0, 1))

    assert [entry.key for entry in first] == [entry.key for entry in again]
    assert [entry.read() for entry in first[::40]] == [entry.read() for entry in again[::40]]
    assert first[10].read() != other[10].read()


def test_the_gravest_findings_come_first():
    findings, _, _ = examine(admitted(defects=True), progress=silent)

    severities = [finding.severity for finding in findings]

    assert severities == sorted(severities, key=("error", "warning", "note").index)
    assert set(severities) == {"error", "warning", "note"}


def test_a_finding_shows_pictures_with_their_digests():
    finding = the(admitted(defects=True), "leakage")

    keys = {row.key: row for row in admitted(defects=True).rows}

    assert len(finding.examples) == PLANTED["leakage"]
    for example in finding.examples:
        assert [keys[key].split for key in example.keys] == ["test", "train"]
        assert example.digests == tuple(keys[key].digest for key in example.keys)
        assert example.words == "test and train"


def test_an_empty_dataset_is_not_examined_to_death():
    assert found(patient([])) == {}


def test_an_ordinary_dataset_is_left_in_peace():
    assert found(patient(TWO, splits=["train"] * 20 + ["test"] * 10 + ["train"] * 20 + ["test"] * 10)) == {}


def test_progress_is_told_up_to_the_end():
    heard = []

    examine(patient(TWO), progress=lambda task, done, total: heard.append((done, total)))

    assert heard == [(done, len(CHECKS)) for done in range(1, len(CHECKS) + 1)]


@pytest.mark.parametrize(("place", "severity"), [("train/cat/x.jpg", "note"), ("test/cat/x.jpg", "warning")])
def test_an_exact_copy_from_another_split_is_worth_a_warning(place, severity):
    refused = [Refused(key=place, reason="the same picture as '0.jpg'", digest=f"{0:064}", label="cat")]

    finding = the(patient(TWO, refused=refused), "exact-duplicates")

    assert (finding.severity, finding.count) == (severity, 1)
    assert finding.examples[0].keys == (place, "0.jpg")


def test_look_alikes_are_sorted_by_where_they_stand():
    sick = patient([*TWO, "cat", "cat", "dog"], splits=["train"] * 60 + ["train", "test", "train"])
    for copy, original in ((60, 0), (61, 1), (62, 2)):
        sick.facts["thumb"][copy] = np.rot90(sick.facts["thumb"][original])

    assert found(sick, "near-duplicates", "leakage", "conflicting-labels") == {
        "near-duplicates": ("note", 1),
        "leakage": ("error", 1),
        "conflicting-labels": ("error", 1),
    }


def test_copies_among_held_out_pictures_are_worth_a_warning():
    sick = patient([*TWO, "cat"], splits=["train"] * 50 + ["test"] * 11)
    sick.facts["thumb"][60] = sick.facts["thumb"][55][::-1]
    sick.facts["thumb"][59] = sick.facts["thumb"][58]

    assert found(sick, "near-duplicates", "conflicting-labels") == {
        "near-duplicates": ("warning", 1),
        "conflicting-labels": ("error", 1),
    }


def test_equal_files_under_two_labels_are_one_conflict():
    reason = "the same picture is labelled 'cat' and 'dog'"
    refused = [Refused(key=f"{name}/x.jpg", reason=reason, digest="d", label=name) for name in ("cat", "dog")]

    finding = the(patient(TWO, refused=refused), "conflicting-labels")

    assert (finding.severity, finding.count) == ("error", 1)
    assert finding.examples[0].words == "labelled 'cat' and 'dog'"


def test_blank_pictures_are_not_copies_of_each_other():
    sick = patient(TWO, splits=["train", "test"] * 30, contrast=values(60, 0.2, at_3=0.0, at_4=0.0))
    sick.facts["thumb"][3:5] = 128

    assert found(sick) == {"blank": ("warning", 2)}


def test_only_broken_files_are_unreadable():
    sound = [
        "the same picture as '0.jpg'",
        "the same picture is labelled 'cat' and 'dog'",
        "was dropped by hand",
        "belongs with 'a' in 'test': it would stand on both sides",
    ]
    refused = [Refused(key=f"{n}.png", reason=reason) for n, reason in enumerate([*sound, "truncated"])]

    finding = the(patient(TWO, refused=refused), "unreadable")

    assert (finding.severity, finding.count) == ("warning", 1)
    assert [(example.keys, example.words) for example in finding.examples] == [(("4.png",), "truncated")]


@pytest.mark.parametrize(
    ("code", "odd", "plain"),
    [
        ("tiny", {"width": values(60, 400, at_3=40), "height": 300}, {"width": 28, "height": 28}),
        ("blank", {"contrast": values(60, 0.2, at_3=0.004)}, {"contrast": 0.01}),
        (
            "dark",
            {"brightness": values(60, 0.5, at_3=0.05), "contrast": values(60, 0.2, at_3=0.01)},
            {"brightness": 0.05, "contrast": 0.05},
        ),
        (
            "overexposed",
            {"brightness": values(60, 0.5, at_3=0.97), "contrast": values(60, 0.2, at_3=0.03)},
            {"brightness": 0.97, "contrast": 0.05},
        ),
        ("blurred", {"sharpness": values(60, 1.2, at_3=0.3)}, {"sharpness": 0.4}),
        ("odd-aspect", {"width": values(60, 400, at_3=1600)}, {"width": 1200}),
    ],
)
def test_a_picture_is_odd_only_next_to_the_others(code, odd, plain):
    finding = the(patient(TWO, **odd), code)

    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.examples[0].keys == ("3.jpg",)
    assert found(patient(TWO, **plain)) == {}


def test_one_odd_picture_of_many_is_a_note():
    labels = ["cat"] * 200 + ["dog"] * 200

    assert found(patient(labels, sharpness=values(400, 1.2, at_3=0.3))) == {"blurred": ("note", 1)}


@pytest.mark.parametrize("alone", [0.0, 0.2])
def test_a_class_that_is_alone_in_grey_or_in_colour_is_told(alone):
    chroma = np.array([alone] * 30 + [0.2 - alone] * 60)

    finding = the(patient([*TWO, *["owl"] * 30], chroma=chroma), "grey-only-class")

    assert (finding.severity, finding.count) == ("warning", 1)
    assert finding.examples[0].words.startswith("'cat': ")


def test_grey_pictures_here_and_there_are_not_told():
    chroma = np.where(np.arange(60) % 3 == 0, 0.0, 0.2)

    assert found(patient(TWO, chroma=chroma)) == {}


@pytest.mark.parametrize(
    ("code", "name", "of_cats", "of_dogs"),
    [("size-correlated", "width", 640, 400), ("format-correlated", "format", 1, 0)],
)
def test_a_class_that_its_files_give_away_is_told(code, name, of_cats, of_dogs):
    by_class = np.array([of_cats] * 30 + [of_dogs] * 30)
    by_turns = np.where(np.arange(60) % 2, of_cats, of_dogs)

    assert found(patient(TWO, **{name: by_class})) == {code: ("warning", 2)}
    assert found(patient(TWO, **{name: by_turns})) == {}


def test_sizes_that_are_all_different_give_nothing_away():
    random = np.random.default_rng(0)

    assert (
        found(patient(TWO, width=random.integers(300, 500, 60), height=random.integers(300, 500, 60))) == {}
    )


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (np.where(np.arange(60) % 2, 6, 1), ("note", 30)),
        (np.array([6] * 30 + [1] * 30), ("warning", 30)),
    ],
)
def test_pictures_turned_by_exif_are_noted_and_warned_of_by_class(orientation, expected):
    assert found(patient(TWO, orientation=orientation)) == {"orientation": expected}


def test_an_association_is_none_by_chance_and_full_where_all_is_said():
    random = np.random.default_rng(0)
    chance = [association(random.multinomial(10, [0.2] * 5, 4)) for _ in range(50)]

    assert association(np.diag([10, 20, 30])) == pytest.approx(1, abs=0.05)
    assert association(np.array([[10, 20], [20, 40]])) == 0
    assert association(np.array([[10, 20]])) == 0
    assert np.mean(chance) < 0.12


@pytest.mark.parametrize(
    ("dogs", "expected"), [(20, {}), (12, {"imbalance": ("note", 1)}), (3, {"imbalance": ("warning", 1)})]
)
def test_unequal_classes_are_told_by_how_unequal_they_are(dogs, expected):
    assert found(patient(["cat"] * 80 + ["dog"] * dogs)) == expected


@pytest.mark.parametrize(
    ("dogs", "expected"),
    [(10, {}), (9, {"few-pictures": ("warning", 1)}), (2, {"few-pictures": ("error", 1)})],
)
def test_a_class_of_few_pictures_is_told(dogs, expected):
    assert found(patient(["cat"] * 40 + ["dog"] * dogs), "few-pictures") == expected


def test_a_class_of_many_pictures_may_have_few_to_learn_from():
    sick = patient(TWO, splits=["train"] * 30 + ["train"] * 5 + ["test"] * 25)

    assert found(sick, "few-pictures") == {"few-pictures": ("warning", 1)}
    assert the(sick, "few-pictures").examples[0].words == "'dog': 30 pictures, 5 of train"


def test_a_class_that_a_split_lacks_is_named():
    sick = patient([*TWO, *["owl"] * 12], splits=["train", "test"] * 15 + ["train"] * 30 + ["test"] * 12)

    assert found(sick) == {"missing-in-split": ("warning", 1), "unknown-in-split": ("error", 1)}
    assert the(sick, "missing-in-split").examples[0].words == "test has no 'dog'"
    assert the(sick, "unknown-in-split").examples[0].words == "test has 'owl', train has not"


def test_a_dataset_to_be_evaluated_on_lacks_no_train():
    assert found(patient(TWO, splits=["test"] * 60)) == {}


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "Cat"),
        ("cat", "cats"),
        ("hot dog", "hot_dog"),
        ("cat ", "cat"),
        ("caf\u00e9", "cafe\u0301"),
        ("berry", "berries"),
        ("box", "boxes"),
    ],
)
def test_two_spellings_of_one_word_clash(names):
    finding = the(patient([names[0]] * 30 + [names[1]] * 30), "name-clash")

    assert (finding.severity, finding.count) == ("warning", 1)
    assert all(repr(name) in finding.title for name in names)


@pytest.mark.parametrize("names", [("cat", "car"), ("glass", "glas"), ("0", "1"), ("bus", "bu"), ("s", "ss")])
def test_two_words_do_not_clash(names):
    assert found(patient([names[0]] * 30 + [names[1]] * 30)) == {}


def confident(given, *, wrong=()):
    """Return probabilities of a net that is mostly right, and of the opposite of some labels."""
    random = np.random.default_rng(3)
    sure = random.uniform(0.7, 1, len(given))
    sure[list(wrong)] = 0.01
    likely = np.empty((len(given), 2), np.float32)
    likely[np.arange(len(given)), given] = sure
    likely[np.arange(len(given)), 1 - given] = 1 - sure
    return likely


def test_wrong_labels_are_found_with_what_is_likelier():
    given = np.array([0] * 30 + [1] * 30)

    finding = the(patient(TWO, probabilities=confident(given, wrong=(4, 40))), "wrong-labels")

    assert (finding.severity, finding.count) == ("warning", 2)
    assert [(example.keys, example.words) for example in finding.examples] == [
        (("4.jpg",), "labelled 'cat', likelier 'dog' (99% to 1%)"),
        (("40.jpg",), "labelled 'dog', likelier 'cat' (99% to 1%)"),
    ]


def test_a_net_that_agrees_doubts_no_label():
    given = np.array([0] * 30 + [1] * 30)

    assert found(patient(TWO, probabilities=confident(given))) == {}


def test_pictures_that_no_net_has_judged_are_passed_over():
    likely = confident(np.array([0] * 30 + [1] * 30), wrong=(4,))
    likely[10:20] = np.nan

    finding = the(patient(TWO, probabilities=likely), "wrong-labels")

    assert [example.keys for example in finding.examples] == [("4.jpg",)]


@pytest.mark.parametrize(
    ("probabilities", "reason"),
    [
        (None, "No net has judged the pictures without learning from them."),
        (np.full((60, 2), np.nan, np.float32), "No net has judged the pictures without learning from them."),
        (
            np.tile(np.array([0.6, 0.4], np.float32), (60, 1)),
            "The net agrees with 50% of the labels, too few to doubt the others.",
        ),
    ],
)
def test_labels_are_not_doubted_without_a_net_that_knows_them(probabilities, reason):
    _, checked, skipped = examine(patient(TWO, probabilities=probabilities), progress=silent)

    assert skipped == {"wrong-labels": reason}
    assert set(checked) == CODES - {"wrong-labels"}


def noisy(noise):
    """Return calibrated probabilities of five classes, and labels of which some are wrong, by number."""
    random = np.random.default_rng(11)
    scores = random.gumbel(size=(2000, 5))
    truth = random.integers(0, 5, 2000)
    scores[np.arange(2000), truth] += random.uniform(1, 9, 2000)
    likely = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    given = truth.copy()
    wrong = random.permutation(2000)[: int(2000 * noise)]
    given[wrong] = (given[wrong] + random.integers(1, 5, len(wrong))) % 5
    return likely, given, wrong


def test_most_of_the_labels_that_are_doubted_are_wrong():
    likely, given, wrong = noisy(0.05)

    doubtful, suggested = find_issues(likely, given)

    assert np.isin(doubtful, wrong).mean() > 0.8
    assert np.isin(wrong, doubtful).mean() > 0.5
    assert (suggested != given[doubtful]).all()
    margins = likely[doubtful, suggested] - likely[doubtful, given[doubtful]]
    assert (np.diff(margins) <= 0).all()


def test_a_nets_own_slips_are_no_wrong_labels():
    clean, spoilt = noisy(0.0), noisy(0.03)

    assert not more_than_slips(clean[0], clean[1])
    assert more_than_slips(spoilt[0], spoilt[1])


def test_a_group_that_stands_in_two_splits_is_told():
    sick = patient(["cat"] * 12, splits=["train"] * 10 + ["test"] * 2)
    rows = [
        replace(row, group=group) for row, group in zip(sick.rows, ["a"] * 9 + ["b"] * 2 + [""], strict=True)
    ]

    finding = the(replace(sick, rows=rows), "parted-groups")

    assert (finding.severity, finding.count, finding.title) == (
        "error",
        1,
        "1 group stands in more than one split.",
    )
    assert [(example.keys, example.words) for example in finding.examples] == [
        (("9.jpg", "10.jpg"), "b: 'test' and 'train'")
    ]


def test_look_alikes_do_not_make_a_group_that_a_person_named():
    sick = patient(["cat"] * 2, splits=["train", "test"])
    rows = [replace(row, group="~0123") for row in sick.rows]

    assert found(replace(sick, rows=rows), "parted-groups") == {}
