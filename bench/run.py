"""Benchmarks: each runs Regraft and a plain reference in turn and prints the ratio.

    python bench/run.py                 all but the peers, about half an hour on two cores
    python bench/run.py frozen second   some of them
    python bench/run.py --data FOLDER   pictures for `frozen`: train/ and test/ with class folders in them
    python bench/run.py peers trainers  other libraries, each installed into an environment of its own
    python bench/run.py auto            `auto` on three sets, and other tools on the same: 1.5 hours
    python bench/gpu.py                 training on a GPU, where there is one

CPU time is user and system time of the process and its children, with OpenMP threads that wait passively;
machines are noisy, so that figures are medians, and wall time stands beside.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

from auto import auto
from boundary import boundary
from commands import opening, startup
from evaluating import evaluating
from measuring import say
from overhead import overhead
from peers import peers
from preparing import preparing
from storing import access, append, header, ingest, memory, passes
from trainers import trainers
from training import TRAIN, frozen, second
from tuning import tuning

PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
SHARED = Path(__file__).parents[2] / "shared" / "data"
GOALS = {
    "frozen": frozen,
    "second": second,
    "tuning": tuning,
    "overhead": overhead,
    "boundary": boundary,
    "preparing": preparing,
    "evaluating": evaluating,
    "startup": startup,
    "opening": opening,
    "ingest": ingest,
    "header": header,
    "access": access,
    "passes": passes,
    "append": append,
    "memory": memory,
}
#: Run only when they are named.
ASKED = {"auto": auto, "peers": peers, "trainers": trainers}


def main(arguments: list[str]) -> None:
    """Run the goals that are named, or all."""
    if any(os.environ.get(name) != value for name, value in PASSIVE.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | PASSIVE)
    data = SHARED / "hotdog"
    if "--data" in arguments:
        at = arguments.index("--data")
        data = Path(arguments[at + 1])
        del arguments[at : at + 2]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    say(f"{machine}, load {os.getloadavg()[0]:.1f}")
    for name in arguments or GOALS:
        with tempfile.TemporaryDirectory() as scratch:
            if name == "frozen" and not data.is_dir():
                from pictures import draw

                data = Path(scratch) / "pictures"
                draw(data / "train", TRAIN)
                draw(data / "test", 100)
            (GOALS | ASKED)[name](Path(scratch), data)


if __name__ == "__main__":
    main(sys.argv[1:])
