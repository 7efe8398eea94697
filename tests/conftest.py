"""What many tests start from: an empty workspace, small generated pictures, and the shared data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

import regraft

# nets of tests are tiny: threads that wait for each other take longer than one does; children inherit this
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# a GPU computes otherwise, and gives `auto` a budget: CUDA_VISIBLE_DEVICES=0 pytest ... tests with one
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

_SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("REGRAFT_FAILPOINTS", raising=False)


@pytest.fixture
def shared_data() -> Path:
    """The folder of pictures and weights that are too large for the repository."""
    if not _SHARED.is_dir():
        pytest.skip(f"the shared data is not there: {_SHARED}")
    return _SHARED


@pytest.fixture
def workspace(tmp_path) -> regraft.Workspace:
    return regraft.open(tmp_path / "workspace")


@pytest.fixture
def draw() -> Callable[..., Image.Image]:
    """Draw a picture of coloured squares: `draw(seed, size, mode)`; each seed gives another one."""
    return _draw


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """Return an image as the bytes of a file: `encoded(image, "JPEG", quality=90)`."""
    return _encoded


@pytest.fixture
def make_folder(tmp_path) -> Callable[..., Path]:
    """Write a folder of small pictures, all different: `make_folder({"train/cat": 3, "train/dog": 2})`.

    The pictures are called 0.png, 1.png, ... and depend on nothing but their path below the folder, so
    that the same call with another `name` gives an equal folder.
    """

    def make(counts: Mapping[str, int], *, name: str = "photos") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                path = f"{folder}/{index}.png"
                (root / path).write_bytes(_encoded(_draw(crc32(path.encode())), "PNG"))
        return root

    return make


def _draw(seed: int = 0, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    squares = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize(size, Image.Resampling.NEAREST).convert(mode)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()
