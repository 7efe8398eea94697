"""Run the script of one trainer, and print what it took; needs nothing but Python and torch.

python trainer_clock.py NAME FOLDER HOME
"""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path


def main(name: str, folder: str, home: str) -> None:
    """Train on the pictures of a folder with `trainer_NAME.train`, which writes into another folder."""
    with suppress(ImportError):  # beside some builds of torch, torchvision's import fails without it
        from regraft.hub.operators import register

        register()
    train = import_module(f"trainer_{name}").train
    began = _cpu()
    train(Path(folder), Path(home))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": _cpu() - began, "peak": peak}))


def _cpu() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


if __name__ == "__main__":
    main(*sys.argv[1:])
