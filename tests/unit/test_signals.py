"""Signals and requests while a run is executed: when they end it, and when they wait."""

import signal
import threading
from contextlib import nullcontext

import pytest

from regraft.backends.signals import heard
from regraft.errors import RunStopped, Terminated
from regraft.store.journal import Journal


@pytest.fixture
def run(tmp_path):
    return Journal(tmp_path / "runs").create("finetune", inputs={}, recipe={})


@pytest.fixture
def execute(run):
    """Let steps be done one after the other by work that looks for itself; return which were begun."""

    def work(*steps, polls=True):
        begun.clear()
        with heard(run), run.polls() if polls else nullcontext():
            for step in steps:
                begun.append(step)
                if isinstance(step, signal.Signals):
                    signal.raise_signal(step)
                elif step == "check":
                    run.check()
                elif step == "fail":
                    raise ZeroDivisionError

    begun = work.begun = []
    return work


def handlers():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


SIGNALS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_work_that_does_not_look_is_ended_at_once(execute, number, kind):
    before = handlers()

    with pytest.raises(kind) as caught:
        execute("begin", number, "go on", polls=False)

    assert (caught.type, execute.begun, handlers()) == (kind, ["begin", number], before)


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_work_that_looks_is_ended_when_it_has_saved(execute, number, kind):
    with pytest.raises(kind) as caught:
        execute("begin", "check", number, "save", "check", "go on")

    assert (caught.type, execute.begun) == (kind, ["begin", "check", number, "save", "check"])


@pytest.mark.parametrize(("number", "kind"), SIGNALS)
def test_a_second_signal_does_not_wait(execute, number, kind):
    with pytest.raises(kind) as caught:
        execute(signal.SIGINT, "save", number, "go on")

    assert (caught.type, execute.begun) == (kind, [signal.SIGINT, "save", number])


def test_a_signal_after_the_last_look_is_not_lost(execute):
    with pytest.raises(Terminated):
        execute("check", signal.SIGTERM, "end")

    assert execute.begun[-1] == "end"


def test_an_error_of_the_work_comes_before_a_signal_that_waits(execute):
    with pytest.raises(ZeroDivisionError):
        execute(signal.SIGTERM, "fail")


def test_a_handler_that_somebody_else_has_set_stays(run):
    heard_elsewhere = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard_elsewhere.append(number))
    try:
        with heard(run):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert heard_elsewhere == [signal.SIGTERM]


def test_in_another_thread_nothing_changes(run):
    seen = []

    def work():
        with heard(run):
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [handlers()]


def test_a_request_to_stop_is_heard_by_another_holder_of_the_run(run, tmp_path):
    before = run.asked

    Journal(tmp_path / "runs").find(run.id).ask_to_stop()

    assert (before, run.asked) == (False, True)
    with pytest.raises(RunStopped) as caught:
        run.check()
    assert str(caught.value) == f"Run {run.id} was stopped on request."


def test_where_nobody_asked_work_goes_on(execute):
    execute("begin", "check", "end")

    assert execute.begun == ["begin", "check", "end"]
