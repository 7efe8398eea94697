"""Benchmark of training on a GPU: a plain script, the bare step, and Regraft, in pictures a second.

    python bench/gpu.py          needs a GPU, and says so where there is none
    python bench/gpu.py --cpu    a small net on the processor: whether it runs at all

The bare step trains on random pictures that lie on the device in the form that the net takes: as fast as the
device goes. Regraft is timed over whole epochs, the first one left out; its checkpoints are told apart.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

import plain_tuning as plain
import regraft
from looking import Looking
from measuring import say
from pictures import draw
from regraft.engine import device, loop
from regraft.jobs import acceleration, preflight, tune
from regraft.jobs.fetch import fetch
from regraft.jobs.session import Session
from regraft.progress import silent
from regraft.recipe import read
from regraft.records import DatasetVersion, ModelVersion
from regraft.refs import parse
from regraft.store.opening import open_store
from regraft_tuning import EPOCH, SAME


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done."""

    nets: tuple[str, ...]
    #: Pictures that are drawn, and files made of each, which differ in a comment alone.
    drawn: int
    files: int
    batch_size: int
    epochs: int
    #: Steps of the bare loop that are timed, after as many that are not.
    steps: int


WHOLE = Size(
    nets=("resnet18", "resnet50", "vit_small_patch16_224"),
    drawn=128,
    files=64,
    batch_size=256,
    epochs=6,
    steps=100,
)
SMALL = Size(nets=("test_resnet",), drawn=4, files=2, batch_size=4, epochs=2, steps=1)
#: What is said to be free where the processor plays the device.
ROOM = 2**30


def main(arguments: list[str]) -> None:
    """Time three ways to train each net."""
    small = "--cpu" in arguments
    if small:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before anybody asks what there is
    kind, size = device.find_kind(), SMALL if small else WHOLE
    if kind != "cuda" and not small:
        say("There is no GPU here; `--cpu` shows whether this runs.")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        write(folder / "train", size.drawn, size.files)
        draw(folder / "test", 8, first=size.drawn)
        say(f"{torch.cuda.get_device_name() if kind == 'cuda' else 'processor'}, {os.cpu_count()} cores")
        say(f"pictures a second, full fine-tuning, {size.drawn * size.files} pictures of 500 x 375")
        for net in size.nets:
            weights = Path(scratch) / f"{net}.safetensors"
            theirs = script(net, folder / "train", weights, size, kind)
            most = bare(net, weights, size, kind)
            ours, unsaved = tuned(net, folder, weights, Path(scratch) / f"home-{net}", size)
            say(f"{net}, batches of {size.batch_size}")
            say(f"  plain    {theirs:8,.0f}  float32 as torch has it, {os.cpu_count()} workers")
            say(f"  bare     {most:8,.0f}  random pictures on the device")
            say(f"  regraft  {ours:8,.0f}  {unsaved:,.0f} without checkpoints")
            ratios = (ours / theirs, unsaved / most)
            say("  {:.1f}x the plain script (goal 5x), {:.2f}x the bare step (goal 0.9x)".format(*ratios))


def write(folder: Path, drawn: int, files: int) -> None:
    """Draw pictures, and make of each several files that differ in a comment alone."""
    for path in sorted(draw(folder, drawn).rglob("*.jpg")):
        body = path.read_bytes()
        for index in range(files):
            comment = b"%012d" % index
            marked = b"".join((body[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2), comment, body[2:]))
            path.with_name(f"{path.stem}-{index}.jpg").write_bytes(marked)
        path.unlink()


def script(name: str, folder: Path, weights: Path, size: Size, kind: str) -> float:
    """Train an epoch as a tutorial does on a GPU: pictures are decoded and cut by worker processes."""
    workers = os.cpu_count() if kind == "cuda" else 0
    batches = plain.loader(folder, workers=workers, batch_size=size.batch_size)
    net = plain.build(name, weights, len(batches.dataset.classes)).to(kind)

    def epoch(loader: DataLoader) -> None:
        plain.train(net, ((images.to(kind), targets.to(kind)) for images, targets in loader), plain.sgd(net))

    epoch(batches)
    return len(batches.dataset) / seconds(lambda: epoch(batches), kind)


def bare(name: str, weights: Path, size: Size, kind: str) -> float:
    """Train on random pictures that are there already: what no pipeline can surpass."""
    net = plain.build(name, weights, 4).to(kind, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=plain.LR, fused=True)
    run = torch.compile(net, dynamic=False) if kind == "cuda" else net
    images = torch.randn(size.batch_size, 3, 224, 224, device=kind).to(memory_format=torch.channels_last)
    targets = torch.randint(0, 4, (size.batch_size,), device=kind)

    def steps() -> None:
        for _ in range(size.steps):
            with torch.autocast(kind, torch.bfloat16):
                logits = run(images)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits.float(), targets).backward()
            optimizer.step()

    steps()
    return size.steps * size.batch_size / seconds(steps, kind)


def tuned(name: str, folder: Path, weights: Path, home: Path, size: Size) -> tuple[float, float]:
    """Train as `regraft finetune` does; return the rate of its epochs, and the same without checkpoints."""
    store = open_store(home)
    dataset = regraft.open(home).datasets.add("bench", folder, decode=False).version
    model = fetch(store, parse(f"timm:{name}"), weights=str(weights), progress=silent)
    kind = device.find_kind()
    precision = "bfloat16+channels_last" if kind == "cuda" else "float32"
    settings = [
        *(*EPOCH, *SAME),
        f"train.epochs={size.epochs}",
        f"train.batch_size={size.batch_size}",
        f"train.precision={precision}",
        f"train.compile={'true' if kind == 'cuda' else 'false'}",
    ]
    ready = preflight.check(
        store, dataset.read(DatasetVersion), model.read(ModelVersion), read(None, settings), silent
    )
    run = store.journal.create("finetune", inputs={}, recipe=ready.recipe.model_dump(mode="json"))
    session = Session(tune.describe(store, run, model, dataset, ready.recipe, split="test", progress=silent))
    tune.begin(session)
    acceleration.accelerate(session, room=device.find_room(kind) or ROOM)
    batches = session.batches
    watch = Looking(run, ready.recipe, session.device, silent, steps_per_epoch=len(batches))
    loop.train(session.state, session.plan, watch.timed(batches), session.device, watch)
    pictures = len(session.learners.train) * (size.epochs - 1)
    whole = watch.ends[-1][0] - watch.ends[0][0]
    saving = sum(wall for _, wall in watch.ends[1:])
    return pictures / whole, pictures / (whole - saving)


def seconds(work: Callable[[], object], kind: str) -> float:
    """Time some work, what the device has still to do included."""
    wait = torch.cuda.synchronize if kind == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1:])
