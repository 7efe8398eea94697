"""Tune with one tool, and print how many pictures it names rightly; needs nothing but Python, torch and timm.

python tuner_clock.py NAME TASK.json
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path


def main(name: str, file: str) -> None:
    """Tune with `tuner_NAME.tune`, and compare what it says with the folders that the pictures lie in."""
    with suppress(ImportError):  # beside some builds of torch, torchvision's import fails without it
        from regraft.hub.operators import register

        register()
    import torch

    from tuner_terms import Task

    facts = json.loads(Path(file).read_text())
    asked = tuple(Path(path) for path in facts.pop("asked"))
    places = {key: Path(facts.pop(key)) for key in ("folder", "weights", "home")}
    torch.manual_seed(0)
    said = import_module(f"tuner_{name}").tune(Task(asked=asked, **places, **facts))
    right = sum(label == path.parent.name for label, path in zip(said, asked, strict=True))
    print(json.dumps({"right": right, "of": len(asked)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
