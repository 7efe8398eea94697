"""Every example of the page on datasets runs, in order, in the folder that the page describes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
#: What a reader has typed before each example in Python.
BEFORE = "import regraft\nfrom pathlib import Path\nws = regraft.open()\n"


@pytest.fixture
def folder(tmp_path):
    """The folder that the page describes."""
    random = np.random.default_rng(0)

    def draw(path, colour):
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.clip(np.array(colour) + random.normal(0, 60, (6, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC).save(path, quality=92)

    for label, colour in (("cat", (200, 120, 60)), ("dog", (60, 90, 180))):
        for number in range(15):
            draw(tmp_path / "photos" / label / f"{number}.jpg", colour)
            draw(tmp_path / "more" / label / f"new{number}.jpg", colour)
            draw(tmp_path / "shots" / f"{label}{number}.jpg", colour)
    lines = [
        f"shots/{label}{number}.jpg,{label},,p{number // 3}"
        for label in ("cat", "dog")
        for number in range(15)
    ]
    (tmp_path / "shots.csv").write_text("path,label,split,patient\n" + "\n".join(lines) + "\n")
    shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path, "photos")
    return tmp_path


def test_every_example_runs(folder):
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "REGRAFT_HOME": str(folder / "home"), "PATH": path}
    said = []

    for kind, text in blocks:
        command = ["bash", "-euc", text] if kind == "sh" else [sys.executable, "-c", BEFORE + text]
        child = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        said.append(child.stdout)
        assert (child.returncode, child.stderr) == (0, ""), f"{text}\n{child.stdout}\n{child.stderr}"

    everything = "\n".join(said)
    assert len(blocks) >= 10
    assert "photos:v1  30 pictures of 2 classes (20 train, 4 val, 6 test), new version" in everything
    assert "photos:v1  30 pictures of 2 classes (20 train, 4 val, 6 test), unchanged" in everything
    assert "photos:v2  60 pictures of 2 classes" in everything
    assert "everything is as it should be" in everything
