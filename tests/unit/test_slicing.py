"""Slices that are found by themselves."""

import json

import numpy as np

from regraft.data import slicing
from regraft.data.facts import FACTS
from regraft.records import Row


def row(number, folder="photos", **metadata):
    return Row(
        key=f"test/cat/{folder}/{number}.jpg",
        digest=str(number),
        pack="",
        offset=0,
        length=1,
        label="cat",
        split="test",
        width=100,
        height=100,
        metadata=json.dumps(metadata),
    )


def facts(**columns):
    found = np.zeros(40, FACTS)
    found["width"], found["height"], found["size"], found["brightness"] = 100, 100, 5000, 0.5
    for name, values in columns.items():
        found[name] = values
    return found


def names(rows, measured, cameras=None):
    return {name: int(marks.sum()) for name, marks in slicing.find(rows, measured, cameras or [""] * 40)}


def test_pictures_that_are_all_alike_have_no_slices():
    found = names([row(number) for number in range(40)], facts())

    assert found == {}


def test_the_dark_the_bright_the_small_and_the_long_are_slices():
    rows = [row(number) for number in range(40)]
    measured = facts(brightness=np.linspace(0, 1, 40), width=np.linspace(100, 300, 40).astype(int))

    found = names(rows, measured)

    assert found == {
        "dark: brightness below 25%": 10,
        "bright: brightness above 75%": 10,
        "long: sides more than 1 to 2.49": 10,
        "compressed: below 0.20 bytes a pixel": 10,
    }


def test_folders_cameras_and_metadata_are_slices_where_they_are_few():
    rows = [
        row(number, "a" if number < 15 else "b", site="x" if number % 2 else "y", id=number)
        for number in range(40)
    ]
    cameras = ["Canon"] * 12 + [""] * 28

    found = names(rows, facts(), cameras)

    assert found == {"folder: a": 15, "folder: b": 25, "camera: Canon": 12, "site: x": 20, "site: y": 20}


def test_a_slice_of_a_few_pictures_says_nothing_and_is_left_out():
    rows = [row(number, "a" if number < 9 else "b") for number in range(40)]

    assert names(rows, facts()) == {}
