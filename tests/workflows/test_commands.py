"""What each command prints, in text and in JSON."""

import csv
import json

import pytest


def test_predict_names_pictures_and_folders_and_gives_reasons(tuned, run, photos, home, tmp_path):
    (tmp_path / "broken.jpg").write_bytes((photos / "sea" / "1.jpg").read_bytes()[:700])

    said = run(
        "predict", "photos", photos / "sea" / "1.jpg", tmp_path / "broken.jpg", "--top", "2", home=home
    )

    header, first, second = said.out.splitlines()
    assert header.split() == ["PICTURE", "LABEL", "PROBABILITY", "THEN"]
    assert first.split()[:2] == [str(photos / "sea" / "1.jpg"), "sea"]
    assert second.rstrip() == f"{tmp_path / 'broken.jpg'}  (truncated)".replace(
        "  (", second.split("jpg")[1].split("(")[0] + "("
    )
    assert said.code == 5


def test_predict_writes_csv_and_json(tuned, run, photos, home, tmp_path):
    said = run("predict", "photos", photos / "leaf", "--csv", "--out", tmp_path / "out.json", home=home)

    rows = list(csv.DictReader(said.out.splitlines()))
    written = json.loads((tmp_path / "out.json").read_text())
    assert (said.code, len(rows), len(written)) == (0, 20, 20)
    assert {row["label"] for row in rows} == {"leaf"}
    assert [row["picture"] for row in rows] == [item["picture"] for item in written]
    assert list(rows[0]) == [
        "picture",
        "label",
        "probability",
        "label_2",
        "probability_2",
        "label_3",
        "probability_3",
        "error",
        "unknown",
    ]
    assert (written[0]["label"], len(written[0]["top"]), written[0]["error"]) == ("leaf", 3, None)


def test_a_picture_gets_the_same_scores_alone_and_in_company(tuned, run, photos, home):
    alone = run("predict", "photos", photos / "sea" / "7.jpg", "--json", home=home).json
    company = run("predict", "photos", photos / "sea", "--json", home=home).json

    assert alone[0] in company


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("dataset", "list"), {"ref", "digest", "labels", "splits", "segments"}),
        (("dataset", "head", "photos"), {"key", "digest", "pack", "label", "split", "width"}),
        (("model", "list"), {"ref", "digest", "architecture", "labels"}),
        (("run", "list"), {"id", "kind", "status", "outputs"}),
        (("report", "list"), {"ref", "metrics", "model", "dataset"}),
    ],
)
def test_lists_are_json_on_demand(tuned, run, home, command, keys):
    said = run(*command, "--json", home=home)

    assert said.code == 0, said.err
    assert keys <= set(said.json[0])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("dataset", "list"), "photos:v1  60        3        train 42, val 6, test 12"),
        (("dataset", "info", "photos"), "leaf   14     2    4"),
        (("dataset", "head", "photos", "-n", "1"), "leaf/0.jpg  leaf"),
        (("model", "list"), "photos:v1              fine-tuned  tf_efficientnet_lite0  3"),
        (("model", "info", "photos"), "tf_efficientnet_lite0 from embedded:efficientnet_lite0"),
        (("run", "list"), "finetune  done    photos:v1"),
        (("run", "info", "RUN"), "train.seed"),
        (("run", "watch", "RUN"), "accuracy"),
        (("report", "list"), "photos:v1"),
        (("report", "info", "photos:v1"), "accuracy"),
        (("report", "open", "photos:v1"), ".html"),
    ],
)
def test_commands_say_what_a_person_wants_to_know(tuned, run, home, command, words):
    first = run("run", "list", "--json", home=home).json[0]["id"]

    said = run(
        *(first if word == "RUN" else word for word in command), home=home, DISPLAY="", WAYLAND_DISPLAY=""
    )

    assert said.code == 0, said.err
    assert words in said.out


def test_an_empty_workspace_says_how_to_begin(run, tmp_path):
    said = run("dataset", "list", home=tmp_path)

    assert (said.code, said.out) == (0, "No datasets yet. Add one: regraft dataset add NAME FOLDER\n")


def test_a_tag_names_a_version_until_it_moves(tuned, run, home):
    assert run("model", "tag", "photos:v1", "best", home=home).out == "photos:v1 is now also photos:best\n"

    said = run("model", "info", "photos:best", "--json", home=home)

    assert said.json["ref"] == "photos:v1"


def test_a_table_that_is_piped_away_is_no_error(tuned, run, home):
    said = run("dataset", "head", "photos", "-n", "60", home=home)

    assert len(said.out.splitlines()) == 61
