"""The page of explanations: hostile names are text, and heat is said in words too."""

import numpy as np
import pytest

from regraft.records import Explanation, InputSpec, Label, LoadReport, ModelVersion, Neighbour, Prediction
from regraft.reports import explanation, heat

HOSTILE = "<img src=x onerror=alert(1)>"


def explained(**changes):
    item = {
        "prediction": Prediction(
            picture=f"photos/{HOSTILE}.png",
            top=(Label(label=HOSTILE, probability=0.9), Label(label="dog", probability=0.1)),
            strangeness=1.4,
            labels=(HOSTILE, "dog"),
        ),
        "label": HOSTILE,
        "heat": ((0.0, 0.1), (0.1, 1.0)),
        "nearest": (Neighbour(key=HOSTILE, digest="d" * 64, label=HOSTILE, similarity=0.875, same=True),),
        "flags": ("blurred",),
        "notes": ("A note.",),
    }
    return Explanation(**(item | changes))


@pytest.fixture
def model():
    return ModelVersion(
        parent=None,
        architecture="test_resnet",
        source="",
        weights_file="",
        trunk="",
        head="",
        num_features=4,
        labels=(HOSTILE, "dog"),
        input=InputSpec(size=32, crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear"),
        temperature=1.0,
        precision=None,
        licence="",
        load_report=LoadReport(loaded=0, converted=0, missing=(), unexpected=()),
        learning=None,
        lineage=None,
    )


def test_hostile_names_are_shown_as_text(model):
    drawn = explanation.Drawn(seen="data:image/jpeg;base64,AAAA", heat="data:image/jpeg;base64,BBBB")

    page = explanation.render("pets:v1", model, [explained()], [drawn], {}, coverage=0.95)

    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 5
    for words in ("0.88", "95 %", "1.40 of 1", "the same photograph", "blurred", "A note.", "lower right"):
        assert words in page


def test_a_file_that_is_no_picture_has_its_reason_and_nothing_else(model):
    broken = explained(
        prediction=Prediction(picture="a.png", top=(), error="empty file"),
        label=None,
        heat=(),
        nearest=(),
        flags=(),
        notes=(),
    )

    page = explanation.render("pets:v1", model, [broken], [explanation.Drawn()], {}, coverage=None)

    assert "empty file" in page
    assert "What the net sees" not in page


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([[1, 0, 0], [0, 0, 0], [0, 0, 0]], "upper left"),
        ([[0, 0, 0], [0, 1, 0], [0, 0.7, 0]], "middle, bottom"),
        ([[1, 1, 1], [1, 0.9, 1], [1, 1, 1]], "all of it"),
        ([[0, 0], [0, 1]], "lower right"),
        ([], ""),
    ],
)
def test_where_the_heat_is_can_be_said(table, words):
    item = explained(heat=tuple(map(tuple, table)))

    assert explanation.where(item) == words


def test_heat_lightens_a_picture_and_takes_its_colours():
    pixels = np.full((4, 4, 3), (10, 200, 40), np.uint8)
    warmth = np.zeros((4, 4), np.float32)
    warmth[0, 0] = 1

    image = np.asarray(heat.overlay(pixels, warmth)).astype(int)

    assert len(set(image[3, 3].tolist())) == 1
    assert image[0, 0].sum() > image[3, 3].sum()
    assert image[0, 0, 0] > image[0, 0, 2]
