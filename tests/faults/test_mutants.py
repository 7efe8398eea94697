"""Planted bugs: each judge finds what it is there for."""

import pytest
from tests.faults import promises, race, scenes, traced
from tests.faults.mutants import MUTANTS

#: Where a scene is killed or refused, or a promise is broken.
KILLED = {
    "version_before_its_packs": "second version",
    "tag_written_in_place": "tag",
}
REFUSED = {"cleaned_up_when_unknown": "second version"}
UNFLUSHED = {"flush_tried_again": "second version"}
BROKEN = {
    "leases_ignored": ("what_is_being_written_is_not_collected", "second version"),
    "reused_without_a_touch": ("what_is_used_again_is_not_collected", "second version"),
    "grace_ignored": ("what_was_removed_can_be_recovered_for_a_day", "remove"),
    "number_given_again": ("a_number_is_never_given_again", "second version"),
    "split_that_moves": ("a_picture_keeps_its_split", "second version"),
    "digest_not_compared": ("a_damaged_picture_is_not_handed_out", "second version"),
    "digest_of_a_version_not_compared": ("a_damaged_version_is_not_shown", "second version"),
}
RACED = ("renamed_and_not_linked", "parent_of_another_moment")
CRASHED = ("label_by_position",)
#: How many write when the power is cut, and how long each pauses after it has acknowledged something.
CUT = {
    "no_flush_of_files": (1, 0),
    "no_flush_of_folders": (1, 0.03),
    "published_before_it_is_flushed": (3, 0),
}


def test_every_planted_bug_has_a_judge():
    judged = [*KILLED, *REFUSED, *UNFLUSHED, *BROKEN, *RACED, *CRASHED, *CUT]

    assert sorted(judged) == sorted(MUTANTS)


@pytest.mark.parametrize("mutant", KILLED)
def test_a_kill_shows(all_scenes, run, mutant):
    found, _ = scenes.killed(all_scenes[KILLED[mutant]], run, mutant=mutant)

    assert found


@pytest.mark.parametrize("mutant", REFUSED)
def test_a_refusal_shows(all_scenes, run, mutant):
    assert scenes.refused(all_scenes[REFUSED[mutant]], run, mutant=mutant)


@pytest.mark.parametrize("mutant", UNFLUSHED)
def test_a_flush_that_fails_shows(all_scenes, run, strace, mutant):
    found, _ = traced.unflushed(all_scenes[UNFLUSHED[mutant]], run, mutant=mutant)

    assert found


@pytest.mark.parametrize("mutant", BROKEN)
def test_a_broken_promise_shows(all_scenes, run, mutant):
    promise, scene = BROKEN[mutant]

    assert getattr(promises, promise)(all_scenes[scene], run, mutant)


@pytest.mark.parametrize("mutant", RACED)
def test_a_race_shows(in_memory, mutant):
    root = in_memory / mutant

    assert race.faults(root, race.race(root, writers=8, commits=8, mutant=mutant))


@pytest.mark.parametrize("mutant", CRASHED)
def test_a_crash_shows(crash, mutant):
    assert crash(5, delays=(0.1, 0.2), mutant=mutant)[-1]["faults"]


@pytest.mark.parametrize("mutant", CUT)
def test_a_power_cut_shows(crash, image, mutant):
    writers, pause = CUT[mutant]

    rounds = crash(40, writers=writers, image=image, delays=(0.05, 0.2), pause=pause, mutant=mutant)

    assert rounds[-1]["faults"]
