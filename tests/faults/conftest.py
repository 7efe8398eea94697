"""What the fault tests share: command lines in processes that can be killed, and the judge of a store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import regraft

_FORKER = Path(__file__).with_name("forker.py")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command line ended."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def _forker() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, _FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forker:
        yield forker


@pytest.fixture
def run(_forker) -> Callable[..., Ended]:
    """Run `regraft WORDS` in a process of its own, with failpoints or a limit on the size of files."""

    def command(*words: object, failpoints: str = "", file_limit: int | None = None) -> Ended:
        environment = {"REGRAFT_FAILPOINTS": failpoints}
        request = {"words": [*map(str, words)], "environment": environment, "file_limit": file_limit}
        print(json.dumps(request), file=_forker.stdin, flush=True)
        return Ended(**json.loads(_forker.stdout.readline()))

    return command


@pytest.fixture
def add(run) -> Callable[..., Ended]:
    """Run `regraft dataset add photos FOLDER --workspace ROOT --json`."""

    def command(root: Path, folder: Path, **faults: object) -> Ended:
        return run("dataset", "add", "photos", folder, "--workspace", root, "--json", **faults)

    return command


@pytest.fixture
def everything() -> Callable[[Path], dict[str, tuple[str, dict[str, bytes]]]]:
    """Read every picture of every dataset version below a root: by ref, the digest and the pictures by key.

    Every byte is verified on the way.
    """

    def read(root: Path) -> dict[str, tuple[str, dict[str, bytes]]]:
        datasets = regraft.open(root).datasets
        found = {}
        for latest in datasets.list():
            for number in range(1, latest.number + 1):
                data = datasets.get(f"{latest.name}:v{number}")
                found[str(data.version)] = (data.version.digest, {row.key: data.read(row) for row in data})
                assert len(data) == len(found[str(data.version)][1])
                assert len(data.refused) == data.record.refused_count
        return found

    return read


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
