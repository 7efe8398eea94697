"""Sheets of pictures: where each stands, what its title says, and of what a picture is made."""

from xml.etree import ElementTree

import numpy as np
import pytest

from regraft.errors import InvalidError
from regraft.reports import sheet
from regraft.reports.sheet import Tile

SVG = "{http://www.w3.org/2000/svg}"


def test_pictures_stand_row_by_row_each_in_its_square(draw):
    figure = sheet.draw([Tile(image=draw(seed)) for seed in range(5)], columns=3, side=50)

    root = ElementTree.fromstring(figure.svg)
    places = [(image.get("x"), image.get("y")) for image in root.iter(f"{SVG}image")]
    assert places == [("6", "6"), ("62", "6"), ("118", "6"), ("6", "62"), ("62", "62")]
    assert (root.get("width"), root.get("height"), str(figure), repr(figure)) == (
        "174",
        "118",
        "5 pictures",
        "<Figure 5 pictures>",
    )


def test_titles_are_blue_where_right_red_where_wrong_cut_where_long_and_never_markup(draw):
    titles = [("cat", "right"), ("<script>", "wrong"), ("a very long name of a class", "plain")]

    figure = sheet.draw([Tile(image=draw(), title=t, tone=tone) for t, tone in titles], columns=3, side=60)

    root = ElementTree.fromstring(figure.svg)
    texts = [(text.get("class"), text.text, text[0].text) for text in root.iter(f"{SVG}text")]
    assert texts == [
        ("right", "cat", "cat"),
        ("wrong", "<script>", "<script>"),
        ("plain", "a very l…", "a very long name of a class"),
    ]
    assert root.find(f".//{SVG}script") is None


def test_a_sheet_is_written_to_a_file_and_replaces_an_older_one(draw, tmp_path):
    sheet.draw([Tile(image=draw(0))], columns=1).write(tmp_path / "sheet.svg")
    figure = sheet.draw([Tile(image=draw(1))], columns=1)

    path = figure.write(tmp_path / "sheet.svg")

    assert path.read_text() == figure.svg


def test_no_pictures_are_no_sheet():
    with pytest.raises(InvalidError) as caught:
        sheet.draw([], columns=2)

    assert str(caught.value) == "0 pictures in 2 columns of 144 pixels are no sheet."


GREY = np.array([[0, 51], [102, 255]], dtype=np.uint8)
RED = np.zeros((2, 4, 3), dtype=np.uint8)
RED[..., 0] = 255


@pytest.mark.parametrize(
    ("array", "pixels"),
    [
        (GREY, GREY),
        (GREY[:, :, None], GREY),
        (GREY[None], GREY),
        (GREY / 255, GREY),
        (GREY / 255 * 3 - 1, [[0, 0], [51, 255]]),
        (RED, RED),
        (RED.transpose(2, 0, 1), RED),
        (RED.transpose(2, 0, 1) / np.float32(255), RED),
    ],
    ids=["grey", "h w 1", "1 h w", "from 0 to 1", "beyond 0 and 1", "h w 3", "3 h w", "floats"],
)
def test_an_array_is_a_picture(array, pixels):
    picture = sheet.picture_of(array)

    assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("shape", [(3,), (2, 5, 4), (1, 3, 4, 4), (0, 4)])
def test_another_shape_is_none(shape):
    with pytest.raises(InvalidError, match="is no picture"):
        sheet.picture_of(np.zeros(shape))
