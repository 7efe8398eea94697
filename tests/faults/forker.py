"""Fork a child for each command line that is asked for: Regraft is imported once, and each is a new process.

A request is a line of JSON on standard input:

    words        what stands after `regraft`
    failpoints   what REGRAFT_FAILPOINTS is set to
    file_limit   how large a file may grow, in bytes, or null
    mutant       the bug that is planted, or nothing
    meanwhile    {"point": ..., "words": ...}: another command, run when a failpoint is passed first, or null
    strace       options of strace, which watches the child then, or null

The answer on standard output is the child's exit status, negative where a signal ended it, what it wrote,
the failpoints that it passed in order, and what strace wrote.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile

import pyarrow.compute
import pyarrow.parquet  # noqa: F401 (so that no child has to import it)
from PIL import Image
from tests.faults import mutants
from tests.faults.commanded import run_and_exit

import regraft.cli.dataset
import regraft.cli.store
import regraft.data.building
import regraft.data.diff
import regraft.data.editing
import regraft.data.export  # noqa: F401
from regraft import durable


def answer(request):
    pipes = [os.pipe() for _ in range(3)]
    gate = os.pipe()
    child = os.fork()
    if not child:
        os.close(gate[1])
        for number, (_, writing) in enumerate(pipes[:2], start=1):
            os.dup2(writing, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.read(gate[0], 1)
        run(request, pipes[2][1])
    trace = watch(child, request["strace"])
    os.close(gate[0])
    os.close(gate[1])
    texts = []
    for _, writing in pipes:
        os.close(writing)
    for reading, _ in pipes:
        with os.fdopen(reading, encoding="utf-8") as stream:
            texts.append(stream.read())
    _, status = os.waitpid(child, 0)
    out, err, passages = texts
    return {
        "status": os.waitstatus_to_exitcode(status),
        "out": out,
        "err": err,
        "passages": passages.split(),
        "trace": trace(),
    }


def watch(child, options):
    """Let strace watch a child from now on; return what gives its words at the end."""
    if options is None:
        return str
    log = tempfile.NamedTemporaryFile("r")  # noqa: SIM115 (closed when it was read)
    words = ["strace", "-f", "-o", log.name, *options, "-p", str(child)]
    strace = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    if "attached" not in (said := strace.stderr.readline()):
        os.kill(child, signal.SIGKILL)
        raise RuntimeError(said)

    def words_of_strace():
        strace.communicate()
        with log:
            return log.read()

    return words_of_strace


def run(request, pipe):
    signal.alarm(60)  # a command that hangs is killed, so that the test fails
    os.environ["REGRAFT_FAILPOINTS"] = request["failpoints"]
    if (limit := request["file_limit"]) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if request["strace"] is None:  # what it writes would be seen
        listen(pipe, request["meanwhile"])
    mutants.plant(request["mutant"])
    run_and_exit(request["words"])


def listen(pipe, meanwhile):
    """Write each failpoint that is passed to a pipe; run another command when one is passed first."""
    failpoint = durable.failpoint

    def passed(name):
        nonlocal meanwhile
        os.write(pipe, f"{name}\n".encode())
        if meanwhile and name == meanwhile["point"]:
            words, meanwhile = meanwhile["words"], None
            other = os.fork()
            if not other:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                run_and_exit(words)
            if os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]):
                raise RuntimeError(words)
        failpoint(name)

    durable.failpoint = passed


if __name__ == "__main__":
    Image.init()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
