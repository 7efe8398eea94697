"""The pages of a checkup and of a dataset in a real browser: seen, readable, and silent on the network."""

import json
from html import escape

import pytest
from PIL import Image

from regraft.records import Checkup, Example, Finding
from regraft.reports import gallery
from regraft.reports.checkup import render
from regraft.reports.dataset_page import gallery_page

from . import test_report_in_browser as browser

chromium, proxy = browser.chromium, browser.proxy

#: What WCAG 2 (AA) asks of text of ordinary size.
CONTRAST = 4.5

#: Measure a page in a frame: its width, its pictures, and every text that stands out too little.
MEASURE = """
onload = () => {
  const page = framed.contentDocument
  const style = element => framed.contentWindow.getComputedStyle(element)
  const colour = text => text.match(/[\\d.]+/g).map(Number)
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a))
  const ground = element => element
    ? over(colour(style(element).backgroundColor), ground(element.parentElement)) : [255, 255, 255]
  const light = rgb => rgb.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0)
  const texts = [...page.body.querySelectorAll("*")].filter(e => [...e.childNodes].some(n =>
    n.nodeType == 3 && n.textContent.trim()))
  const faint = texts.map(element => {
    const below = ground(element)
    const both = [over(colour(style(element).color), below), below].map(light)
    return [element.textContent, (Math.max(...both) + .05) / (Math.min(...both) + .05)]
  })
  seen.textContent = JSON.stringify({
    width: page.documentElement.scrollWidth,
    pictures: [...page.images].map(p => [p.naturalWidth, p.naturalHeight]),
    paper: style(page.body).backgroundColor,
    texts: texts.length,
    faint: faint.filter(([_, ratio]) => ratio < LEAST),
  })
}
"""


def checked() -> str:
    """A page with a pair, a cluster, a lone picture, a file without a preview, and hostile names."""
    hostile = browser.HOSTILE
    findings = (
        found("leakage", "error", shown("the same, turned", "wide", "tall")),
        found("near-duplicates", "warning", shown(hostile, "wide", "wide", "tall", hostile)),
        found("blurred", "note", shown("sharpness 1.2", "tall"), shown("", "lost")),
    )
    checkup = Checkup(
        dataset_ref="hotdog:v3", dataset="d" * 64, findings=findings, checked=("tiny", "leakage", hostile),
        skipped={"wrong-labels": "Type `regraft finetune hotdog` first."},
    )  # fmt: skip
    return render(checkup, thumbnails(), facts=[("Pictures", "2000"), (hostile, hostile * 3)])


def found(code: str, severity: str, *examples: Example) -> Finding:
    return Finding(
        code=code, severity=severity, title=f"{browser.HOSTILE} is {code}.", count=9,
        advice=f"Delete one, then `regraft dataset add hotdog {'FOLDER' * 12}`.", examples=examples,
    )  # fmt: skip


def shown(words: str, *digests: str) -> Example:
    return Example(keys=tuple(f"test/{digest}.jpg" for digest in digests), digests=digests, words=words)


def pictures_by_class() -> str:
    rows = [("wide", "hotdog", "train"), ("tall", browser.HOSTILE, "train"), ("lost", "hotdog", "test")]
    return gallery_page("hotdog:v3", rows, thumbnails())


def thumbnails() -> dict[str, str]:
    return {
        "wide": gallery.encode(Image.new("RGB", (448, 224), browser.MAGENTA)),
        "tall": gallery.encode(Image.new("RGB", (112, 224), browser.GREEN)),
    }


def framed(page: str, width: int) -> str:
    return (
        f'<iframe id="framed" width="{width}" height="800" srcdoc="{escape(page)}"></iframe><p id="seen"></p>'
        f"<script>{MEASURE.replace('LEAST', str(CONTRAST))}</script>"
    )


def measured(dom: str) -> dict[str, object]:
    return json.loads(dom.partition('id="seen">')[2].partition("</p>")[0])


def test_the_gauge_sees_faint_text_and_a_wide_page(chromium, proxy, tmp_path):
    page = tmp_path / "faint.html"
    faint = (
        '<body style="background:#fff;margin:0"><p style="width:500px">plain</p>'
        '<p style="color:#888">grey</p><p style="background:rgb(0 0 0 / .9)">dark</p></body>'
    )
    page.write_text(framed(faint, 390), encoding="utf-8")

    seen = measured(browser.browse(chromium, page, proxy, tmp_path))

    assert (seen["width"], seen["texts"]) == (500, 3)
    assert [text for text, _ in seen["faint"]] == ["grey", "dark"]


def test_a_checkup_shows_its_pictures_side_by_side_and_asks_for_nothing(chromium, proxy, tmp_path):
    page, screenshot = tmp_path / "checkup.html", tmp_path / "checkup.png"
    page.write_text(checked(), encoding="utf-8")

    dom = browser.Tags(
        browser.browse(
            chromium, page, proxy, tmp_path, "--window-size=1200,4000", f"--screenshot={screenshot}"
        )
    )

    for words in (
        "hotdog:v3",
        "3 findings",
        "the same, turned",
        "sharpness 1.2",
        "test/lost.jpg",
        "no preview",
    ):
        assert words in dom.text, words
    assert f"{browser.HOSTILE} is leakage." in dom.text
    assert {tag for tag, _ in dom.elements} & {"script", "iframe", "object", "embed", "form"} == set()
    assert [name for _, attributes in dom.elements for name in attributes if name.startswith("on")] == []
    assert [attributes["src"][:23] for tag, attributes in dom.elements if tag == "img"] == [
        "data:image/jpeg;base64,"
    ] * 6
    assert browser.area(screenshot, browser.MAGENTA) > 3 * 150 * 75
    assert browser.area(screenshot, browser.GREEN) > 3 * 70 * 140
    assert proxy.from_our_pages() == []


def test_a_dataset_page_shows_its_pictures_and_asks_for_nothing(chromium, proxy, tmp_path):
    page, screenshot = tmp_path / "dataset.html", tmp_path / "dataset.png"
    page.write_text(pictures_by_class(), encoding="utf-8")

    dom = browser.Tags(
        browser.browse(
            chromium, page, proxy, tmp_path, "--window-size=1200,2000", f"--screenshot={screenshot}"
        )
    )

    assert f"A picture of {browser.HOSTILE}: tall" in [
        attributes.get("alt") for tag, attributes in dom.elements if tag == "img"
    ]
    assert [name for _, attributes in dom.elements for name in attributes if name.startswith("on")] == []
    assert browser.area(screenshot, browser.MAGENTA) > 120 * 60
    assert browser.area(screenshot, browser.GREEN) > 60 * 120
    assert proxy.from_our_pages() == []


@pytest.mark.parametrize(
    ("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(20, 23, 27)")], ids=["light", "dark"]
)
@pytest.mark.parametrize("drawn", [checked, pictures_by_class])
def test_a_page_fits_a_phone_and_all_of_it_can_be_read(chromium, proxy, tmp_path, drawn, scheme, paper):
    page = tmp_path / "phone.html"
    page.write_text(framed(drawn(), 390), encoding="utf-8")

    dom = browser.browse(chromium, page, proxy, tmp_path, f"--blink-settings=preferredColorScheme={scheme}")

    seen = measured(dom)
    assert {tuple(size) for size in seen.pop("pictures")} == {(224, 112), (112, 224)}
    assert seen.pop("texts") > 10
    assert seen == {"width": 390, "paper": paper, "faint": []}
    assert proxy.from_our_pages() == []
