"""The journal: what a run wrote while it ran, and what became of it."""

import os
import re
import socket
import subprocess
import sys

import pytest

from regraft import durable
from regraft.errors import ConflictError, NotFoundError
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
    [
        ("done", {"model": "photos:v1"}, None),
        ("failed", {}, "The disk is full."),
        ("interrupted", {}, None),
        ("stopped", {}, "Run x was stopped on request."),
    ],
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


@pytest.mark.parametrize("status", ["failed", "interrupted", "stopped", "lost"])
def test_a_run_that_has_ended_before_it_was_done_is_opened_again(
    tmp_path, journal, process_that_has_gone, status
):
    kept = "running" if status == "lost" else status
    write(
        tmp_path,
        "20250101-000000-aaaaaa",
        status=kept,
        error="Gone.",
        ended="2025-01-01T00:00:01.000+00:00",
        process=process_that_has_gone,
    )
    run = journal.find("latest")
    before = run.record
    run.ask_to_stop()

    after = run.reopen()

    assert before.status == status
    assert after == before.model_copy(
        update={
            "status": "running",
            "error": None,
            "ended": None,
            "process": os.getpid(),
            "process_started": after.process_started,
        }
    )
    assert (journal.find("latest").record, run.asked) == (after, False)


def test_a_run_that_is_done_is_not_opened_again(journal):
    run = journal.create("finetune", inputs={}, recipe={})
    done = run.end("done", outputs={"model": "photos:v1"})

    with pytest.raises(ConflictError) as caught:
        run.reopen()

    assert (str(caught.value), caught.value.hint) == (
        f"Run {run.id} is done.",
        f"To train longer: regraft run extend {run.id} --epochs +10",
    )
    assert run.record == done


@pytest.mark.parametrize("force", [False, True])
def test_a_run_of_a_process_that_lives_is_not_opened_again(journal, force):
    run = journal.create("finetune", inputs={}, recipe={})

    with pytest.raises(ConflictError) as caught:
        run.reopen(force=force)

    assert (str(caught.value), caught.value.hint) == (
        f"Run {run.id} is being executed by process {os.getpid()} of {socket.gethostname()!r}.",
        f"Watch it with `regraft run watch {run.id}`, or end it with `regraft run stop {run.id}`.",
    )


def test_a_run_of_another_machine_is_taken_over_by_force_alone(tmp_path, journal):
    write(tmp_path, "20250101-000000-aaaaaa", process=4711, host="elsewhere")
    run = journal.find("latest")

    with pytest.raises(ConflictError) as caught:
        run.reopen()
    after = run.reopen(force=True)

    assert (str(caught.value), caught.value.hint) == (
        f"Run {run.id} is being executed by process 4711 of 'elsewhere'.",
        f"If it does not run there any more: regraft run resume {run.id} --force",
    )
    assert (after.status, after.host) == ("running", socket.gethostname())


def test_half_a_line_is_cut_off_before_the_next_is_written(journal):
    run = journal.create("finetune", inputs={}, recipe={})
    run.metric(step=1)
    run.log("one")
    for name in ("metrics.jsonl", "log.txt"):
        with (run.path / name).open("ab") as file:
            file.write(b'{"step": 2, "los')
    run.end("interrupted")

    run.reopen()
    run.metric(step=2)
    run.log("two")

    assert without_times(run.metrics()) == [{"step": 1}, {"step": 2}]
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["one", "two"]


def test_only_one_executes_a_run(journal):
    run = journal.create("finetune", inputs={}, recipe={})
    other = journal.find("latest")

    with run.held(), pytest.raises(ConflictError) as caught, other.held():
        pytest.fail("both hold it")
    with other.held():
        pass

    assert str(caught.value).startswith(f"Run {run.id} is being executed by process {os.getpid()} of ")


#: Wait for a line, then resume the latest run, and execute it until standard input ends.
FIGHTER = """
import sys
from pathlib import Path
from regraft.errors import ConflictError
from regraft.store.journal import Journal

run = Journal(Path(sys.argv[1])).find("latest")
print("ready", flush=True)
sys.stdin.readline()
try:
    with run.held():
        run.reopen()
        print("won", flush=True)
        sys.stdin.read()
        run.end("done")
except ConflictError as error:
    print(error, flush=True)
"""


