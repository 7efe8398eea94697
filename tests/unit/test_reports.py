"""Pages and terminal lines, from records."""

import re
import tomllib
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from regraft.jobs import evaluate, first_batch, page
from regraft.recipe import Recipe
from regraft.records import (
    Baseline,
    Candidate,
    Checkup,
    ClassScores,
    Example,
    Finding,
    Interval,
    Learning,
    Lineage,
    Metrics,
    Mistake,
    Report,
    decode,
    encode,
)
from regraft.reports import gallery, html, plots, text, toml

HOSTILE = "<img src=x onerror=alert(1)>"
#: Anything in the page that a browser might fetch.
REFERENCE = re.compile(
    r"""(?<![\w-])(?:src|href|srcset|action|data|poster)\s*=\s*["']?([^"'\s>]*)|url\(([^)]*)\)""", re.I
)


def scores(label="cat", *, precision=0.9, recall=0.8, f1=0.847, support=10):
    return ClassScores(label=label, precision=precision, recall=recall, f1=f1, support=support)


def metrics(**changes):
    values = {
        "count": 140,
        "correct": 131,
        "accuracy": 131 / 140,
        "accuracy_interval": Interval(low=0.8826, high=0.9659),
        "balanced_accuracy": 0.9312,
        "macro_f1": 0.9345,
        "log_loss": 0.2123,
        "calibration_error": 0.0314,
        "classes": (
            scores("hotdog", precision=0.941, recall=0.914, f1=0.928, support=70),
            scores("not-hotdog", precision=0.931, recall=0.957, f1=0.944, support=70),
        ),
        "confusion": ((64, 6), (3, 67)),
    }
    return Metrics(**{**values, **changes})


def learning(**changes):
    candidates = tuple(
        Candidate(C=C, log_loss=loss, standard_error=0.01)
        for C, loss in ((0.001, 0.5), (0.01, 0.3), (0.03, 0.21), (0.1, 0.22), (1.0, 0.4))
    )
    values = {
        "pictures": 561,
        "num_features": 1280,
        "folds": 5,
        "candidates": candidates,
        "C": 0.03,
        "temperature": 1.132,
        "accuracy": 0.9412,
        "log_loss": 0.1874,
    }
    return Learning(**{**values, **changes})


def lineage(**changes):
    values = {
        "dataset": "d" * 64,
        "model": "b" * 64,
        "recipe": Recipe().model_dump(),
        "seed": 7,
        "code": "0.1.2",
        "environment": {"torch": "2.9.0+cpu", "python": "3.12.3"},
    }
    return Lineage(**{**values, **changes})


def report(**changes):
    values = {
        "parent": None,
        "model": "a" * 64,
        "dataset": "d" * 64,
        "model_ref": "hotdog-lite0:v1",
        "dataset_ref": "hotdog:v3",
        "weights": "c" * 64,
        "split": "test",
        "labels": ("hotdog", "not-hotdog"),
        "seen": 0,
        "notes": (),
        "metrics": metrics(),
        "baselines": (
            Baseline(name="majority class", accuracy=0.5),
            Baseline(name="nearest class mean", accuracy=0.857),
        ),
        "mistakes": tuple(mistake(index) for index in range(9)),
        "learning": learning(),
        "lineage": lineage(),
        "predictions": "e" * 64,
        "page": None,
    }
    return Report(**{**values, **changes})


def mistake(index=0):
    return Mistake(
        key=f"test/hotdog/{index}.jpg",
        digest=f"{index:064}",
        label="hotdog",
        predicted="not-hotdog",
        probability=0.98 - index / 100,
    )


def many(classes):
    """Ten pictures a class, of which the next class takes one, or of every tenth class three."""
    wrong = [3 if index % 10 == 0 else 1 for index in range(classes)]
    confusion = [[0] * classes for _ in range(classes)]
    for index, count in enumerate(wrong):
        confusion[index][index] = 10 - count
        confusion[index][(index + 1) % classes] = count
    labels = tuple(f"class-{index:03}" for index in range(classes))
    total, correct = 10 * classes, 10 * classes - sum(wrong)
    each = tuple(scores(label, recall=1 - count / 10) for label, count in zip(labels, wrong, strict=True))
    numbers = metrics(
        count=total,
        correct=correct,
        accuracy=correct / total,
        classes=each,
        confusion=tuple(map(tuple, confusion)),
    )
    return report(labels=labels, metrics=numbers, mistakes=())


