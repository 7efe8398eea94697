"""A checkup and a dataset as pages, and a checkup in the terminal."""

import re
from html import unescape
from html.parser import HTMLParser

from regraft.records import Checkup, Example, Finding, decode, encode
from regraft.reports import checkup_text
from regraft.reports.checkup import DRAWN, pictured, render
from regraft.reports.dataset_page import EACH, IN_ALL, chosen, gallery_page

HOSTILE = '<img src=x onerror=alert(1)>" onmouseover="alert(2) {{ 7 * 7 }}'
PICTURE = "data:image/jpeg;base64,AAAA"
FACTS = [("Pictures", "2000"), ("Classes", "2")]


class Page(HTMLParser):
    """The elements of a page with what they say of themselves, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def count(self, tag):
        return sum(element == tag for element, _ in self.elements)

    def all(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def example(*keys, words=""):
    return Example(keys=keys, digests=tuple(f"digest of {key}" for key in keys), words=words)


def finding(code="blurred", severity="warning", **changes):
    values = {
        "code": code,
        "severity": severity,
        "title": f"Something is {code}.",
        "count": 2,
        "advice": f"Mend what is {code}.",
        "examples": (),
    }
    return Finding(**{**values, **changes})


LEAK = finding(
    "leakage",
    "error",
    title="2 pictures stand in train and test.",
    advice="Delete one of each pair, or type `regraft dataset add hotdog FOLDER`.",
    examples=(example("train/a.jpg", "test/b.jpg", words="the same photograph, turned"),),
)
BLUR = finding(examples=(example("train/c.jpg", words="sharpness 1.2"), example("train/d.jpg")))
CLASH = finding("name-clash", "note", examples=(example(words="'cat' and 'Cat'"),))


def checkup(*findings, **changes):
    values = {
        "dataset_ref": "hotdog:v3",
        "dataset": "d" * 64,
        "findings": findings,
        "checked": ("leakage", "blurred", "name-clash", "tiny"),
        "skipped": {"wrong-labels": "No model knows these classes: run `regraft finetune hotdog` first."},
    }
    return Checkup(**{**values, **changes})


def test_the_page_holds_every_finding_with_its_advice_and_examples():
    pictures = dict.fromkeys(("digest of train/a.jpg", "digest of train/c.jpg"), PICTURE)

    page = Page(render(checkup(LEAK, BLUR, CLASH), pictures, facts=FACTS))

    for words in (
        "hotdog:v3",
        "d" * 64,
        "Pictures",
        "2000",
        "3 findings",
        "1 error, 1 warning, 1 note in 4 checks; 1 check not made",
        "Numbers measured on this dataset cannot be trusted until the errors are mended.",
        "2 pictures stand in train and test.",
        "Delete one of each pair, or type regraft dataset add hotdog FOLDER.",
        "the same photograph, turned",
        "train/a.jpg",
        "test/b.jpg",
        "sharpness 1.2",
        "'cat' and 'Cat'",
        "regraft dataset check hotdog",
        "No model knows these classes: run regraft finetune hotdog first.",
    ):
        assert words in page.text, words
    assert page.all("alt") == ["train/a.jpg", "train/c.jpg: sharpness 1.2"]
    assert page.all("src") == [PICTURE, PICTURE]
    assert [label for label in page.all("aria-label") if "preview" in label] == [
        "test/b.jpg, without a preview",
        "train/d.jpg, without a preview",
    ]


def test_the_gravest_finding_stands_first_whatever_the_order():
    page = render(checkup(CLASH, BLUR, LEAK), {}, facts=())

    assert re.findall(r"<h2><bdi>(.*?)</bdi></h2>", page) == [
        "2 pictures stand in train and test.",
        "Something is blurred.",
        "Something is name-clash.",
    ]
    links, targets = re.findall(r'href="#(.*?)"', page), re.findall(r'id="(.*?)"', page)
    assert links == targets == ["finding-1", "finding-2", "finding-3"]


def test_only_what_is_typed_looks_typed():
    odd = finding(advice="Type `regraft a` and `regraft b`.\n\nA lone ` stays.\n``")

    page = render(checkup(odd), {}, facts=())

    assert "<p>Type <code>regraft a</code> and <code>regraft b</code>.</p>" in page
    assert "<p>A lone ` stays.</p>" in page
    assert "<p>``</p>" in page


def test_a_large_cluster_shows_some_pictures_and_names_the_others():
    keys = tuple(f"{index}.jpg" for index in range(DRAWN + 3))
    large = checkup(finding(examples=(example(*keys, words="one burst"),), count=1))

    page = Page(render(large, dict.fromkeys(pictured(large), PICTURE), facts=()))

    assert page.all("alt") == list(keys[:DRAWN])
    assert "and 3 more" in page.text
    assert [key for key in keys if key not in page.text] == []


def test_files_without_any_preview_are_a_list_and_not_a_row_of_grey_boxes():
    unreadable = finding("unreadable", examples=(example("a.jpg", words="ends too early"), example("b.jpg")))

    page = render(checkup(unreadable), {}, facts=())

    assert re.findall(r"<li><bdi>(.*?)</bdi></li>", page) == ["a.jpg: ends too early", "b.jpg"]
    assert "no preview" not in page


def test_pictures_that_the_page_draws_are_named_once():
    lone = Example(keys=("a.jpg", "b.jpg"), digests=("1",), words="")
    none = Example(keys=("c.jpg",), digests=("",), words="")
    spare = Example(keys=("d.jpg",), digests=("2", "3"), words="")

    wanted = pictured(checkup(finding(examples=(lone, none)), finding(examples=(lone, spare))))

    assert wanted == ("1", "2")
    page = Page(render(checkup(finding(examples=(lone,))), {"1": PICTURE}, facts=()))
    assert (page.all("alt"), page.text.count("no preview")) == (["a.jpg"], 1)


def test_a_clean_dataset_has_a_short_page():
    page = Page(render(checkup(skipped={}), {}, facts=FACTS))

    assert "0 findings" in page.text
    assert "in 4 checks" in page.text
    assert "not made" not in page.text
    assert "regraft dataset" not in page.text
    assert page.count("figure") == 0
    assert re.findall(r"[a-z-]+", page.text.partition("Checks that found nothing")[2])[:4] == [
        "leakage",
        "blurred",
        "name-clash",
        "tiny",
    ]


def test_notes_alone_ask_for_nothing():
    page = Page(render(checkup(CLASH), {}, facts=()))

    assert "Nothing here has to be mended; the notes are good to know." in page.text
    assert "When the files are mended" not in page.text


def test_hostile_names_are_escaped_in_a_checkup():
    evil = Example(keys=(HOSTILE, HOSTILE), digests=("1", "2"), words=HOSTILE)
    alone = Example(keys=(HOSTILE,), digests=("1",), words=HOSTILE)
    bare = Example(keys=(), digests=(), words=HOSTILE)
    hostile = checkup(
        finding(HOSTILE, title=HOSTILE, advice=f"{HOSTILE}`{HOSTILE}`", examples=(evil, alone, bare)),
        dataset_ref=HOSTILE,
        dataset=HOSTILE,
        checked=(HOSTILE, HOSTILE + "2"),
        skipped={HOSTILE: HOSTILE},
    )

    drawn = render(hostile, {"1": PICTURE}, facts=[(HOSTILE, HOSTILE)])

    page = Page(drawn)
    assert page.count("img") == 2
    assert page.all("onerror") + page.all("onmouseover") == []
    assert page.text.count(HOSTILE) > 15
    assert "<script" not in drawn


def test_the_commands_survive_a_shell():
    page = render(checkup(LEAK, dataset_ref="my dog; rm -rf x:v1"), {}, facts=())

    assert "regraft dataset check 'my dog; rm -rf x'" in unescape(page)


def test_pages_refer_to_nothing_outside_themselves():
    checked = checkup(LEAK, BLUR, CLASH)
    pages = [
        render(checked, dict.fromkeys(pictured(checked), PICTURE), facts=FACTS),
        gallery_page("hotdog:v3", rows(), dict.fromkeys(chosen(rows()), PICTURE)),
    ]

    for drawn in pages:
        page = Page(drawn)
        references = page.all("src") + page.all("href")
        assert [value for value in references if not value.startswith(("data:", "#"))] == []
        assert len(references) > 5
        assert re.findall(r"https?:|@import|url\(", drawn) == []
        assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in drawn


def test_the_same_input_gives_the_same_page():
    first = checkup(LEAK, BLUR, CLASH)

    again = decode(Checkup, encode(first), where="checkup")

    assert render(first, {}, facts=FACTS) == render(again, {}, facts=FACTS)
    assert gallery_page("a", rows(), {}) == gallery_page("a", list(reversed(rows())), {})


def test_what_is_not_shown_of_a_finding_is_counted_in_its_pictures():
    three = tuple(example(f"{index}.jpg") for index in range(3))

    lines = checkup_text.summary(checkup(finding(count=20, examples=three))).splitlines()

    assert lines[2:6] == [
        "          - 0.jpg",
        "          - 1.jpg",
        "          - 2.jpg",
        "          - and 17 more",
    ]


def test_the_terminal_shows_the_gravest_first():
    examples = tuple(example(f"{index}.jpg") for index in range(5))

    lines = checkup_text.summary(checkup(CLASH, finding(examples=examples), LEAK)).splitlines()

    assert lines == [
        "error     2 pictures stand in train and test.",
        "          Delete one of each pair, or type `regraft dataset add hotdog FOLDER`.",
        "          - train/a.jpg, test/b.jpg: the same photograph, turned",
        "",
        "warning   Something is blurred.",
        "          Mend what is blurred.",
        "          - 0.jpg",
        "          - 1.jpg",
        "          - 2.jpg",
        "          - and 2 more",
        "",
        "note      Something is name-clash.",
        "          Mend what is name-clash.",
        "          - 'cat' and 'Cat'",
        "",
        "1 error, 1 warning, 1 note (4 checks made). Numbers measured on this dataset cannot be trusted "
        "until the errors are mended.",
        "",
        "skipped   wrong-labels: No model knows these classes: run `regraft finetune hotdog` first.",
    ]


def test_the_terminal_names_some_keys_of_a_large_cluster():
    large = checkup(finding(examples=(example(*"abcdef", words="one burst"),)), skipped={})

    lines = checkup_text.summary(large).splitlines()

    assert lines[2] == "          - a, b, c, d and 2 more: one burst"


def test_a_clean_dataset_is_one_line_in_the_terminal():
    assert checkup_text.summary(checkup(skipped={})) == "No findings: 4 checks made."
    assert checkup_text.summary(checkup(skipped={}, checked=("tiny",))) == "No findings: 1 check made."


def test_no_name_in_a_checkup_can_steer_the_terminal():
    red = "\x1b[31mred\r\u202e"
    evil = checkup(
        finding(title=red, advice=f"{red}\n{red}", examples=(example(red, words=red),)), skipped={red: red}
    )

    said = checkup_text.summary(evil)

    assert [c for c in said if not c.isprintable() and c != "\n"] == []
    assert "\\x1b[31mred\\r\\u202e" in said


def rows():
    """Ten cats and four dogs to learn from, and one cat and two birds to test with."""
    counts = {("cat", "train"): 10, ("dog", "train"): 4, ("cat", "test"): 1, ("bird", "test"): 2}
    return [
        (f"{split}/{label}/{index}.jpg", label, split)
        for (label, split), count in counts.items()
        for index in range(count)
    ]


def test_a_dataset_page_counts_every_class_in_every_split():
    page = gallery_page("hotdog:v3", rows(), {})

    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    found = [
        (
            re.search(r"<bdi>(.*?)</bdi>", line)[1],
            re.findall(r'class="fill" y="1" width="(.*?)%"', line),
            re.findall(r"<span>(\d+)</span>", line),
        )
        for line in table.strip().splitlines()
    ]
    assert found == [
        ("bird", ["0", "20"], ["0", "2"]),
        ("cat", ["100", "10"], ["10", "1"]),
        ("dog", ["40", "0"], ["4", "0"]),
    ]
    assert "17 pictures, 3 classes, train 14, test 3" in Page(page).text


def test_a_dataset_page_shows_a_few_pictures_of_every_class_and_split():
    wanted = chosen(rows())

    page = Page(gallery_page("hotdog:v3", rows(), dict.fromkeys(wanted, PICTURE)))

    assert {key: wanted.count(key) for key in wanted} == dict.fromkeys(wanted, 1)
    kinds = [key.rpartition("/")[0] for key in wanted]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "test/bird": 2,
        "train/cat": EACH,
        "test/cat": 1,
        "train/dog": 4,
    }
    assert sorted(page.all("alt")) == sorted(f"A picture of {key.split('/')[1]}: {key}" for key in wanted)
    assert f"{EACH} of 10 pictures" in page.text
    assert "no preview" not in page.text


def test_pictures_are_chosen_from_all_over_a_class():
    burst = [(f"{index:03}.jpg", "cat", "") for index in range(60)]

    assert chosen(burst) == ("005.jpg", "015.jpg", "025.jpg", "035.jpg", "045.jpg", "055.jpg")
    assert "no split" in Page(gallery_page("cats", burst, {})).text


def test_very_many_classes_leave_the_page_small():
    many = [(f"{label}/{index}", f"{label:04}", "train") for label in range(IN_ALL + 5) for index in range(3)]

    page = Page(gallery_page("many", many, {}))

    assert len(chosen(many)) == page.count("figure") == IN_ALL
    assert f"{IN_ALL + 5} classes" in page.text
    assert f"pictures are shown of the first {IN_ALL} of {IN_ALL + 5} classes" in page.text


def test_an_empty_dataset_has_a_page():
    page = Page(gallery_page("nothing", [], {}))

    assert "0 pictures, 0 classes" in page.text
    assert (page.count("figure"), page.count("table")) == (0, 0)


def test_hostile_names_are_escaped_on_a_dataset_page():
    drawn = gallery_page(HOSTILE, [(HOSTILE, HOSTILE, HOSTILE)], {HOSTILE: PICTURE})

    page = Page(drawn)
    assert page.count("img") == 1
    assert page.all("onerror") + page.all("onmouseover") == []
    assert page.all("alt") == [f"A picture of {HOSTILE}: {HOSTILE}"]
