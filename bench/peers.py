"""The same work through other libraries, each in an environment of its own below the user's cache folder.

Every library gets the same 2,000 files of 8.9 KB in a process of its own: it takes them in, gives all of them
back in its own order, and some at random.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from measuring import ROUNDS, say
from pictures import variants, write

COUNT = 2_000
#: What to install, and which Pythons it runs on.
PEERS: dict[str, tuple[tuple[str, ...], str]] = {
    "starwhale": (
        ("starwhale==0.6.15", "pydantic==2.5.*", "pyarrow==15.*", "numpy==1.26.*", "setuptools<81"),
        "python3.11",
    ),
    "huggingface": (("datasets", "pillow"), "python3"),
}


def peers(scratch: Path, data: Path) -> None:
    """Take pictures in, iterate, and read at random: Regraft, Starwhale and Hugging Face `datasets`."""
    folder = scratch / "files"
    write(folder, variants(COUNT))
    pythons = {
        "regraft": (Path(sys.executable), ""),
        **{name: environment(name, *PEERS[name]) for name in PEERS},
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    for turn in range(ROUNDS):
        for name, (python, reason) in pythons.items():
            if not reason:
                found[name].append(measure(name, python, folder, scratch / f"{name}-{turn}"))
    say(f"{COUNT:,} JPEG files of 8.9 KB: rows a second of CPU, milliseconds of wall time (medians)")
    say(f"  {'':12} {'taken in':>10} {'iterated':>10} {'at random':>11}")
    for name, (_, reason) in pythons.items():
        if reason:
            say(f"  {name:12} not run: {reason}")
            continue
        seconds = {
            what: statistics.median(turn[what] for turn in found[name])
            for what in ("ingest", "iterate", "access")
        }
        say(
            f"  {name:12} {COUNT / seconds['ingest']:8,.0f}/s {COUNT / seconds['iterate']:8,.0f}/s "
            f"{seconds['access'] * 1e3:8.2f} ms"
        )


def measure(name: str, python: Path, folder: Path, home: Path) -> dict[str, float]:
    """Run the script of a library; it prints seconds of CPU, and of wall time for one access."""
    home.mkdir()
    script = Path(__file__).with_name(f"peer_{name}.py")
    places = {
        "SW_CLI_CONFIG": str(home / "config.yaml"),
        "SW_LOCAL_STORAGE": str(home / "root"),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
    }
    run = subprocess.run(
        [python, script, folder, home / "made"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | places,
        cwd=home,
    )
    return json.loads(run.stdout.splitlines()[-1])


def environment(
    name: str, packages: tuple[str, ...], interpreter: str, *, beside: str = ""
) -> tuple[Path, str]:
    """Return the interpreter of a library's environment, or why there is none.

    It also has the packages in the folder `beside`, where one is given, and installs none of these anew.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "regraft-bench" / name
    python = home / "bin" / "python"
    if (home / ".ready").exists():
        return python, ""
    base = shutil.which(interpreter)
    if base is None:
        return python, f"there is no {interpreter}"
    say(f"installing {name} into {home}")
    try:
        subprocess.run([base, "-m", "venv", "--clear", home], check=True, capture_output=True, text=True)
        if beside:
            own = next(home.glob("lib/python*/site-packages"))
            (own / "beside.pth").write_text(f"import site; site.addsitedir({beside!r})\n")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--retries", "0", "--timeout", "15", *packages],
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        return python, f"it cannot be installed ({error.stderr.strip().rpartition(chr(10))[2]})"
    (home / ".ready").touch()
    return python, ""