def test_the_page_holds_every_number():
    page = html.render(report(seen=12), {})

    for words in [
        "hotdog-lite0:v1",
        "hotdog:v3",
        "93.6<small> %",
        "131 of 140 pictures",
        "88.3 to 96.6 %",
        "majority class",
        "50.0 %",
        "nearest class mean",
        "85.7 %",
        "93.1 %",
        "0.934",
        "0.212",
        "0.031",
        "0.693",
        "12 pictures of this split were left out",
        "94.1 %",
        "91.4 %",
        "0.928",
        ">64<",
        ">6<",
        ">3<",
        ">67<",
        "98.0 %",
        "90.0 %",
        "test/hotdog/8.jpg",
        "561 pictures",
        "1280 features",
        "5 folds",
        "C = 0.03",
        "1.132",
        "0.187",
        "a" * 64,
        "b" * 64,
        "c" * 64,
        "d" * 64,
        "e" * 64,
        "0.1.2",
        "2.9.0+cpu",
        "3.12.3",
        "regraft finetune hotdog:v3 --recipe recipe.toml",
        "embedded:efficientnet_lite0",
    ]:
        assert words in page, words


def test_hostile_names_are_escaped():
    hostile = f'{HOSTILE}" onmouseover="alert(2) {{{{ 7 * 7 }}}}'
    evil = report(
        model_ref=hostile,
        dataset_ref=hostile,
        split=hostile,
        labels=(hostile, "dog"),
        metrics=metrics(classes=(scores(hostile), scores("dog"))),
        baselines=(Baseline(name=hostile, accuracy=0.5),),
        mistakes=(Mistake(key=hostile, digest="1", label=hostile, predicted=hostile, probability=0.9),),
        lineage=lineage(environment={hostile: hostile}, recipe={hostile: {hostile: hostile}}, code=hostile),
    )

    page = html.render(evil, {"1": "data:image/jpeg;base64,AAAA"})

    assert HOSTILE not in page
    assert '" onmouseover' not in page
    assert page.count("<img") == 1
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page


def test_the_page_refers_to_nothing_outside_itself():
    for drawn in (report(), many(12), many(100)):
        page = html.render(drawn, {mistake(1).digest: "data:image/jpeg;base64,AAAA"})

        found = {value for pair in REFERENCE.findall(page) for value in pair if value}
        assert {value for value in found if not value.startswith("data:")} == set()
        assert "http:" not in page
        assert "https:" not in page
        assert "@import" not in page
        assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page


def test_the_same_report_gives_the_same_page():
    first = report()

    again = decode(Report, encode(first), where="report")

    assert html.render(first, {}) == html.render(first, {}) == html.render(again, {})


def test_a_mistake_without_a_thumbnail_gets_a_grey_box():
    page = html.render(report(), {mistake(0).digest: "data:image/jpeg;base64,AAAA"})

    assert page.count("<img ") == 1
    assert page.count('class="blank"') == 8
    assert 'alt="A picture of hotdog that the model called not-hotdog"' in page


def test_a_page_says_how_many_mistakes_it_leaves_out():
    numbers = metrics(correct=40, accuracy=40 / 140)
    crowded = report(metrics=numbers, mistakes=tuple(mistake(index) for index in range(24)))

    page = html.render(crowded, {})

    assert "The 24 surest of 100 mistakes" in page
    assert page.count("<figure>") == 24


def test_a_page_without_mistakes_says_so():
    perfect = metrics(
        correct=140,
        accuracy=1.0,
        confusion=((70, 0), (0, 70)),
        accuracy_interval=Interval(low=0.9733, high=1.0),
    )

    page = html.render(report(metrics=perfect, mistakes=()), {})

    assert "every picture of this split was named rightly" in page
    assert "100.0<small> %" in page
    assert "<figure>" not in page


def test_only_a_whole_accuracy_reads_as_a_hundred():
    nearly = report(metrics=metrics(count=30000, correct=29999, accuracy=29999 / 30000))

    assert "accuracy  99.9 %  " in text.summary(nearly)


def test_a_score_that_is_not_defined_is_a_dash():
    empty = scores("hotdog", precision=None, recall=None, f1=None, support=0)
    numbers = metrics(classes=(empty, scores("not-hotdog")), confusion=((0, 0), (3, 67)))

    page = html.render(report(metrics=numbers), {})

    assert page.count('<td class="right">–</td>') == 3 + 4  # and two areas of each class
    assert "None" not in page


