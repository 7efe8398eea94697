"""Fork a child for each fine-tuning that is asked for: torch is imported once, and each is a new process.

A request is a line of JSON on standard input; the answer is one on standard output.

    {"words", "failpoints", "step", "do", "folder"}
             begin `regraft WORDS`, whose words go to files in a folder; answers {"process"} at once. After a
             step of training, before anybody hears of it, the process kills itself ("kill"), or makes a
             file `reached` and goes on when it was asked to end ("wait")
    {"wait"} wait for that process to end; answers {"status"}, negative where a signal ended it
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from regraft.hub import operators

operators.register()

import pyarrow.parquet  # noqa: E402, F401 (so that no child has to import it)
import timm  # noqa: E402, F401
from tests.faults.commanded import run_and_exit  # noqa: E402

import regraft.cli.finetune  # noqa: E402
import regraft.cli.run  # noqa: E402
import regraft.jobs.evaluate  # noqa: E402
import regraft.jobs.execute  # noqa: E402
import regraft.jobs.trunk  # noqa: E402
import regraft.jobs.tune  # noqa: E402, F401
from regraft.jobs.watching import Watch  # noqa: E402

#: Seconds that a process waits for somebody who should ask it to end.
_PATIENCE = 60


def begin(request):
    """Fork a child that executes a command line; return its number."""
    child = os.fork()
    if child:
        return child
    signal.alarm(240)  # a command that hangs is killed, so that the test fails
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(request["folder"])
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ["REGRAFT_FAILPOINTS"] = request["failpoints"]
    if request["do"]:
        meet(request["step"], request["do"], folder / "reached")
    return run_and_exit(request["words"])


def meet(step, what, reached):
    """Let something happen after a step of training, before anybody hears of it."""
    own = Watch.step

    def heard(self, state, **said):
        if state.at.step == step:
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            reached.touch()
            until = time.monotonic() + _PATIENCE
            while not self._run.asked and time.monotonic() < until:
                time.sleep(0.01)
        own(self, state, **said)

    Watch.step = heard


def answer(request):
    if "wait" in request:
        _, status = os.waitpid(request["wait"], 0)
        return {"status": os.waitstatus_to_exitcode(status)}
    return {"process": begin(request)}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
