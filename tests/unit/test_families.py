"""Families: pictures that share a group or look alike, and so never stand in different splits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from regraft.data import ingest
from regraft.data.facts import FACTS
from regraft.data.families import Family, Member, families, grouped
from regraft.data.sources.listing import Entry, Listing
from regraft.errors import InvalidError
from regraft.progress import silent
from regraft.records import DatasetVersion, Row, SplitRule, digest
from regraft.store.opening import open_store
from regraft.store.tables import read_rows


def test_without_a_rule_pictures_have_the_groups_of_their_source():
    members = [member("a", group="x"), member("b")]

    assert grouped(members, "", old_times=list) == ["x", ""]


def test_a_column_groups_and_the_group_of_the_source_comes_first():
    members = [
        member("a", metadata='{"patient": "p1"}'),
        member("b", metadata='{"patient": 7}'),
        member("c", metadata='{"patient": "p1"}', group="mine"),
        member("d", metadata='{"patient": ""}'),
        member("e"),
    ]

    assert grouped(members, "column:patient", old_times=list) == ["patient=p1", "patient=7", "mine", "", ""]


def test_a_part_of_the_path_groups():
    keys = ["cat/film1_001.png", "dog/film1_002.png", "cat/film2_001.png", "cat/single.png"]

    whole = grouped([member(key) for key in keys], r"path:film\d+", old_times=list)
    part = grouped([member(key) for key in keys], r"path:film(\d)_(0)?", old_times=list)

    assert whole == ["path=film1", "path=film1", "path=film2", ""]
    assert part == ["path=1|0", "path=1|0", "path=2|0", ""]


def test_pictures_taken_one_after_the_other_are_a_group_wherever_they_stand_in_the_list():
    members = [member(str(taken), taken=taken) for taken in (300, 100, 0, 155, 130)]

    groups = grouped(members, "time:30", old_times=list)

    assert groups == ["time=300", "time=100", "", "time=100", "time=100"]


def test_a_burst_that_old_pictures_belong_to_has_their_family():
    members = [member("a", taken=100), member("b", taken=160), member("c", taken=500)]

    groups = grouped(members, "time:60", old_times=lambda: [(130, "~old"), (0, "~unknown")])

    assert groups == ["~old", "~old", "time=500"]


@pytest.mark.parametrize(
    ("rule", "fact", "hint"),
    [
        ("name:a", "The rule 'name:a' groups nothing.", "Write column:NAME, path:REGEX or time:SECONDS."),
        ("path:", "The rule 'path:' groups nothing.", "Write column:NAME, path:REGEX or time:SECONDS."),
        ("time:soon", "'soon' is no number of seconds.", "Such as time:60"),
        ("time:-1", "'-1' is no number of seconds.", "Such as time:60"),
        ("column:x", "The rule 'column:x' finds no group in any picture.", "Name a column of the list."),
        ("path:z", "The rule 'path:z' finds no group in any picture.", "The paths look like 'cat/a.png'."),
        (
            "time:60",
            "The rule 'time:60' finds no group in any picture.",
            "The pictures do not say when they were taken (EXIF).",
        ),
    ],
)
def test_a_rule_that_groups_nothing_is_refused(rule, fact, hint):
    with pytest.raises(InvalidError) as caught:
        grouped([member("cat/a.png")], rule, old_times=list)

    assert (str(caught.value), caught.value.hint, caught.value.where) == (fact, hint, "group_by")


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(InvalidError) as caught:
        grouped([member("a")], "path:(", old_times=list)

    assert str(caught.value).startswith("'(' is no regular expression: missing )")


def test_who_shares_a_group_is_a_family_and_others_are_alone():
    members = [member(name) for name in "abcd"]

    found = joined(members, ["x", "", "x", "y"])

    assert found == [
        Family(members=[0, 2], name="x"),
        Family(members=[1]),
        Family(members=[3], name="y"),
    ]


def test_who_looks_alike_is_a_family_called_by_the_content_of_one():
    members = [member("a", look=1), member("b", look=2), member("c", look=1, turned=True), member("d")]

    found = joined(members, [""] * 4)

    name = min(digest(b"a"), digest(b"c"))[:16]
    assert found == [
        Family(members=[0, 2], name=f"~{name}"),
        Family(members=[1]),
        Family(members=[3]),
    ]


def test_looks_do_not_count_where_they_should_not():
    members = [member("a", look=1), member("b", look=1)]

    assert joined(members, ["", ""], alike=False) == [Family(members=[0]), Family(members=[1])]


def test_groups_and_looks_chain_pictures_together():
    members = [member("a"), member("b", look=1), member("c", look=1), member("d")]

    assert joined(members, ["x", "x", "y", "y"]) == [Family(members=[0, 1, 2, 3], name="x")]


def test_new_pictures_come_into_the_family_of_old_ones():
    of_group, alike = row("old 1", group="x"), row("old 2")
    members = [member("a", group="x"), member("b", look=1), member("c", look=2)]

    found = families(
        members,
        alike=True,
        old_of_group=lambda names: [one for one in [of_group] if one.family in names],
        old_alike=lambda facts: [(0, alike)],
    )

    assert found == [
        Family(members=[0], name="x", old=[of_group]),
        Family(members=[1], name=f"~{digest(b'old 2')[:16]}", old=[alike]),
        Family(members=[2]),
    ]


BATCHES = st.lists(
    st.tuples(
        st.sampled_from(["append", "overwrite"]),
        st.lists(st.integers(0, 29), min_size=1, max_size=8, unique=True),
    ),
    min_size=2,
    max_size=4,
)


@settings(derandomize=True, max_examples=12, deadline=None)
@given(st.dictionaries(st.integers(0, 29), st.sampled_from("xyz"), max_size=12), BATCHES)
def test_no_family_ever_stands_in_two_splits(tmp_path_factory, draw_alike, groups, batches):
    store = open_store(tmp_path_factory.mktemp("store") / "workspace")
    rule = SplitRule(fractions={"train": 0.5, "val": 0.25, "test": 0.25}, seed=0)

    for mode, numbers in batches:
        entries = [
            Entry(
                key=str(number),
                label=f"{number % 2}",
                group=groups.get(number, ""),
                read=partial(draw_alike, number),
            )
            for number in numbers
        ]
        added = ingest.add(store, "photos", Listing(reader="test", entries=entries), rule, silent, mode=mode)

        sides = defaultdict(set)
        for one in read_rows(store.blobs, added.version.read(DatasetVersion).segments):
            sides[one.family].add(one.split)
            sides[f"look {int(one.key) % 10}"].add(one.split)
        assert [name for name, where in sides.items() if len(where) > 1] == []


@pytest.fixture(scope="module")
def draw_alike():
    """Draw pictures by number: those with the same last digit are one photograph, brightened anew."""

    def drawn(number):
        waves = np.random.default_rng(number % 10).normal(size=(8, 8))
        image = Image.fromarray((waves * 30 + 110 + number).clip(0, 255).astype(np.uint8))
        buffer = BytesIO()
        image.resize((64, 64), Image.Resampling.BICUBIC).save(buffer, format="PNG")
        return buffer.getvalue()

    return drawn


def joined(members, groups, *, alike=True):
    """Find families where there are no old pictures."""
    together = [replace(one, group=group) for one, group in zip(members, groups, strict=True)]
    return families(together, alike=alike, old_of_group=lambda names: [], old_alike=lambda facts: [])


def member(key, *, group="", metadata="{}", taken=0, look=None, turned=False):
    """Return a new picture; those of one `look` look alike, and are not looked at without one."""
    facts = np.zeros((), FACTS) if look is not None or taken else None
    if facts is not None:
        thumb = np.random.default_rng(look or taken).integers(0, 256, (16, 16), dtype=np.uint8)
        facts["thumb"] = np.rot90(thumb) if turned else thumb
        facts["taken"] = taken
    return Member(key=key, digest=digest(key.encode()), group=group, metadata=metadata, facts=facts)


def row(key, *, group=""):
    return Row(
        key=key,
        digest=digest(key.encode()),
        pack="aa" * 32,
        offset=0,
        length=1,
        label="cat",
        split="train",
        group=group,
        width=4,
        height=3,
    )
