"""The page of a real report, claim by claim: a tuned net and a head, on pictures that have faults."""

import re
from html import escape, unescape

import numpy as np
import pytest
from PIL import Image

import regraft
from regraft.records import ModelVersion

from . import test_report_in_browser as browser
from .test_checkup_in_browser import framed, measured
from .test_report_in_browser import Tags

chromium, proxy = browser.chromium, browser.proxy

HOSTILE = "<img src=x onerror=alert(1)>"
#: Mean colour of each class; noise makes some of each look like the other.
CLASSES = {HOSTILE: (150, 110, 110), "blue": (110, 110, 150)}
QUICK = (
    "data.size=32",
    "train.batch_size=16",
    "train.precision=float32",
    "eval.precision=float32",
    "data.workers=0",
)


def pictures(folder):
    """Write 50 pictures of each class to learn from and 25 to measure on; some of these are no good."""
    random = np.random.default_rng(0)
    for split, count in (("train", 50), ("test", 25)):
        for label, colour in CLASSES.items():
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(np.array(colour) + random.integers(-90, 90, (6, 8, 3)), 0, 255)
                picture = Image.fromarray(pixels.astype(np.uint8)).resize((96, 72), Image.Resampling.NEAREST)
                picture.save(place / f"{number}.png")
    learned, measured = folder / "train" / "blue", folder / "test" / "blue"
    (measured / "copy.png").write_bytes((learned / "0.png").read_bytes())
    Image.open(learned / "1.png").save(measured / "again.jpg", quality=90)
    Image.open(learned / "2.png").resize((12, 9)).save(measured / "tiny.png")
    Image.open(learned / "3.png").rotate(180).point(lambda value: value // 12).save(measured / "dark.png")
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A workspace with the reports of a tuned net and of a head."""
    root = tmp_path_factory.mktemp("lab")
    lab = regraft.open(root / "workspace")
    photos = pictures(root / "photos")
    options = {"model": "timm:test_resnet", "strategy": "scratch", "name": "tuned"}
    lab.finetune(photos, settings=(*QUICK, "train.epochs=4"), **options)
    lab.finetune(photos, model="tuned", strategy="auto", settings=QUICK, name="head")
    return lab


def page_of(lab, name):
    return lab.reports.page(name).read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=["tuned", "head"])
def either(request, lab):
    """The page of each of the two."""
    return page_of(lab, request.param)


@pytest.fixture(scope="module")
def tuned(lab):
    return page_of(lab, "tuned")


@pytest.fixture(scope="module")
def head(lab):
    return page_of(lab, "head")


def headings(page):
    return [unescape(text) for text in re.findall(r"<h2>(.*?)</h2>", page)]


def section(page, heading):
    return page.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]


def test_a_page_has_all_of_its_parts(tuned, head):
    shared = {
        "Other measures",
        "Is it as sure as it is right?",
        "Where it does better or worse",
        "Class by class",
        "What is taken for what",
        "At other thresholds",
        "Worst mistakes",
        "What the doctor says of the dataset",
        "Model card",
        "How to reproduce",
    }

    assert set(headings(tuned)) == {*shared, "How the net was tuned"}
    assert set(headings(head)) == {*shared, "What was tried", "How the head was found"}


def test_the_headline_is_the_accuracy_with_its_interval(lab):
    for name in ("tuned", "head"):
        report, page = lab.reports.get(name), page_of(lab, name)
        low, high = (100 * getattr(report.metrics.accuracy_interval, end) for end in ("low", "high"))

        assert f'<p class="number">{100 * report.accuracy:.1f}<small> %</small></p>' in page
        assert f'95 % interval: <span class="n">{low:.1f} to {high:.1f} %</span>' in page


def test_every_link_leads_to_a_place_on_the_page(either):
    links, places = re.findall(r'href="#([^"]+)"', either), re.findall(r'\sid="([^"]+)"', either)

    assert links
    assert len(places) == len(set(places))
    assert set(links) <= set(places)


def test_every_cell_of_the_matrix_that_has_pictures_leads_to_them(lab):
    report, page = lab.reports.get("tuned"), page_of(lab, "tuned")

    filled = [
        f"cell-{row}-{column}"
        for row, counts in enumerate(report.metrics.confusion)
        for column, count in enumerate(counts)
        if count
    ]
    assert sorted(set(re.findall(r'href="#(cell-[^"]+)"', page))) == sorted(filled)
    for anchor in filled:
        assert "<img " in page.partition(f'id="{anchor}"')[2].partition('<div class="cell"')[0]


def test_a_hostile_class_is_shown_as_text(either):
    seen = Tags(either)

    assert HOSTILE not in either
    assert seen.text.count(HOSTILE) > 10
    assert {tag for tag, _ in seen.elements} & {"script", "iframe", "object", "embed", "form"} == set()
    assert [name for _, attributes in seen.elements for name in attributes if name.startswith("on")] == []


def test_the_page_is_small_runs_nothing_and_asks_for_nothing(either):
    attributes = [pair for _, found in Tags(either).elements for pair in found.items()]
    sources = [value for name, value in attributes if name in ("src", "href", "srcset", "poster", "data")]

    assert len(either.encode()) < 5_000_000
    assert "<script" not in either
    assert {value[:5] for value in sources if not value.startswith("#")} == {"data:"}
    assert re.findall(r"url\(|@import|https?://", either) == []


def test_what_was_learned_is_drawn_and_the_first_batch_shown(tuned, head):
    told = section(tuned, "How the net was tuned")

    assert told.count('<img class="plot"') == 2
    assert 'alt="Loss over epochs"' in told
    assert 'src="data:image/jpeg;base64,' in told.partition("What it saw")[2]
    assert "What it saw" not in head
    assert 'class="curve square"' in section(head, "Is it as sure as it is right?")
    assert section(head, "At other thresholds").count("<polyline") == 2


def test_the_board_says_what_was_tried_and_why(lab, head):
    board = lab.reports.get("head").board

    told = section(head, "What was tried")
    assert told.count("(taken)") == 1
    assert told.count("<tr") == 1 + len(board.rows)
    assert all(escape(reason) in told for reason in board.reasons)


def test_slices_and_mistakes_are_those_of_the_report(lab, tuned):
    report = lab.reports.get("tuned")

    assert section(tuned, "Where it does better or worse").count("<tr") == 1 + len(report.slices) > 1
    assert section(tuned, "Worst mistakes").count("<figure>") == len(report.mistakes) > 0
    assert "no preview" not in tuned
    for scores in report.metrics.classes:
        assert f"<bdi>{escape(scores.label)}</bdi>" in section(tuned, "Class by class")


def test_the_doctor_shows_copies_and_look_alikes_of_another_split(either):
    told = section(either, "What the doctor says of the dataset")

    grave = dict(re.findall(r'<span class="severity \w+">(\w+)</span> <bdi>(.*?)</bdi></h3>', told))
    shown = {part.partition("</bdi>")[0]: part for part in told.split("</span> <bdi>")[1:]}
    leaks, copies = shown[grave["error"]], next(v for k, v in shown.items() if "in another split" in k)
    assert leaks.partition('class="severity')[0].count("<img ") == 4  # the dark one is a copy too, turned
    assert {"test/blue/again.jpg", "train/blue/1.png"} <= set(re.findall(r"<bdi>([^<]*)</bdi>", leaks))
    assert copies.partition("Good to know")[0].count("<img ") == 1  # it is one picture with two names
    assert {"test/blue/copy.png", "train/blue/0.png"} <= set(re.findall(r"<bdi>([^<]*)</bdi>", copies))
    assert "<code>regraft dataset check photos:v1</code>" in told


def test_the_doctor_s_notes_stand_in_a_line_each(lab, either):
    found = lab.datasets.check("photos", quick=True).checkup.findings

    told = section(either, "What the doctor says of the dataset")
    notes = told.partition("Good to know")[2]
    assert {one.code for one in found} >= {"tiny", "dark"}
    for one in found:
        assert (escape(one.title) in notes) == (one.severity == "note")
        assert escape(one.title) in told


def test_the_card_says_how_good_the_model_is_and_where_it_ends(lab):
    for name in ("tuned", "head"):
        metrics, trust = lab.reports.get(name).metrics, lab.models.get(name).read(ModelVersion).trust
        card = section(page_of(lab, name), "Model card")

        assert f"Accuracy {100 * metrics.accuracy:.1f} %" in card
        assert f"calibration error {metrics.calibration_error:.3f}" in card
        assert f"rest on {trust.pictures} pictures that it had not learned from" in card
        assert ("It can say <code>unknown</code>" in card) == (trust.threshold is not None)
        assert ("It cannot say <code>unknown</code>" in card) == (trust.threshold is None)
        assert "marks as <code>unknown</code>" in card or trust.threshold is None


def test_what_a_model_came_from_has_names_and_digests(lab, head):
    model = lab.models.get("head")
    lineage = model.read(ModelVersion).lineage

    told = section(head, "How to reproduce")
    for called, digest in (
        ("photos:v1", lineage.dataset),
        ("head:v1", model.digest),
        ("tuned:v1", lineage.model),
    ):
        assert f'<bdi>{called}</bdi> <span class="digest">{digest}</span>' in told
    assert "regraft finetune photos:v1 --recipe recipe.toml" in told


def test_measured_elsewhere_the_command_names_what_the_model_learned_from(lab, make_folder):
    elsewhere = make_folder({"test/blue": 3}, name="elsewhere")

    lab.evaluate("head", elsewhere)

    told = section(page_of(lab, "head"), "How to reproduce")
    assert "<bdi>elsewhere:v1</bdi>" in told
    assert "regraft finetune photos:v1 --recipe recipe.toml" in told
    assert "another dataset version than the one measured here." in told


@pytest.mark.parametrize(
    ("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(20, 23, 27)")], ids=["light", "dark"]
)
def test_a_full_page_fits_a_phone_and_all_of_it_can_be_read(chromium, proxy, tmp_path, either, scheme, paper):
    page = tmp_path / "phone.html"
    page.write_text(framed(either, 390), encoding="utf-8")

    dom = browser.browse(chromium, page, proxy, tmp_path, f"--blink-settings=preferredColorScheme={scheme}")

    seen = measured(dom)
    assert all(width and height for width, height in seen.pop("pictures"))
    assert seen.pop("texts") > 100
    assert seen == {"width": 390, "paper": paper, "faint": []}
    assert proxy.from_our_pages() == []