def test_of_processes_that_resume_a_run_at_once_exactly_one_wins(tmp_path, journal):
    run = journal.create("finetune", inputs={}, recipe={})
    run.end("interrupted")
    fighters = [
        subprocess.Popen(
            [sys.executable, "-c", FIGHTER, tmp_path / "runs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ready = [fighter.stdout.readline() for fighter in fighters]

    for fighter in fighters:
        fighter.stdin.write("go\n")
        fighter.stdin.flush()
    said = [fighter.stdout.readline().strip() for fighter in fighters]
    during = run.record
    for fighter in fighters:
        fighter.communicate(timeout=30)

    assert ready == ["ready\n"] * 3
    assert said.count("won") == 1
    assert sum(words.startswith(f"Run {run.id} is being executed by process ") for words in said) == 2
    assert (during.status, during.process) == ("running", fighters[said.index("won")].pid)
    assert run.record.status == "done"


def test_a_run_begins_with_the_checkpoints_of_another(journal):
    old = journal.create("finetune", inputs={}, recipe={})
    old.checkpoints().put(3, b"three", best=True)

    new = journal.create("finetune", inputs={}, recipe={}, begin=old.checkpoints())

    assert (new.checkpoints().latest(), new.checkpoints().best()) == ((3, b"three"), (3, b"three"))


def test_a_run_that_should_go_on_from_nothing_does_not_begin(journal):
    old = journal.create("finetune", inputs={}, recipe={})

    with pytest.raises(NotFoundError) as caught:
        journal.create("finetune", inputs={}, recipe={}, begin=old.checkpoints())

    assert str(caught.value) == "There is no checkpoint to go on from."
    assert journal.ids() == [old.id]


def test_of_the_curve_each_point_is_told_once_and_what_was_void_not_at_all(journal):
    run = journal.create("finetune", inputs={}, recipe={})
    run.metric(C=0.1, log_loss=0.5)
    run.metric(step=10, loss=0.9)
    run.metric(step=20, loss=0.8)
    run.metric(epoch=1, step=20, loss=0.85)
    run.metric(step=30, loss=0.7)
    run.metric(step=37, loss=0.65)
    run.metric(epoch=2, step=40, loss=0.6)
    run.metric(event="resumed", step=30)
    run.metric(step=30, loss=0.71)
    run.metric(step=39, loss=0.61)
    run.metric(epoch=2, step=40, loss=0.55, lr={"body": 0.1})

    curve = without_times(run.curve())

    assert curve == [
        {"step": 10, "loss": 0.9},
        {"step": 20, "loss": 0.8},
        {"epoch": 1, "step": 20, "loss": 0.85},
        {"step": 30, "loss": 0.71},
        {"step": 39, "loss": 0.61},
        {"epoch": 2, "step": 40, "loss": 0.55, "lr": {"body": 0.1}},
    ]


def test_a_run_that_has_ended_is_removed_with_all_that_is_in_it(tmp_path, journal):
    run = journal.create("finetune", inputs={}, recipe={})
    run.checkpoints().put(1, b"one")
    run.metric(step=1)
    run.end("failed")

    run.remove()

    assert (journal.ids(), list((tmp_path / "runs").iterdir())) == ([], [])


def test_a_run_that_is_at_work_is_not_removed(journal):
    run = journal.create("finetune", inputs={}, recipe={})

    with pytest.raises(ConflictError, match=f"^Run {run.id} is being executed by process "):
        run.remove()

    assert run.record.status == "running"


def test_a_run_that_was_removed_is_not_executed(journal):
    run = journal.create("finetune", inputs={}, recipe={})
    run.end("failed")
    journal.find("latest").remove()

    with pytest.raises(NotFoundError) as caught, run.held():
        pytest.fail("it is not there")

    assert str(caught.value) == f"Run {run.id} was removed."
    assert not run.path.exists()
