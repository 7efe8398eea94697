"""Curves that grow: what a terminal says, what a file holds, what a notebook is shown."""

import re
import sys
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

import pytest

from regraft.errors import InvalidError
from regraft.reports.live_curve import LiveCurve

SVG = "{http://www.w3.org/2000/svg}"


def drawn(text):
    """Return how many points each line of a drawing has, by the colour that it is drawn in."""
    root = ElementTree.fromstring(text)
    lines = {line.get("class")[-1]: len(line.get("points").split()) for line in root.iter(f"{SVG}polyline")}
    return lines | {dot.get("class")[-1]: 1 for dot in root.iter(f"{SVG}circle")}


def test_a_terminal_gets_a_line_when_all_lines_have_come_to_a_place(tmp_path):
    said = []
    curve = LiveCurve(["loss", "acc", "test"], across="epoch", path=tmp_path / "curve.svg", say=said.append)

    for x, values in [
        (0.5, (0.9, 0.4, None)),
        (1, (0.8, 0.5, None)),
        (1, (None, None, 0.6)),
        (1.5, (0.7, 0.6, None)),
        (2, (0.6, 0.7, None)),
        (2, (None, None, 0.8)),
    ]:
        curve.add(x, values)

    assert said == [
        "epoch 1: loss 0.800, acc 0.500, test 0.600",
        "epoch 2: loss 0.600, acc 0.700, test 0.800",
    ]
    assert curve.points == {
        "loss": [(0.5, 0.9), (1, 0.8), (1.5, 0.7), (2, 0.6)],
        "acc": [(0.5, 0.4), (1, 0.5), (1.5, 0.6), (2, 0.7)],
        "test": [(1, 0.6), (2, 0.8)],
    }
    assert drawn((tmp_path / "curve.svg").read_text()) == {"0": 4, "1": 4, "2": 2}


def test_one_point_is_enough_to_be_seen(tmp_path):
    curve = LiveCurve(["loss", "test"], across="epoch", path=tmp_path / "curve.svg")

    curve.add(1, (0.693, 0.5))

    text = (tmp_path / "curve.svg").read_text()
    assert drawn(text) == {"0": 1, "1": 1}
    assert "nan" not in text


def test_what_is_no_number_is_said_and_not_drawn(tmp_path):
    said = []
    curve = LiveCurve(["loss"], across="epoch", path=tmp_path / "curve.svg", say=said.append)

    curve.add(1, [float("nan")])
    curve.add(2, [0.5])
    curve.add(3, [float("inf")])

    assert said == ["epoch 1: loss nan", "epoch 2: loss 0.500", "epoch 3: loss inf"]
    assert drawn((tmp_path / "curve.svg").read_text()) == {"0": 1}


def test_a_notebook_gets_one_drawing_that_is_renewed_and_no_lines(notebook):
    said = []
    curve = LiveCurve(["loss"], across="epoch", say=said.append)

    curve.add(1, [0.8])
    curve.add(2, [0.6])

    assert (curve.shown, said, [str(figure) for figure in notebook]) == (
        True,
        [],
        ["epoch 1: loss 0.800", "epoch 2: loss 0.600"],
    )
    page = notebook[-1]._repr_html_()
    assert re.fullmatch(
        r'<img alt="epoch 2: loss 0.600" src="data:image/svg\+xml;base64,[A-Za-z0-9+/=]+">', page
    )


def test_a_shell_of_ipython_is_no_notebook(monkeypatch):
    ipython = ModuleType("IPython")
    ipython.get_ipython = SimpleNamespace
    monkeypatch.setitem(sys.modules, "IPython", ipython)

    curve = LiveCurve(["loss"])

    assert curve.shown is False


@pytest.mark.parametrize("names", [[], ["a", "a"]], ids=["none", "twice"])
def test_names_that_cannot_be_lines_are_refused(names):
    with pytest.raises(InvalidError) as caught:
        LiveCurve(names)

    assert str(caught.value) == f"{names!r} cannot be the lines of a curve."


def test_a_curve_without_points_and_points_without_a_line_are_refused():
    curve = LiveCurve(["loss"])

    with pytest.raises(InvalidError, match="A curve without a point cannot be drawn"):
        curve.figure()
    with pytest.raises(InvalidError, match="2 values came for 1 lines"):
        curve.add(1, [0.5, 0.6])


def test_lines_that_come_at_different_places_are_told_and_drawn(tmp_path):
    said = []
    path = tmp_path / "curve.svg"
    curve = LiveCurve(["loss", "test", "never"], across="epoch", path=path, say=said.append)
    points = []

    for x, values in [
        (0.5, (0.9, None, None)),
        (1, (0.8, None, None)),
        (2, (None, 0.6, None)),
        (3, (0.7, 0.5, None)),
    ]:
        curve.add(x, values)
        points.append(drawn(path.read_text()))

    assert said == ["epoch 1: loss 0.800", "epoch 2: test 0.600"]
    assert points == [{"0": 1}, {"0": 2}, {"0": 2, "1": 1}, {"0": 3, "1": 2}]


def test_a_line_says_where_a_value_came_that_is_older_than_the_rest():
    said = []
    curve = LiveCurve(["loss", "test"], across="epoch", say=said.append)

    curve.add(0.5, (0.9, None))
    curve.add(0.75, (None, 0.6))

    assert said == ["epoch 0.75: loss 0.900 at 0.5, test 0.600"]


def test_more_than_four_lines_are_drawn_and_the_fifth_is_dashed(tmp_path):
    curve = LiveCurve(list("abcdefgh"), path=tmp_path / "curve.svg")

    for x in (1, 2):
        curve.add(x, [x * number for number in range(8)])

    text = (tmp_path / "curve.svg").read_text()
    assert drawn(text) == {str(number): 2 for number in range(8)}
    assert re.findall(r"\.of(\d)\{[^}]*dash", text) == [*"4567", *"4567"]
    places = [int(x) for x in re.findall(r'<text class="is\d" x="(\d+)"', text)]
    assert places == sorted(places)
    assert places[0] > 76
