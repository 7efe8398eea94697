"""What the fault tests share: command lines in processes that can be killed, and the judge of a store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pytest
from tests.faults import judge, scenes
from tests.faults.tuning import Tuning
from tests.faults.worker import picture

_TOP = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command line ended."""

    status: int
    out: str
    err: str
    #: The failpoints that it passed, in order.
    passages: tuple[str, ...]
    #: What strace wrote.
    trace: str


@pytest.fixture(scope="session")
def _forker() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.forker"],
        cwd=_TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as forker:
        yield forker


@pytest.fixture(scope="session")
def run(_forker) -> Callable[..., Ended]:
    """Run `regraft WORDS` in a process of its own, perhaps with something against it: see forker.py."""

    def command(
        *words: object,
        failpoints: str = "",
        file_limit: int | None = None,
        mutant: str = "",
        meanwhile: tuple[str, Sequence[object]] | None = None,
        strace: Sequence[str] | None = None,
    ) -> Ended:
        request = {
            "words": [*map(str, words)],
            "failpoints": failpoints,
            "file_limit": file_limit,
            "mutant": mutant,
            "meanwhile": meanwhile and {"point": meanwhile[0], "words": [*map(str, meanwhile[1])]},
            "strace": strace,
        }
        print(json.dumps(request), file=_forker.stdin, flush=True)
        answer = json.loads(_forker.stdout.readline())
        return Ended(**{**answer, "passages": tuple(answer["passages"])})

    return command


@pytest.fixture(scope="session")
def add(run) -> Callable[..., Ended]:
    """Run `regraft dataset add photos FOLDER --workspace ROOT --json`."""

    def command(root: Path, folder: Path, **faults: object) -> Ended:
        return run("dataset", "add", "photos", folder, "--workspace", root, "--json", **faults)

    return command


@pytest.fixture
def everything() -> Callable[[Path], judge.State]:
    """Read all that a store shows, every byte of it verified on the way."""
    return judge.state


@pytest.fixture
def drafts() -> Callable[[Path], list[str]]:
    """List the drafts that lie below a root."""
    return lambda root: [str(path) for path in root.rglob(".draft-*")]


@pytest.fixture
def more_photos(make_folder) -> Path:
    """A folder of seven pictures, and a file that is none; it holds the five of `photos` too."""
    folder = make_folder({"cat": 4, "dog": 3}, name="more")
    (folder / "cat" / "note.txt").write_text("Buy more film.")
    return folder


@pytest.fixture
def photos(make_folder) -> Path:
    """A folder of five pictures."""
    return make_folder({"cat": 3, "dog": 2})


@pytest.fixture(scope="session")
def require() -> Callable[[object, str], None]:
    """Skip a test that this machine cannot run; where CI is set, fail instead."""

    def check(condition: object, reason: str) -> None:
        if not condition:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)

    return check


@pytest.fixture(scope="session")
def in_memory(tmp_path_factory) -> Iterator[Path]:
    """A folder in memory, where there is one: for processes that are killed, a disk would only be slow."""
    place = Path("/dev/shm")
    if not os.access(place, os.W_OK):
        yield tmp_path_factory.mktemp("in-memory")
        return
    with TemporaryDirectory(dir=place, prefix="regraft-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def all_scenes(run, in_memory) -> dict[str, scenes.Scene]:
    """Commands, each with a store to begin with, by name."""
    top = in_memory / "scenes"
    top.mkdir()
    return scenes.make(run, top, picture)


@pytest.fixture(scope="session")
def tuning(in_memory) -> Iterator[Tuning]:
    """Workspaces for fine-tunings in processes that can be killed: see tuning.py."""
    top = in_memory / "tuning"
    top.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.tuner"],
        cwd=_TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tuner:

        def ask(request: dict[str, Any]) -> dict[str, int]:
            print(json.dumps(request), file=tuner.stdin, flush=True)
            return json.loads(tuner.stdout.readline())

        yield Tuning(ask, top)


@pytest.fixture
def root_on_linux(require) -> None:
    """Root's rights, which mounting needs."""
    require(sys.platform == "linux" and os.geteuid() == 0, "only root on Linux can mount a disk")


@pytest.fixture
def strace(require) -> None:
    """The tool strace, and the right to use it."""
    require(sys.platform == "linux" and shutil.which("strace"), "there is no strace")
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    require(tried.returncode == 0, "strace may not watch a process here")


@pytest.fixture
def crash(tmp_path, in_memory) -> Callable[..., list[dict[str, Any]]]:
    """Let workers work until they are killed, in many rounds: see crash.py. The seed is printed."""

    def rounds(
        count: int,
        *,
        writers: int = 1,
        seed: int = 0,
        delays: tuple[float, float] = (0.02, 0.15),
        pause: float = 0,
        mutant: str = "",
        image: Path | None = None,
    ) -> list[dict[str, Any]]:
        top = Path(mkdtemp(dir=tmp_path if image else in_memory))
        plan = {
            "root": str(top),
            "image": str(image or ""),
            "rounds": count,
            "writers": writers,
            "seed": seed,
            "mutant": mutant,
            "delays": delays,
            "pause": pause,
        }
        prefix = ["unshare", "--mount", "--propagation", "private"] if image else []
        words = [*prefix, sys.executable, "-m", "tests.faults.crash", json.dumps(plan)]
        print(f"to see it again: {words}")
        done = subprocess.run(words, cwd=_TOP, stdout=subprocess.PIPE, text=True, check=True, timeout=280)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return rounds


@pytest.fixture
def image(tmp_path, root_on_linux, require) -> Path:
    """A file with an ext4 file system."""
    require(shutil.which("mkfs.ext4") and shutil.which("unshare"), "there is no mkfs.ext4, or no unshare")
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(2**28)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)
    trial = ["unshare", "--mount", "--propagation", "private", "mount", "-o", "loop", path, tmp_path]
    mounted = subprocess.run(trial, capture_output=True, text=True, check=False)
    require(mounted.returncode == 0, f"a disk image cannot be mounted: {mounted.stderr.strip()}")
    return path
