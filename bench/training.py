"""Benchmarks of fine-tuning: a frozen trunk, and a second run on the same pictures."""

from __future__ import annotations

import os
from pathlib import Path

from measuring import REGRAFT, ROUNDS, Seconds, ratios, report, say, timed, timed_child

EPOCHS = 10
#: Pictures that learn in `frozen`: batches of 32 without a rest.
TRAIN = 480


def frozen(scratch: Path, data: Path) -> None:
    """Fit a head on a frozen trunk: Regraft once, the plain script in each of ten epochs."""
    import numpy as np
    import torch

    import regraft
    from plain import Plain
    from regraft.engine import probe
    from regraft.jobs.features import features_of
    from regraft.jobs.precision import fastest_precision
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
        plain = Plain(net.trunk, torch.nn.Linear(net.num_features, len(labels)))
        plain.train(files["train"], torch.from_numpy(targets["train"]), epochs=EPOCHS)
        return plain

    def right(head: probe.Head, precision: str) -> float:
        test = features_of(store, model, rows["test"], precision=precision, batch_size=32, progress=silent)
        return float(((test @ head.weight.T + head.bias).argmax(axis=1) == targets["test"]).mean())

    times: dict[str, list[Seconds]] = {"plain": [], "default": [], "exact": []}
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
