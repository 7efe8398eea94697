"""What differs between two versions of a dataset, and how it is told."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.data.diff import Changed, ClassChange, Diff, Picture, compare
from regraft.records import DatasetVersion, Row, SplitRule, digest
from regraft.reports.diff_text import summary
from regraft.store import tables
from regraft.store.leases import lease
from regraft.store.opening import open_store

EMPTY = Diff(added=(), removed=(), relabelled=(), moved=(), renamed=(), regrouped=(), metadata=(), classes=())


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


def test_a_version_does_not_differ_from_itself(store):
    version = written(store, [row("a"), row("b")])

    diff = compare(store, version, version)

    assert diff == EMPTY
    assert (diff.empty, summary(diff)) == (True, "No picture differs.")


def test_every_difference_is_told_once(store):
    old = [row(name) for name in ("10", "9", "b", "c", "d", "e", "f", "same")]
    new = [
        replace(row("b"), label="dog"),
        replace(row("c"), split="val"),
        replace(row("d"), key="moved/d"),
        replace(row("e"), group="g"),
        replace(row("f"), metadata='{"by": "hand"}'),
        row("same"),
        row("x", label="owl"),
    ]

    diff = compare(store, written(store, old), written(store, new))

    assert diff == Diff(
        added=(Picture(key="x", digest=digest(b"x"), label="owl", split="train"),),
        removed=tuple(
            Picture(key=key, digest=digest(key.encode()), label="cat", split="train") for key in ("9", "10")
        ),
        relabelled=(Changed(key="b", digest=digest(b"b"), old="cat", new="dog"),),
        moved=(Changed(key="c", digest=digest(b"c"), old="train", new="val"),),
        renamed=(Changed(key="moved/d", digest=digest(b"d"), old="d", new="moved/d"),),
        regrouped=(Changed(key="e", digest=digest(b"e"), old="", new="g"),),
        metadata=(Changed(key="f", digest=digest(b"f"), old="{}", new='{"by": "hand"}'),),
        classes=(
            ClassChange(label="cat", old=8, new=5, added=0, removed=2, gained=0, lost=1),
            ClassChange(label="dog", old=0, new=1, added=0, removed=0, gained=1, lost=0),
            ClassChange(label="owl", old=0, new=1, added=1, removed=0, gained=0, lost=0),
        ),
    )
    assert diff.counts == {
        "added": 1,
        "removed": 2,
        "relabelled": 1,
        "moved": 1,
        "renamed": 1,
        "regrouped": 1,
        "metadata": 1,
    }
    assert not diff.empty


def test_a_picture_that_changes_in_several_ways_is_in_each_part(store):
    old, new = row("a"), replace(row("a"), key="b", label="dog", split="test")

    diff = compare(store, written(store, [old]), written(store, [new]))

    assert {name for name, count in diff.counts.items() if count} == {"relabelled", "moved", "renamed"}


def test_another_picture_under_the_same_key_is_another_picture(store):
    old, new = row("a"), replace(row("a"), digest=digest(b"other"))

    diff = compare(store, written(store, [old]), written(store, [new]))

    assert {name for name, count in diff.counts.items() if count} == {"added", "removed"}


def test_another_order_and_another_place_of_the_bytes_are_no_difference(store):
    old = [row("a"), row("b")]
    new = [replace(row("b"), pack="bb" * 32, offset=7), row("a")]

    diff = compare(store, written(store, old), written(store, new))

    assert diff == EMPTY


def test_segments_that_both_versions_have_are_not_read(store, monkeypatch):
    monkeypatch.setattr(tables, "SEGMENT", 2)
    old = written(store, [row(name) for name in "abcdef"])
    new = written(store, [row(name) for name in "abcd"] + [row("e", label="dog"), row("f")])
    for segment in old.segments[:2]:
        (store.root / store.blobs.name(segment.digest)).unlink()

    diff = compare(store, old, new)

    assert [item.key for item in diff.relabelled] == ["e"]


def test_two_large_versions_are_compared_within_a_second_of_computing(store):
    rows = [row(str(number), label=f"class {number % 10}") for number in range(100_000)]
    old = written(store, rows)
    changed = rows[:50] + [replace(one, label="new") for one in rows[50:150]] + rows[150:]
    new = written(store, changed)

    start = time.process_time()
    diff = compare(store, old, new)
    seconds = time.process_time() - start

    assert (diff.counts["relabelled"], sum(diff.counts.values())) == (100, 100)
    assert seconds < 1


def test_a_difference_is_written_in_plain_lines(store):
    old = [row(f"cat/{number}") for number in range(4)]
    new = [replace(row("cat/0"), label="dog"), replace(row("cat/1"), key="cat/\x1bone")]

    text = summary(compare(store, written(store, old), written(store, new)))

    assert text.splitlines() == [
        "removed     2 pictures",
        "            cat/2 (cat, train)",
        "            cat/3 (cat, train)",
        "relabelled  1 picture",
        "            cat/0: 'cat' -> 'dog'",
        "renamed     1 picture",
        r"            cat/1 -> cat/\x1bone",
        "classes     cat: 4 -> 1 (2 removed, 1 relabelled from it)",
        "            dog: 0 -> 1 (1 relabelled to it)",
    ]


def test_of_many_pictures_the_first_are_written(store):
    old, new = [row("a")], [row(str(number), label=str(number)) for number in range(12)]

    text = summary(compare(store, written(store, old), written(store, new)), limit=1)

    assert text.splitlines() == [
        "added       12 pictures",
        "            0 (0, train)",
        "            and 11 more",
        "removed     1 picture",
        "            a (cat, train)",
        "classes     0: 0 -> 1 (1 added)",
        "            and 12 more",
    ]


ROWS = st.lists(
    st.builds(
        lambda name, label, split, key: replace(row(name, label=label), split=split, key=key or name),
        st.sampled_from("abcdef"),
        st.sampled_from(["cat", "dog"]),
        st.sampled_from(["train", "val"]),
        st.sampled_from(["", "another"]),
    ),
    unique_by=lambda one: one.digest,
)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(ROWS, ROWS)
def test_a_difference_read_backwards_is_its_mirror(tmp_path_factory, one, two):
    store = open_store(tmp_path_factory.mktemp("store") / "workspace")
    before, after = written(store, one), written(store, two)

    there, back = compare(store, before, after), compare(store, after, before)

    assert (there.added, there.removed) == (back.removed, back.added)
    for part in ("relabelled", "moved", "renamed", "regrouped", "metadata"):
        assert {(item.digest, item.old, item.new) for item in getattr(there, part)} == {
            (item.digest, item.new, item.old) for item in getattr(back, part)
        }
    assert there.classes == tuple(
        replace(
            item,
            old=item.new,
            new=item.old,
            added=item.removed,
            removed=item.added,
            gained=item.lost,
            lost=item.gained,
        )
        for item in back.classes
    )
    assert there.empty == (set(one) == set(two))


def row(name, *, label="cat"):
    """Return the row of a picture whose content is its name."""
    return Row(
        key=name,
        digest=digest(name.encode()),
        pack="aa" * 32,
        offset=0,
        length=1,
        label=label,
        split="train",
        width=4,
        height=3,
    )


def written(store, rows):
    """Store rows, and return the record of a version that has them."""
    with lease(store.storage):
        segments = tables.write_rows(store.blobs, rows)
    splits = defaultdict(Counter)
    for one in rows:
        splits[one.split][one.label] += 1
    return DatasetVersion(
        parent=None,
        labels=tuple(sorted({one.label for one in rows})),
        splits={split: dict(labels) for split, labels in splits.items()},
        split_rule=SplitRule(fractions={}, seed=0),
        count=len(rows),
        segments=segments,
        packs=("aa" * 32,),
        size=len(rows),
        refused=None,
        refused_count=0,
    )
