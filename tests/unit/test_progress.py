"""What is said of long work."""

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


def test_long_work_speaks_now_and_then_on_stderr(capsys, monkeypatch):
    clock = iter([0.0, 0.5, 2.0, 4.0, 5.0, 8.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))

    with Bars() as bars:
        for done in range(6):
            bars("Slow", done, 5)

    assert capsys.readouterr() == (
        "",
        "Slow: 3 of 5 (60%), 0.8 a second, 3 s left\nSlow: 5 of 5 (100%), 0.6 a second\n",
    )
