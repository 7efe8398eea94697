"""The journal: what a run wrote while it ran, and what became of it."""

import os
import re
import socket
import subprocess
import sys

import pytest

from regraft import durable
from regraft.errors import NotFoundError
from regraft.records import RunRecord, encode
from regraft.store.journal import Journal


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "runs")


@pytest.fixture
def process_that_has_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def write(tmp_path, run_id, **changes):
    values = {
        "id": run_id,
        "kind": "evaluate",
        "status": "running",
        "inputs": {},
        "recipe": {},
        "outputs": {},
        "started": "2025-01-01T00:00:00.000+00:00",
        "ended": None,
        "error": None,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "process_started": "",
    }
    record = RunRecord(**{**values, **changes})
    durable.put(tmp_path / "runs" / run_id / "run.json", encode(record))
    return record


def without_times(lines):
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def test_a_run_begins_with_what_was_asked(journal):
    run = journal.create("finetune", inputs={"dataset": "photos:v1"}, recipe={"train": {"seed": 0}})

    record = run.record

    assert re.fullmatch(r"[0-9]{8}-[0-9]{6}-[0-9]{3}[0-9a-f]{4}", record.id)
    assert record == RunRecord(
        id=run.path.name,
        kind="finetune",
        status="running",
        inputs={"dataset": "photos:v1"},
        recipe={"train": {"seed": 0}},
        outputs={},
        started=record.started,
        ended=None,
        error=None,
        host=socket.gethostname(),
        process=os.getpid(),
        process_started=record.process_started,
    )


@pytest.mark.parametrize(
    ("status", "outputs", "error"),
    [("done", {"model": "photos:v1"}, None), ("failed", {}, "The disk is full."), ("interrupted", {}, None)],
)
def test_a_run_ends_once_and_keeps_what_it_gave(journal, status, outputs, error):
    run = journal.create("finetune", inputs={"dataset": "photos:v1"}, recipe={})
    before = run.record

    after = run.end(status, outputs=outputs, error=error)

    assert after == before.model_copy(
        update={"status": status, "outputs": outputs, "error": error, "ended": after.ended}
    )
    assert after.ended >= before.started
    assert journal.find(run.path.name).record == after


def test_metrics_are_read_in_order_and_from_where_the_reader_was(journal):
    run = journal.create("evaluate", inputs={}, recipe={})
    words = "line \u2028 next \x85 猫 \n"
    run.metric(step=1, loss=0.5)
    run.metric(step=2, label=words)

    lines, later = list(run.metrics()), list(run.metrics(skip=1))

    assert without_times(lines) == [{"step": 1, "loss": 0.5}, {"step": 2, "label": words}]
    assert later == lines[1:]


def test_half_a_line_of_metrics_is_not_read(journal):
    run = journal.create("evaluate", inputs={}, recipe={})
    run.metric(step=1)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write('{"step": 2, "label": "猫'.encode()[:-1])

    lines = list(run.metrics())

    assert without_times(lines) == [{"step": 1}]


def test_a_run_without_metrics_has_none(journal):
    run = journal.create("evaluate", inputs={}, recipe={})

    lines = list(run.metrics())

    assert lines == []


def test_the_log_is_a_line_for_each_word_said(journal):
    run = journal.create("evaluate", inputs={}, recipe={})

    run.log("begun")
    run.log("ended: 猫")

    lines = (run.path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["begun", "ended: 猫"]


def test_a_run_whose_process_has_gone_is_lost(tmp_path, journal, process_that_has_gone):
    record = write(tmp_path, "20250101-000000-aaaaaa", process=process_that_has_gone)

    found = journal.find("latest").record

    assert found == record.model_copy(update={"status": "lost"})


def test_a_run_is_running_while_its_process_lives(journal):
    run = journal.create("evaluate", inputs={}, recipe={})

    found = journal.find("latest").record

    assert (found.id, found.status) == (run.path.name, "running")


def test_a_run_whose_process_number_was_taken_by_another_is_lost(tmp_path, journal):
    record = write(tmp_path, "20250101-000000-aaaaaa", process_started="another boot 1")

    found = journal.find("latest").record

    assert found == record.model_copy(update={"status": "lost"})


def test_a_run_that_has_ended_is_not_lost(tmp_path, journal, process_that_has_gone):
    record = write(tmp_path, "20250101-000000-aaaaaa", process=process_that_has_gone, status="done")

    found = journal.find("latest").record

    assert found == record


def test_a_run_of_another_machine_is_not_judged(tmp_path, journal, process_that_has_gone):
    record = write(tmp_path, "20250101-000000-aaaaaa", process=process_that_has_gone, host="elsewhere")

    found = journal.find("latest").record

    assert found == record


def test_a_run_is_found_by_its_id_by_a_beginning_and_as_the_latest(tmp_path, journal):
    for run_id in ("20250102-000000-bbbbbb", "20250101-000000-aaaaaa", "20250102-000000-bbbbbbb"):
        write(tmp_path, run_id)

    found = [journal.find(words).path.name for words in ("20250101", "20250102-000000-bbbbbb", "latest")]

    assert journal.ids() == ["20250101-000000-aaaaaa", "20250102-000000-bbbbbb", "20250102-000000-bbbbbbb"]
    assert found == ["20250101-000000-aaaaaa", "20250102-000000-bbbbbb", "20250102-000000-bbbbbbb"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("2025", "2 runs begin with '2025'.", "See `regraft run list`."),
        (
            "20250101-000000-aaaaab",
            "No run is named '20250101-000000-aaaaab'.",
            "Did you mean '20250101-000000-aaaaaa'?",
        ),
        ("nothing", "No run is named 'nothing'.", "See `regraft run list`."),
        ("../runs", "No run is named '../runs'.", "See `regraft run list`."),
    ],
)
def test_words_that_name_no_run_are_refused(tmp_path, journal, words, message, hint):
    write(tmp_path, "20250101-000000-aaaaaa")
    write(tmp_path, "20250102-000000-bbbbbb")

    with pytest.raises(NotFoundError) as caught:
        journal.find(words)

    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_without_runs_there_is_no_latest(journal):
    with pytest.raises(NotFoundError) as caught:
        journal.find("latest")

    assert str(caught.value) == "There are no runs yet."


def test_runs_are_listed_in_the_order_in_which_they_began(journal):
    begun = [journal.create("evaluate", inputs={}, recipe={}).path.name for _ in range(8)]

    moments = [run_id[:19] for run_id in journal.ids()]

    assert moments == [run_id[:19] for run_id in begun]