def test_a_hundred_classes_are_shown_as_confused_pairs():
    page = html.render(many(100), {})

    assert "Confusion matrix" not in page
    assert "With 100 classes a full matrix would be unreadable" in page
    assert page.index("class-090</bdi>") < page.index("class-001</bdi>")  # the weakest recall first
    pairs = page.partition("Of the true class")[2].partition("</table>")[0]
    assert pairs.count("<tr>") == html.PAIRS_SHOWN
    assert re.search(
        r"class-000</bdi></th><td class=\"red\"><bdi>class-001</bdi></td>"
        r'<td class="right">3</td><td class="right">30.0 %</td>',
        pairs,
    )


def test_the_matrix_has_counts_and_percent_of_each_row():
    page = html.render(report(metrics=metrics(confusion=((64, 6), (0, 67)))), {})

    cells = re.findall(r'<span class="raw">(\d+)</span><span class="part">(\d+)</span>', page)
    assert cells == [("64", "91"), ("6", "9"), ("0", "0"), ("67", "100")]
    assert '<input type="checkbox" id="normalised">' in page


def test_forty_classes_still_have_a_matrix():
    page = html.render(many(40), {})

    assert page.count("--heat:") == 40 * 40
    assert "confused most" not in page


def test_a_model_that_was_not_fine_tuned_has_a_short_page():
    page = html.render(report(learning=None, lineage=None), {})

    assert "How the head was found" not in page
    assert "The model carries no lineage" in page
    assert "regraft finetune" not in page


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ridge", "fitted: ridge regression on the classes."),
        ("shrinkage LDA", "fitted: linear discriminant analysis with a shrunken covariance."),
        ("nearest mean", "fitted: the nearest class mean."),
        (
            "logistic, mirrored too",
            "fitted: logistic regression, which learned from mirrored pictures too.",
        ),
        ("shrinkage LDA, grown", "fitted: shrinkage LDA, grown."),
    ],
)
def test_the_page_tells_of_the_head_that_was_taken_and_not_of_the_plain_one(kind, words):
    plain, other = (html.render(report(learning=learning(kind=one)), {}) for one in ("logistic", kind))

    assert "fitted: logistic regression.\n" in plain
    assert words in other
    for told in ("Cross-validated log-loss over C", "(C)", '<tr><th scope="row">C</th>'):
        assert (told in plain, told in other) == (True, False)


def test_a_head_without_folds_has_no_curve():
    few = learning(candidates=(), folds=0, accuracy=None, log_loss=None)

    page = html.render(report(learning=few), {})

    assert plots.curve(few) == ""
    assert "too few pictures" in page
    assert page.count("<td>–</td>") == 2


def test_the_curve_marks_the_strength_that_was_taken():
    drawing = plots.curve(learning())

    assert drawing.count('class="error"') == 5
    assert drawing.count('class="dot"') == 4
    assert drawing.count('class="dot taken"') == 1
    assert "C = 0.03 was taken" in drawing


def test_the_command_names_no_dataset_that_the_model_has_not_learned_from():
    page = html.render(report(lineage=lineage(dataset="f" * 64)), {})

    assert "regraft finetune DATASET --recipe recipe.toml" in page
    assert "another dataset version" in page


def test_the_command_survives_a_shell():
    page = html.render(report(dataset_ref="my dog; rm -rf x"), {})

    assert "regraft finetune &#39;my dog; rm -rf x&#39; --recipe recipe.toml" in page


def test_the_sentence_says_whether_the_baseline_is_beaten():
    better = html.render(report(), {})
    unclear = html.render(report(baselines=(Baseline(name="nearest class mean", accuracy=0.89),)), {})
    beaten = html.render(report(baselines=(Baseline(name="nearest class mean", accuracy=0.99),)), {})

    assert "it does better than this model" in beaten
    assert "Even the lower end lies above the best baseline" in better
    assert "does not show clearly that the model is better" in unclear


def test_a_recipe_is_printed_as_the_toml_that_gives_it_back():
    recipe = Recipe().model_dump(mode="json")

    printed = toml.format_recipe(recipe)

    assert tomllib.loads(printed) == recipe
    assert re.findall(r"^\[(\w+)\]$", printed, re.M) == ["model", "data", "optim", "train", "eval"]


def test_a_recipe_with_odd_values_is_still_toml():
    odd = {
        "top": True,
        "z y": {"a.b": 'say "hi"\n\x7f\u202e', "n": {"k": [1, 2.5, 1e-7]}, "none": None},
        "model": {},
    }

    printed = toml.format_recipe(odd)

    assert tomllib.loads(printed) == {**odd, "z y": {k: v for k, v in odd["z y"].items() if v is not None}}


