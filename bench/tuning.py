"""Benchmark of a full fine-tune: an epoch of Regraft against one of the plain script, time and memory."""

from __future__ import annotations

import json
from pathlib import Path

from measuring import ROUNDS, Seconds, ratios, report, say
from pictures import draw
from turns import Arm, Said

#: Pictures of an epoch, and how many times faster it should be.
NETS = {"resnet18": (200, 1.7), "tf_efficientnet_lite0": (200, 1.8), "resnet50": (64, 1.8)}
#: How far the mean losses of an epoch on the same batches may lie apart: Regraft decodes small pictures from
#: a part of their file's frequencies, and bfloat16 rounds. What is learned moves them by 0.01 to 0.06.
APART = 0.005
PRECISIONS = ("float32", "bfloat16")


def tuning(scratch: Path, data: Path) -> None:
    """Tune all of a net for an epoch: the same computation, and once with the defaults of Regraft."""
    for net, (count, goal) in NETS.items():
        compare(scratch / net, net, count=count, goal=goal)


def compare(scratch: Path, net: str, *, count: int, goal: float) -> None:
    """Let both arms train from the same weights, in turn, and print what came of it."""
    folder, weights = scratch / "pictures", scratch / "weights.safetensors"
    draw(folder / "train", count)
    draw(folder / "test", 8, first=count)  # a dataset wants something to measure on
    with Arm("plain_tuning.py", net, folder, weights) as plain:
        plain.ask("warm-up")  # lays down the weights
        with Arm("regraft_tuning.py", net, folder, weights, scratch / "home") as ours:
            ours.ask("warm-up")
            theirs, same = [], []
            for _ in range(ROUNDS):
                theirs.append(plain.ask("epoch"))
                same.append(ours.ask("same"))
            default = ours.ask("defaults")
            checks = {precision: check(plain, ours, precision) for precision in PRECISIONS}
    say(f"full fine-tune of {net}, an epoch of {count} pictures of 500 x 375, batches of 32")
    report("plain", times(theirs), facts(theirs))
    report("regraft", times(same), facts(same))
    cpu, wall = ratios(times(theirs), times(same))
    say(f"  {cpu:.2f}x CPU (goal {goal}x), {wall:.2f}x wall")
    cpu, wall = ratios(times(theirs), [summed(said["seconds"], said["decoding"]) for said in same])
    say(f"  {cpu:.2f}x CPU, {wall:.2f}x wall where the pictures are decoded first, once for all epochs")
    cpu, wall = ratios(times(theirs), times([default] * ROUNDS))
    say(f"  {cpu:.2f}x CPU, {wall:.2f}x wall with the defaults of Regraft ({default['precision']})")
    memory = same[-1]["peak"] / theirs[-1]["peak"]
    say(f"  {memory:.2f}x memory at most (goal 1.0x): {same[-1]['peak']:.0f} of {theirs[-1]['peak']:.0f} MB")
    assert all(said["pictures"] == count for said in [*same, default])
    for precision, (one, other) in checks.items():
        apart = abs(one - other)
        say(
            f"  the same batches in {precision}: losses {one:.4f} and {other:.4f}, {apart:.4f} apart "
            f"(at most {APART}): {'yes' if apart <= APART else 'NO'}"
        )


def check(plain: Arm, ours: Arm, precision: str) -> tuple[float, float]:
    """Return the mean losses of an epoch in which both arms see the same batches; the plain one's first."""
    said = ours.ask(f"check {precision}")
    return plain.ask(f"check {json.dumps(said['told'])}")["loss"], said["loss"]


def times(said: list[Said]) -> list[Seconds]:
    """Return the (CPU, wall) seconds of rounds."""
    return [tuple(one["seconds"]) for one in said]


def summed(*seconds: Seconds) -> Seconds:
    """Add up (CPU, wall) seconds."""
    return tuple(map(sum, zip(*seconds, strict=True)))


def facts(said: list[Said]) -> str:
    """Say how an arm computed, and what it learned."""
    losses = ", ".join(f"{one['loss']:.3f}" for one in said)
    return f"{said[0].get('precision', 'float32')}, {said[0]['threads']} threads, losses {losses}"
