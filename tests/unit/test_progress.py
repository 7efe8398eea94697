"""What is said of long work."""

import pytest

from regraft.cli import progress
from regraft.cli.progress import Bars, line


def test_a_line_says_how_far_how_fast_and_how_long_still():
    text = line("Computing features", 500, 2000, 10.0)

    assert text == "Computing features: 500 of 2,000 (25%), 50.0 a second, 30 s left"


def test_short_work_says_nothing(capsys):
    with Bars() as bars:
        for done in range(10):
            bars("Quick", done + 1, 10)

    assert capsys.readouterr().err == ""


@pytest.fixture
def clock(monkeypatch):
    """Let the clock say these moments, one each time that it is asked: `clock(1000.0, 1002.0)`."""

    def says(*moments):
        monkeypatch.setattr(progress.time, "monotonic", iter(moments).__next__)

    return says


def test_long_work_speaks_after_a_second_and_then_now_and_then_on_stderr(capsys, clock):
    clock(1000.0, 1000.5, 1002.0, 1004.0, 1005.0, 1008.0)

    with Bars() as bars:
        for done in range(6):
            bars("Slow", done, 5)

    assert capsys.readouterr() == (
        "",
        "Slow: 2 of 5 (40%), 1.0 a second, 3 s left\n"
        "Slow: 4 of 5 (80%), 0.8 a second, 1 s left\n"
        "Slow: 5 of 5 (100%), 0.6 a second\n",
    )


def test_work_of_one_unit_is_announced_at_once(capsys, clock):
    clock(1000.0, 1000.1)

    with Bars() as bars:
        bars("Reading the weights", 0, 1)
        announced = capsys.readouterr()
        bars("Reading the weights", 1, 1)

    assert announced == ("", "Reading the weights ...\n")
    assert capsys.readouterr() == ("", "")


def test_work_that_begins_again_starts_its_clock_anew(capsys, clock):
    clock(1000.0, 1010.0, 1020.0, 1020.5)

    with Bars() as bars:
        for _ in range(2):
            bars("Now and again", 1, 2)
            bars("Now and again", 2, 2)

    assert capsys.readouterr().err == "Now and again: 2 of 2 (100%), 0.2 a second\n"
