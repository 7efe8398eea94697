"""Benchmarks: each runs Regraft and a plain reference in turn and prints the ratio.

    python bench/run.py                 all of them, about six minutes on two cores
    python bench/run.py frozen second   some of them
    python bench/run.py --data FOLDER   pictures for `frozen`: train/ and test/ with class folders in them

CPU time is user and system time of the process and its children, with OpenMP threads that wait passively;
machines are noisy, so that figures are medians, and wall time stands beside.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
SHARED = Path(__file__).parents[2] / "shared" / "data"
REGRAFT = [sys.executable, "-m", "regraft"]
EPOCHS = 10
ROUNDS = 3
#: Pictures that learn in `frozen`: batches of 32 without a rest.
TRAIN = 480


def frozen(scratch: Path, data: Path) -> None:
    """Fit a head on a frozen trunk: Regraft once, the plain script in each of ten epochs."""
    import numpy as np
    import torch

    import regraft
    from plain import Plain
    from regraft.engine import probe
    from regraft.hub import nets
    from regraft.jobs.features import fastest_precision, features_of
    from regraft.jobs.trunk import load_net
    from regraft.progress import silent
    from regraft.recipe import OptimSection
    from regraft.records import ModelVersion
    from regraft.store.opening import open_store

    cores = len(os.sched_getaffinity(0))
    store = open_store(scratch / "frozen")
    workspace = regraft.open(scratch / "frozen")
    dataset = workspace.datasets.add("bench", data)
    opened = workspace.datasets.get(str(dataset.version))
    model = workspace.models.get("embedded:efficientnet_lite0").read(ModelVersion)
    rows = {split: [row for row in opened if row.split == split] for split in ("train", "test")}
    chosen = np.linspace(0, len(rows["train"]) - 1, TRAIN).astype(int)
    rows["train"] = [rows["train"][i] for i in chosen]
    labels = list(opened.record.labels)
    files = {split: [data / row.key for row in part] for split, part in rows.items()}
    targets = {split: np.array([labels.index(row.label) for row in part]) for split, part in rows.items()}
    default = fastest_precision(store, model, silent)

    def fit(precision: str) -> tuple[np.ndarray, probe.Head]:
        for file in (store.cache / "features").rglob("*.safetensors"):
            file.unlink()
        features = features_of(
            store, model, rows["train"], precision=precision, batch_size=32, progress=silent
        )
        head = probe.fit(
            features, targets["train"], OptimSection(), folds=5, seed=0, step=lambda done, total: None
        )
        return features, head

    def peer() -> Plain:
        torch.set_num_threads(cores)
        torch.manual_seed(0)
        net = load_net(store, model)
        plain = Plain(net, torch.nn.Linear(nets.num_features(net), len(labels)))
        plain.train(files["train"], torch.from_numpy(targets["train"]), epochs=EPOCHS)
        return plain

    def right(head: probe.Head, precision: str) -> float:
        test = features_of(store, model, rows["test"], precision=precision, batch_size=32, progress=silent)
        return float(((test @ head.weight.T + head.bias).argmax(axis=1) == targets["test"]).mean())

    times: dict[str, list[tuple[float, float]]] = {"plain": [], "default": [], "exact": []}
    for _ in range(ROUNDS):
        plain, seconds = timed(peer)
        times["plain"].append(seconds)
        (_, tuned), seconds = timed(lambda: fit(default))
        times["default"].append(seconds)
        (exact_features, exact_head), seconds = timed(lambda: fit("float32"))
        times["exact"].append(seconds)
    torch.set_num_threads(cores)
    recomputed = torch.cat(
        [plain.features(files["train"][i : i + 32]) for i in range(0, len(files["train"]), 32)]
    )
    accuracy = {
        "plain": plain.accuracy(files["test"], torch.from_numpy(targets["test"])),
        "default": right(tuned, default),
        "exact": right(exact_head, "float32"),
    }
    say(f"frozen head, {EPOCHS} epochs, {len(rows['train'])} pictures of {data.name}, default is {default}")
    for name, seconds in times.items():
        report(name, seconds, f"test accuracy {accuracy[name]:.3f}")
    for name, least in (("default", 15), ("exact", 8)):
        cpu, wall = ratios(times["plain"], times[name])
        say(f"  {name:8} {cpu:5.1f}x CPU (goal {least}x), {wall:5.1f}x wall")
    say(f"  head input in exact float32 bit-equal: {np.array_equal(recomputed.numpy(), exact_features)}")


def second(scratch: Path, data: Path) -> None:
    """Fine-tune the same folder twice: whole commands, start-up included."""
    from pictures import draw

    folder = draw(scratch / "drawn", 2000)
    command = [*REGRAFT, "finetune", str(folder), "--workspace"]
    first, again = [], []
    for turn in range(ROUNDS):
        workspace = str(scratch / f"second-{turn}")
        first.append(timed_child([*command, workspace]))
        again.append(timed_child([*command, workspace]))
    say("second fine-tune of 2,000 pictures, start-up included")
    report("first", first)
    report("second", again)
    cpu, wall = ratios(first, again)
    say(f"  {wall:5.1f}x wall (goal 10x), {cpu:5.1f}x CPU")


def startup(scratch: Path, data: Path) -> None:
    """Answer `--help`, against an interpreter that does nothing."""
    timed_child([*REGRAFT, "--help"])  # compiles the modules
    asked = [timed_child([*REGRAFT, "--help"]) for _ in range(9)]
    bare = [timed_child([sys.executable, "-c", "pass"]) for _ in range(9)]
    say("regraft --help (goal 0.1 s of CPU)")
    report("regraft", asked)
    report("python", bare)


def ingest(scratch: Path, data: Path) -> None:
    """Add a folder of pictures, against decoding each with Pillow and copying its bytes."""
    from PIL import Image

    import regraft
    from pictures import draw

    folder = draw(scratch / "ingest", 1000)
    files = sorted(folder.rglob("*.jpg"))

    def plain(target: Path) -> None:
        target.mkdir()
        for file in files:
            body = file.read_bytes()
            with Image.open(file) as image:
                image.load()
            (target / sha256(body).hexdigest()).write_bytes(body)

    ours, theirs = [], []
    for turn in range(ROUNDS):
        theirs.append(timed(lambda turn=turn: plain(scratch / f"copy-{turn}"))[1])
        workspace = regraft.open(scratch / f"ingest-{turn}")
        ours.append(timed(lambda w=workspace: w.datasets.add("drawn", folder))[1])
    say(f"ingest of {len(files):,} JPEG files of 500 x 375")
    report("regraft", ours, f"{len(files) / statistics.median(w for _, w in ours):,.0f} pictures a second")
    report("plain", theirs, f"{len(files) / statistics.median(w for _, w in theirs):,.0f} pictures a second")
    cpu, wall = ratios(theirs, ours)
    say(f"  {cpu:5.1f}x CPU, {wall:5.1f}x wall")


def access(scratch: Path, data: Path) -> None:
    """Read pictures at random, verified, against reading loose files."""
    import random

    import regraft
    from pictures import draw

    folder = draw(scratch / "access", 1000)
    files = sorted(folder.rglob("*.jpg"))
    workspace = regraft.open(scratch / "access-store")
    workspace.datasets.add("drawn", folder)
    dataset = workspace.datasets.get("drawn")
    order = [random.Random(0).randrange(len(dataset)) for _ in range(5000)]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(timed(lambda: [files[i].read_bytes() for i in order])[1])
        ours.append(timed(lambda: [dataset.read(dataset[i]) for i in order])[1])
    say("random access, 5,000 pictures (Regraft checks the digest of each)")
    report("regraft", ours, f"{statistics.median(w for _, w in ours) / len(order) * 1e6:.0f} us a picture")
    report("loose", theirs, f"{statistics.median(w for _, w in theirs) / len(order) * 1e6:.0f} us a picture")


def timed(work: Callable[[], object]) -> tuple[object, tuple[float, float]]:
    """Return what some work gives, and its (CPU, wall) seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, (time.process_time() - cpu, time.perf_counter() - wall)


def timed_child(command: list[str]) -> tuple[float, float]:
    """Run a command and return its (CPU, wall) seconds, its children included."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - wall


def ratios(theirs: list[tuple[float, float]], ours: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the medians of the paired (CPU, wall) ratios."""
    pairs = list(zip(theirs, ours, strict=True))
    return tuple(statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))


def report(name: str, seconds: list[tuple[float, float]], words: str = "") -> None:
    """Print the medians of one arm."""
    cpu, wall = (statistics.median(s[i] for s in seconds) for i in (0, 1))
    say(f"  {name:8} {cpu:8.3f} s CPU {wall:8.3f} s wall  {words}")


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


GOALS = {"frozen": frozen, "second": second, "startup": startup, "ingest": ingest, "access": access}


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
            GOALS[name](Path(scratch), data)


if __name__ == "__main__":
    main(sys.argv[1:])
