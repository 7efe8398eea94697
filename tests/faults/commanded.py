"""Run one command in a process that was forked, and end it without what the process that forked had begun."""

import os
import sys
import traceback

from regraft.cli.main import main


def run_and_exit(words):
    """Run `regraft WORDS...` and end the process with its exit code; 99 is an error that nobody foresaw."""
    sys.argv = ["regraft", *words]
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
