"""Benchmark of using a model on a folder: whole jobs, but for the start of an interpreter."""

from __future__ import annotations

from pathlib import Path

from measuring import ROUNDS, ratios, report, say
from pictures import draw
from tuning import times
from turns import Arm, Said

#: Pictures in the folder, and others that a head learns from before.
COUNT, LEARNED = 200, 80
#: What tells Regraft where a net comes from, and how many times faster it should be.
NETS = {"resnet18": ("timm:resnet18", 2), "lite0": ("embedded:efficientnet_lite0", 3)}
#: The part of the pictures on which bfloat16 has to say what float32 says; float32 does on all of them.
AGREED = 0.98
#: What Regraft does; `exact` is predicting in float32.
JOBS = ("predict", "exact", "evaluate")


def evaluating(scratch: Path, data: Path) -> None:
    """Name the pictures of a folder, and evaluate on them, against a plain script."""
    learned = draw(scratch / "learned", LEARNED)
    folder = draw(scratch / "new", COUNT, first=LEARNED)
    weights = scratch / "random.safetensors"
    draw(scratch / "few" / "train", 32)
    with Arm("plain_tuning.py", "resnet18", scratch / "few", weights) as arm:
        arm.ask("warm-up")  # lays down random weights
    for name, (ref, goal) in NETS.items():
        options = f"model.weights={weights}" if name == "resnet18" else "train.seed=0"
        compare(scratch, name, (ref, options, learned, folder), goal=goal)


def compare(scratch: Path, name: str, facts: tuple[str, str, Path, Path], *, goal: float) -> None:
    """Let both arms do the same job in turn, and print what came of it."""
    ref, options, learned, folder = facts
    with Arm("regraft_evaluating.py", ref, options, learned, folder, scratch / name) as ours:
        made = ours.ask("prepare")
        with Arm("plain_evaluating.py", folder, made["net"], made["weights"], made["input"]) as plain:
            arms = {"plain": plain, **dict.fromkeys(JOBS, ours)}
            rounds = [{job: arm.ask(job) for job, arm in arms.items()} for _ in range(ROUNDS + 1)]
    say(f"{name} on a folder of {COUNT} pictures of 500 x 375, the whole job; default is {made['precision']}")
    said = {job: [one[job] for one in rounds[1:]] for job in arms}  # the first one imports modules
    report("plain", times(said["plain"]), f"accuracy {said['plain'][0]['accuracy']:.3f}")
    for job in JOBS:
        report(job, times(said[job]), _right(said, job))
    for job in JOBS:
        cpu, wall = ratios(times(said["plain"]), times(said[job]))
        say(f"  {job:8} {cpu:5.1f}x CPU{f' (goal {goal}x)' * (job != 'exact')}, {wall:.1f}x wall")


def _right(said: dict[str, list[Said]], job: str) -> str:
    """Say whether a job gives what the plain script gives."""
    theirs, ours = said["plain"][0], said[job][0]
    if "accuracy" in ours:
        return f"accuracy {ours['accuracy']:.3f}"
    pairs = list(zip(theirs["said"], ours["said"], strict=True))
    agreed = sum(one == other for one, other in pairs) / len(pairs)
    least = 1.0 if job == "exact" else AGREED
    return f"{agreed:.1%} agree, at least {least:.0%}: {'yes' if agreed >= least else 'NO'}"
