"""The command line, as a person meets it, and one fine-tuned model that many tests look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it exited."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def run():
    """Run `regraft ...` in a process of its own."""

    def call(*arguments: object, home: Path, **environment: str) -> Said:
        child = subprocess.run(
            [sys.executable, "-W", "error::UserWarning:regraft", "-m", "regraft", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "REGRAFT_HOME": str(home), **environment},
        )
        return Said(child.returncode, child.stdout, child.stderr)

    return call


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A folder of 60 pictures in three classes that a net can tell apart."""
    root = tmp_path_factory.mktemp("pictures") / "photos"
    for label, colour in (("leaf", (30, 160, 60)), ("sea", (20, 60, 190)), ("sand", (220, 190, 110))):
        (root / label).mkdir(parents=True)
        for index in range(20):
            random = np.random.default_rng(index)
            noise = random.normal(0, 40, (60, 80, 3)) + random.uniform(-30, 30, 3)
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{index}.jpg", quality=90)
    return root


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A workspace in which `photos` has been fine-tuned; tests add to it and take nothing away."""
    return tmp_path_factory.mktemp("home") / "regraft"


@pytest.fixture(scope="session")
def tuned(run, photos, home) -> Said:
    """What the first fine-tuning of `photos` said."""
    return run("finetune", photos, home=home)
