"""A model knows how often it is right, which labels it may be, and what it has never seen the like of."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import regraft
from regraft.errors import InvalidError, MismatchError, NotFoundError
from regraft.jobs import explain
from regraft.records import ModelVersion, decode, encode
from regraft.store.references import needs

COLOURS = {"leaf": (40, 150, 60), "sea": (30, 80, 190), "sand": (215, 190, 110)}
TINY = (
    "data.size=32",
    "train.epochs=2",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
    "data.workers=0",
)


def paint(place, colour, seed, *, stripes=False):
    """Write a picture of noise in one colour, or of stripes that no photo of these has."""
    random = np.random.default_rng(seed)
    pixels = np.array(colour) + random.uniform(-30, 30, 3) + random.normal(0, 40, (60, 80, 3))
    if stripes:
        pixels = np.where((np.arange(80) // 5 % 2)[None, :, None] > 0, 250, 5) + 0 * pixels
        pixels[:, :: 2 + seed % 5] = random.integers(0, 255, 3)
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(place, quality=90)
    return place


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures") / "photos"
    for split, count in (("train", 20), ("test", 10)):
        for label, colour in COLOURS.items():
            for number in range(count):
                paint(root / split / label / f"{number}.jpg", colour, 100 * len(split) + number)
    return root


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures") / "strange"
    for number in range(12):
        paint(root / f"{number}.png", (0, 0, 0), number, stripes=True)
    return root


@pytest.fixture(scope="module")
def lab(tmp_path_factory, photos):
    """A workspace with a fitted head, `photos`, and a tuned net, `tiny`."""
    workspace = regraft.open(tmp_path_factory.mktemp("lab") / "workspace")
    workspace.finetune(photos, strategy="probe")
    workspace.finetune("photos", model="timm:test_resnet", strategy="scratch", settings=TINY, name="tiny")
    return workspace


def record(lab, ref):
    return lab.models.get(ref).read(ModelVersion)


def test_a_fitted_head_knows_how_right_it_is_on_pictures_it_has_not_seen(lab):
    model = record(lab, "photos")

    trust, learning = model.trust, model.learning

    assert (trust.pictures, trust.accuracy) == (60, learning.accuracy)
    assert trust.log_loss == pytest.approx(learning.log_loss, abs=1e-6)
    assert 0 <= trust.calibration_error <= 1
    assert trust.threshold > 0


def test_a_tuned_net_knows_it_by_the_pictures_that_it_was_chosen_by(lab):
    model = record(lab, "tiny")

    trust, training = model.trust, model.training

    assert trust.pictures == training.chosen_by > 0
    assert 0.05 <= model.temperature <= 20
    assert 0 <= trust.accuracy <= 1


def test_a_model_that_learned_from_another_knows_its_own_limits_only(lab, photos):
    again = lab.finetune("photos", model="photos:v1", strategy="probe", name="again").model

    first, second = record(lab, "photos"), record(lab, again)

    assert record(lab, "embedded:efficientnet_lite0").trust is None
    assert second.trust == first.trust


def test_few_pictures_to_be_chosen_by_draw_no_limit(lab, photos):
    (found,) = lab.predict("tiny", photos / "test" / "sea" / "0.jpg", coverage=0.8)

    trust = record(lab, "tiny").trust

    assert (trust.pictures, trust.threshold) == (6, None)
    assert (found.strangeness, found.unknown) == (None, None)
    assert found.label in found.labels


def test_a_strange_picture_is_unknown_and_keeps_its_label(lab, photos, strange):
    own = lab.predict("photos", photos / "test")

    found = lab.predict("photos", strange)

    distances = [item.strangeness for item in (*own, *found)]
    assert roc_auc_score([0] * len(own) + [1] * len(found), distances) >= 0.95
    assert all(item.unknown and item.label in COLOURS for item in found)
    assert sum(item.unknown for item in own) <= 3


def test_sets_hold_the_true_label(lab, photos):
    found = lab.predict("photos", photos / "test", coverage=0.95)

    assert {item.label in item.labels for item in found} == {True}
    right = [item.picture.split("/")[-2] in item.labels for item in found]
    assert np.mean(right) >= 0.92
    assert lab.predict("photos", photos / "test")[0].labels is None


def test_too_few_pictures_for_a_coverage_are_said(lab, photos, tmp_path):
    said = []
    lab = regraft.open(lab.path, progress=lambda task, done, total: said.append(task))

    (found,) = lab.predict("photos", photos / "test" / "sea" / "0.jpg", coverage=0.99)

    assert sorted(found.labels) == sorted(COLOURS)
    assert (
        "A coverage of 0.99 takes 99 pictures that were held out, and the model had 60: each set holds all "
        "labels."
    ) in said


@pytest.mark.parametrize("coverage", [0, 1, 1.5, float("nan")])
def test_what_is_no_coverage_is_refused(lab, photos, coverage):
    with pytest.raises(InvalidError) as caught:
        lab.predict("photos", photos / "test", coverage=coverage)

    assert str(caught.value) == f"The coverage is {coverage:g}."


def test_a_pretrained_model_tells_no_sets_and_nothing_unknown(lab, photos):
    picture = photos / "test" / "sea" / "0.jpg"

    with pytest.raises(MismatchError) as caught:
        lab.predict("embedded:efficientnet_lite0", picture, coverage=0.95)
    (found,) = lab.predict("embedded:efficientnet_lite0", picture)

    assert str(caught.value) == "The model does not know how often its labels are right."
    assert (found.strangeness, found.unknown, found.labels) == (None, None, None)


def test_what_a_model_knows_stays_as_long_as_the_model(lab, strange):
    version = lab.models.get("photos")
    model = version.read(ModelVersion)

    lab.store.gc(grace=0)

    assert needs(version).blobs == {model.trunk, model.head, model.statistics, model.trust.statistics}
    assert all(item.unknown for item in lab.predict("photos", strange))


def test_what_a_model_with_adapters_learned_belongs_to_it(lab):
    version = lab.models.get("photos")
    model = version.read(ModelVersion).model_copy(update={"adapter": "a" * 64, "trust": None})

    wanted = needs(replace(version, data=encode(model)))

    assert wanted.blobs == {model.trunk, model.head, model.statistics, "a" * 64}


def test_a_model_that_was_made_without_it_predicts_as_before(lab, photos):
    version = lab.models.get("photos")
    old = json.loads(version.data)
    del old["trust"]

    model = decode(ModelVersion, json.dumps(old).encode(), where="models/photos/v1.json")

    assert model == version.read(ModelVersion).model_copy(update={"trust": None})


@pytest.mark.parametrize(("model", "side"), [("photos", 7), ("tiny", 2)])
def test_an_explanation_says_where_and_beside_what(lab, photos, tmp_path, model, side):
    picture = photos / "test" / "sand" / "3.jpg"

    result = lab.explain(model, picture, nearest=4, out=tmp_path / "page.html")

    (found,) = result.explanations
    (told,) = lab.predict(model, picture, coverage=0.95)
    assert found.prediction == told
    assert found.label == told.label
    assert (len(found.heat), len(found.heat[0])) == (side, side)
    assert len(found.nearest) == 4
    assert [item.similarity for item in found.nearest] == sorted(
        (item.similarity for item in found.nearest), reverse=True
    )
    page = result.page.read_text()
    assert result.page == tmp_path / "page.html"
    assert "data:image/jpeg" in page
    assert all(item.key in page for item in found.nearest)
    assert "http:" not in page
    assert "https:" not in page


def test_a_picture_that_was_learned_from_is_found_again(lab, photos, tmp_path):
    copy = tmp_path / "copy.png"
    Image.open(photos / "train" / "leaf" / "5.jpg").resize((120, 90)).save(copy)

    (found,) = lab.explain("photos", copy).explanations

    first = found.nearest[0]
    assert (first.key, first.label, first.same) == ("train/leaf/5.jpg", "leaf", True)
    assert first.similarity > 0.9


def test_what_is_odd_about_a_picture_is_said(lab, tmp_path):
    Image.new("RGB", (80, 60), (2, 2, 2)).save(tmp_path / "night.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")

    dark, torn = lab.explain("photos", [tmp_path / "night.png", tmp_path / "torn.png"]).explanations

    assert dark.flags in (("dark",), ("blank",))
    assert dark.prediction.unknown
    assert (torn.label, torn.heat, torn.nearest, torn.flags) == (None, (), (), ())
    assert torn.prediction.error is not None


def test_heat_can_be_asked_for_another_label(lab, photos):
    picture = photos / "test" / "sea" / "1.jpg"

    (sea,) = lab.explain("photos", picture, label="sea").explanations
    (leaf,) = lab.explain("photos", picture, label="leaf").explanations
    with pytest.raises(NotFoundError) as caught:
        lab.explain("photos", picture, label="see")

    assert (sea.label, leaf.label) == ("sea", "leaf")
    assert sea.heat != leaf.heat
    assert (str(caught.value), caught.value.hint) == (
        "The model 'photos:v1' knows no label 'see'.",
        "Did you mean 'sea'?",
    )


def test_a_pretrained_model_is_explained_without_its_pictures(lab, photos):
    (found,) = lab.explain("embedded:efficientnet_lite0", photos / "test" / "sea" / "1.jpg").explanations

    assert (found.prediction.strangeness, found.prediction.labels, found.nearest) == (None, None, ())
    assert "The pictures that the model learned from are not in this workspace." in found.notes


def noise(folder, count):
    """Write pictures that compress as badly as pictures can."""
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_page_of_as_many_pictures_as_it_may_hold_stays_below_five_megabytes(lab, tmp_path):
    files = noise(tmp_path / "noise", explain.MOST)

    result = lab.explain("photos", files, nearest=explain.MOST_NEAR // explain.MOST)

    page = result.page.read_text()
    assert len(page) < 5_000_000
    assert page.count("data:image/jpeg") == explain.MOST * (2 + explain.MOST_NEAR // explain.MOST)


def test_more_pictures_than_a_page_holds_are_refused(lab, tmp_path):
    files = noise(tmp_path / "noise", 33)

    with pytest.raises(InvalidError) as many:
        lab.explain("photos", files)
    with pytest.raises(InvalidError) as near:
        lab.explain("photos", files / "0.png", nearest=501)

    assert (str(many.value), str(near.value)) == (
        "33 pictures are too many to explain at once.",
        "501 pictures like each of 1 are too many for a page.",
    )
    assert "32 at the most" in many.value.hint
    assert "500 or fewer" in near.value.hint


def test_the_shell_says_the_same(lab, run, photos, strange):
    pictures = [photos / "test" / "sea" / "0.jpg", strange / "0.png"]

    text = run("predict", "photos", *pictures, "--coverage", "0.9", home=lab.path)
    table = run("predict", "photos", *pictures, "--coverage", "0.9", "--csv", home=lab.path)
    document = run("predict", "photos", *pictures, "--json", home=lab.path)
    explained = run("explain", "photos", *pictures, "--json", home=lab.path)
    paragraphs = run("explain", "photos", *pictures, home=lab.path)

    assert "ONE OF, 0.9 OF THE TIME" in text.out
    assert "1 picture is unlike those that the model learned from: the label may mean nothing." in text.out
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert [row["unknown"] for row in rows] == ["false", "true"]
    assert all(row["label"] in json.loads(row["set"]) for row in rows)
    assert [item["unknown"] for item in document.json] == [False, True]
    assert [item["labels"] for item in document.json] == [None, None]
    assert [item["prediction"]["unknown"] for item in explained.json["explanations"]] == [False, True]
    for words in ("looks at", "nearest", "known", "one of", "page"):
        assert words in paragraphs.out


@pytest.mark.parametrize(("own", "other"), [("hotdog", "garbage"), ("garbage", "hotdog")])
def test_real_pictures_off_topic_are_told_and_sets_are_right(shared_data, tmp_path, own, other):
    workspace = regraft.open(tmp_path)
    workspace.finetune(shared_data / own, strategy="probe")
    held = workspace.predict(own, shared_data / own / "test", coverage=0.95)

    for folder in (shared_data / other / "test", shared_data / "imagenet_samples"):
        off = [item for item in workspace.predict(own, folder) if item.error is None]
        which = [0] * len(held) + [1] * len(off)
        strange = roc_auc_score(which, [item.strangeness for item in (*held, *off)])
        unsure = roc_auc_score(which, [-item.probability for item in (*held, *off)])
        assert strange >= 0.95
        assert strange > unsure + 0.1
        assert np.mean([item.unknown for item in off]) >= 0.5

    reached = np.mean([item.picture.split("/")[-2] in item.labels for item in held])
    assert abs(reached - 0.95) <= 0.03
    assert np.mean([item.unknown for item in held]) <= 0.06
    assert np.mean([len(item.labels) for item in held]) <= 2
