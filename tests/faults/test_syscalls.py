"""A commit that is killed at each of its system calls, and one whose flushes fail."""

from tests.faults import traced


def test_a_commit_killed_at_any_system_call_loses_nothing(all_scenes, run, strace):
    found, points = traced.killed(all_scenes["second version"], run)

    assert found == []
    assert 40 < points <= 150


def test_a_flush_that_fails_is_final(all_scenes, run, strace):
    found, mattered = traced.unflushed(all_scenes["second version"], run)

    assert found == []
    assert mattered > 8