def test_the_summary_is_a_few_plain_lines():
    assert text.summary(report(seen=1)).splitlines() == [
        "accuracy  93.6 %  (95 % interval 88.3 to 96.6 %, 131 of 140 pictures of split 'test')",
        "baseline  majority class 50.0 %, nearest class mean 85.7 %",
        "others    balanced accuracy 93.1 %, macro-F1 0.934, log-loss 0.212, calibration error 0.031",
        "left out  1 picture that the model had learned from",
    ]


def test_the_summary_names_the_three_weakest_classes():
    classes = (
        scores("a", recall=0.9),
        scores("b", recall=0.1),
        scores("c", recall=None, support=0),
        scores("d", recall=0.5, support=1),
        scores("e", recall=0.5),
    )

    lines = text.summary(report(metrics=metrics(classes=classes))).splitlines()

    assert lines[3:] == [
        "weakest   b: recall 10.0 % of 10 pictures",
        "          d: recall 50.0 % of 1 picture",
        "          e: recall 50.0 % of 10 pictures",
    ]


def test_a_name_cannot_steer_the_terminal():
    classes = (scores("\x1b[31mred\r\n\u202e"), scores("b"), scores("c"))

    lines = text.summary(report(metrics=metrics(classes=classes)))

    assert "weakest   \\x1b[31mred\\r\\n\\u202e: recall" in lines


def test_a_page_full_of_pictures_that_cannot_be_compressed_is_small():
    def noise(number, width, height):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    most, side = html.MATRIX_CLASSES, gallery.SIDE
    full = many(most)
    numbers = full.metrics.model_copy(
        update={"correct": most, "count": most * most, "confusion": ((1,) * most,) * most}
    )
    full = full.model_copy(
        update={"metrics": numbers, "mistakes": tuple(mistake(n) for n in range(evaluate.SHOWN))}
    )
    small = iter(gallery.encode(noise(n, page.SIDE, page.SIDE)) for n in range(page.PICTURES))
    cells = {
        (true, called): [html.Shown(key="x" * 200, picture=picture, probability=0.5)]
        for (true, called), picture in zip(
            ((true, called) for true in full.labels for called in full.labels), small, strict=False
        )
    }
    digests = iter(f"{n:064x}" for n in range(100))
    findings = tuple(
        Finding(
            code=code, severity="error", title="Copies.", count=9, advice="Drop them.",
            examples=tuple(
                Example(keys=("x" * 200,) * 9, digests=tuple(next(digests) for _ in range(9)), words="")
                for _ in range(html.EXAMPLES)
            ),
        )
        for code in html.COPIES
    )  # fmt: skip
    checkup = Checkup(dataset_ref="a:v1", dataset="d" * 64, findings=findings, checked=(), skipped={})
    copies = {
        one: gallery.encode(noise(n, page.SIDE, page.SIDE)) for n, one in enumerate(html.pictured(checkup))
    }
    sheet = BytesIO()
    rows = first_batch.COUNT // first_batch.ACROSS
    noise(0, first_batch.ACROSS * first_batch.SIDE, rows * first_batch.SIDE).save(sheet, "JPEG", quality=85)

    drawn = html.render(
        full,
        {one.digest: gallery.encode(noise(n, side, side)) for n, one in enumerate(full.mistakes)},
        html.Extras(cells=cells, checkup=checkup, copies=copies, batch=gallery.uri(sheet.getvalue())),
    )

    assert drawn.count("data:image/jpeg") == page.PICTURES + len(full.mistakes) + len(copies)
    assert len(copies) == len(html.COPIES) * html.EXAMPLES * html.TOGETHER
    assert len(drawn.encode()) + len(gallery.uri(sheet.getvalue())) < 4_500_000


def test_a_thumbnail_is_a_small_jpeg():
    picture = Image.new("RGBA", (800, 400), (200, 30, 60, 255))
    picture.info["comment"] = b"from my phone"

    uri = gallery.encode(picture)

    assert uri == gallery.encode(picture)
    small = Image.open(BytesIO(b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (224, 112))
    assert "comment" not in small.info
    assert picture.size == (800, 400)


def test_a_thumbnail_is_never_larger_than_its_picture():
    uri = gallery.encode(Image.new("RGB", (20, 30)), side=64)

    assert Image.open(BytesIO(b64decode(uri.partition(",")[2]))).size == (20, 30)
