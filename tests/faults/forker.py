"""Fork a child for each command line that is asked for: Regraft is imported once, and each is a new process.

A request is a line of JSON on standard input: the words after `regraft`, what to add to the environment, and
perhaps how large a file may grow. The answer on standard output is the child's exit status, negative where a
signal ended it, and what it wrote.
"""

import json
import os
import resource
import signal
import sys
import traceback

from PIL import Image

import regraft.cli.dataset  # noqa: F401 (so that no child has to)
from regraft.cli.main import main


def answer(request):
    out, err = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.dup2(out[1], 1)
        os.dup2(err[1], 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        run(request)
    texts = []
    os.close(out[1])
    os.close(err[1])
    for ours in (out[0], err[0]):
        with os.fdopen(ours, encoding="utf-8") as stream:
            texts.append(stream.read())
    _, status = os.waitpid(child, 0)
    return {"status": os.waitstatus_to_exitcode(status), "out": texts[0], "err": texts[1]}


def run(request):
    signal.alarm(60)  # a command that hangs is killed, so that the test fails
    os.environ.update(request["environment"])
    if (limit := request["file_limit"]) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = ["regraft", *request["words"]]
    status = 99
    try:
        main()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    Image.init()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
