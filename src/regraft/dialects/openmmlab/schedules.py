"""Optimiser, rates and length of a config."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from regraft.dialects.openmmlab.heads import Document
from regraft.dialects.openmmlab.parts import Part
from regraft.errors import did_you_mean

#: Each optimiser as Regraft calls it, the options that both know, and what torch takes for those that are
#: not said, where that is not what Regraft takes.
_OPTIMIZERS: dict[str, tuple[str, tuple[str, ...], dict[str, object]]] = {
    "SGD": ("sgd", ("momentum", "dampening", "nesterov"), {"momentum": 0.0}),
    "Adam": ("adam", ("betas", "eps", "amsgrad"), {}),
    "AdamW": ("adamw", ("betas", "eps", "amsgrad"), {}),
    "RMSprop": ("rmsprop", ("alpha", "eps", "momentum", "centered"), {}),
    "Adagrad": ("adagrad", ("lr_decay", "eps"), {}),
    "Lamb": ("lamb", ("betas", "eps"), {}),
    "Lion": ("lion", ("betas",), {}),
}
#: What torch takes for weight decay where nobody says it.
_DECAY = {"AdamW": 0.01}


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """How long a training is."""

    epochs: int
    #: 0 where nobody knows how many pictures there are.
    steps_per_epoch: int
    #: How often a dataset is gone through in an epoch of the config.
    times: int = 1

    def in_epochs(self, part: Part, key: str, value: float, *, by_epoch: bool) -> float:
        """Return epochs of Regraft for what is said in epochs or steps of the config."""
        if by_epoch:
            return value * self.times
        if not self.steps_per_epoch:
            raise part.refuse(
                key,
                f"{part.name(key)!r} counts steps, and nobody knows how many an epoch has: the pictures to "
                "learn from are not here.",
                "Count in epochs: by_epoch=True, or warmup_by_epoch=True. Or put the pictures where the "
                "config says they are.",
            )
        return value / self.steps_per_epoch


def read_length(runner: Part | None, total: int, *, batch: int, pictures: int, times: int) -> Length:
    """Return how long to train; `total` is the older `total_epochs`."""
    steps = ceil(pictures / batch) if pictures else 0
    if runner is None:
        return Length(epochs=(total or 1) * times, steps_per_epoch=steps, times=times)
    kind = runner.text("type", "EpochBasedRunner")
    runner.expect("type", "EpochBasedRunner", "IterBasedRunner")
    if kind == "IterBasedRunner" or runner.has("max_iters"):
        length = Length(epochs=0, steps_per_epoch=steps)
        count = length.in_epochs(runner, "max_iters", runner.whole("max_iters", 0), by_epoch=False)
        length = Length(epochs=max(1, round(count)), steps_per_epoch=steps)
        runner.book.note(
            f"{runner.name('max_iters')}: {runner.get('max_iters')} steps are {count:.4g} epochs."
        )
    else:
        length = Length(
            epochs=runner.whole("max_epochs", total or 1) * times, steps_per_epoch=steps, times=times
        )
    if length.epochs < 1:
        raise runner.wrong("max_epochs", "Write 1 or more.")
    runner.close()
    return length


def read_optimizer(part: Part, document: Document) -> None:
    """Put an optimiser, its rate and what decays into a recipe."""
    kind, section = part.text("type"), document["optim"]
    if kind not in _OPTIMIZERS:
        near = did_you_mean(kind, _OPTIMIZERS, otherwise=f"There is {', '.join(_OPTIMIZERS)}.")
        raise part.refuse("type", f"There is no optimizer {kind!r}.", near)
    name, known, usual = _OPTIMIZERS[kind]
    options = {key: part.get(key) for key in known if part.has(key)}
    section["optimizer"] = {"name": name, **usual, **options}
    if not part.has("lr"):
        raise part.refuse("type", "The optimizer has no rate.", "Write lr=0.01.")
    section["lr"] = part.number("lr", 0.0)
    if section["lr"] == 0:
        raise part.wrong("lr", "Write a rate above 0.")
    section["head_lr_scale"] = 1.0
    section["weight_decay"] = part.number("weight_decay", _DECAY.get(kind, 0.0))
    section["decay_norm_and_bias"] = True  # all parameters decay there
    _groups(part.part("paramwise_cfg"), section)
    part.ignore("all gradients are computed in one way", "foreach", "fused", "capturable")
    part.close()


def _groups(part: Part | None, section: dict[str, object]) -> None:
    if part is None:
        return
    norm, bias = part.number("norm_decay_mult", 1.0), part.number("bias_decay_mult", 1.0)
    if norm == bias == 0:
        section["decay_norm_and_bias"] = False
        part.ignore("nothing of one dimension decays", "flat_decay_mult")
    else:
        hint = (
            "Write 0 for both norm_decay_mult and bias_decay_mult, or rules of your own: --set optim.groups."
        )
        for key in ("norm_decay_mult", "bias_decay_mult", "flat_decay_mult"):
            part.expect(key, 1.0, 1, hint=hint)
    part.expect("bias_lr_mult", 1.0, 1)
    part.expect("dwconv_decay_mult", 1.0, 1)
    part.ignore("each parameter is there once", "bypass_duplicate")
    rules, custom = [], part.part("custom_keys")
    for key in sorted(sorted(custom.table), key=len, reverse=True) if custom else ():
        rule = custom and custom.part(key)
        if rule is None:
            continue
        factor, decay = rule.number("lr_mult", 1.0), rule.number("decay_mult", 1.0)
        first, _, rest = key.strip(".").partition(".")
        if first == "head" and not rest and decay == 1:
            section["head_lr_scale"] = factor
        else:  # a part of a name counts there, too; what is `backbone.` there is `trunk.` here
            name = f"{'trunk' if first == 'backbone' else first}{'.' if rest else ''}{rest}"
            rules.append({"pattern": f"re:{re.escape(name)}", "lr_scale": factor, "decay_scale": decay})
        rule.close()
    if rules:
        section["groups"] = rules
    part.close()


def read_clipping(part: Part | None, document: Document) -> int:
    """Put clipping into a recipe; return over how many batches gradients add up."""
    document["optim"]["clip"] = 0.0
    if part is None:
        return 1
    if (grad := part.part("grad_clip")) is not None:
        grad.expect("norm_type", 2, 2.0)
        document["optim"]["clip"] = grad.number("max_norm", 0.0)
        grad.close()
    kind = part.text("type", "OptimizerHook")
    part.expect("type", "OptimizerHook", "GradientCumulativeOptimizerHook", "Fp16OptimizerHook")
    part.ignore("the fastest precision is found by --set train.precision=auto", "loss_scale", "distributed")
    count = part.whole("cumulative_iters", 1)
    if kind == "Fp16OptimizerHook":
        document["train"]["precision"] = "auto"
    part.close()
    return count


def read_schedule(part: Part | None, document: Document, length: Length) -> None:
    """Put the course of the rates, and a warm-up, into a recipe."""
    section = document["optim"]
    section |= {"schedule": "constant", "warmup_epochs": 0.0, "per": "epoch"}
    if part is None:
        return
    policy = part.text("policy", "fixed").removesuffix("LrUpdaterHook")
    shapes = {name.lower(): shape for name, shape in _SHAPES.items()}
    if policy.lower() not in shapes:
        near = did_you_mean(policy, _SHAPES, otherwise=f"There is {', '.join(_SHAPES)}.")
        raise part.refuse("policy", f"There is no policy {policy!r} of rates.", near)
    by_epoch = part.flag("by_epoch", default=True)
    warm = part.text("warmup") not in ("", "None")
    if warm:
        _warm(part, section, length)
    section["schedule"] = shapes[policy.lower()](part, section, length)
    smooth = isinstance(section["schedule"], dict) and section["schedule"]["name"] in ("cosine", "polynomial")
    section["per"] = "epoch" if by_epoch and not warm else "step"
    begin = length.in_epochs(part, "begin", part.number("begin", 0), by_epoch=by_epoch)
    other = ["from epoch to epoch"] if by_epoch else []
    other += ["from the beginning of all"] if begin < float(str(section["warmup_epochs"])) else []
    if warm and smooth and other:
        part.book.note(
            f"{part.name('policy')}: rates fall from step to step once the warm-up is over; in the original "
            f"{', and '.join(other)}."
        )
    part.close()


def _warm(part: Part, section: dict[str, object], length: Length) -> None:
    kind = part.text("warmup")
    part.expect("warmup", "linear", "constant", "exp")
    by_epoch = part.flag("warmup_by_epoch")
    many = part.number("warmup_iters", 0)
    if many <= 0:
        raise part.refuse("warmup", "The warm-up has no length.", "Write warmup_iters=500.")
    section["warmup"] = {"exp": "exponential"}.get(kind, kind)
    section["warmup_epochs"] = length.in_epochs(part, "warmup_iters", many, by_epoch=by_epoch)
    section["warmup_start"] = part.number("warmup_ratio", 0.1)


def _fixed(_part: Part, _section: dict[str, object], _length: Length) -> object:
    return "constant"


def _step(part: Part, section: dict[str, object], length: Length) -> object:
    gamma, by_epoch = part.number("gamma", 0.1), part.flag("by_epoch", default=True)
    steps = part.get("step")
    marks = [length.in_epochs(part, "step", mark, by_epoch=by_epoch) for mark in part.numbers("step")]
    if not marks or min(marks) <= 0:
        raise part.refuse("step", "There is no epoch after which the rate falls.", "Write step=[15].")
    drops = len(marks) if isinstance(steps, list | tuple) else int(length.epochs / marks[0])
    lr = section["lr"]
    if isinstance(lr, float | int) and part.number("min_lr", 0.0) > lr * gamma**drops:
        raise part.refuse(
            "min_lr", "The rate would fall below min_lr.", "Leave out the last steps, and min_lr."
        )
    if isinstance(steps, list | tuple):
        return {"name": "multistep", "milestones": [_tidy(mark) for mark in marks], "gamma": gamma}
    if marks[0] % 1:
        raise part.refuse("step", f"{steps} steps are {marks[0]:.4g} epochs.", "Write whole epochs.")
    return {"name": "step", "every": int(marks[0]), "gamma": gamma}


def _exp(part: Part, _section: dict[str, object], length: Length) -> object:
    part.expect("min_lr", None, 0)
    part.expect("by_epoch", True)
    return {"name": "step", "every": length.times, "gamma": part.number("gamma", 0.9)}


def _cosine(part: Part, section: dict[str, object], _length: Length) -> object:
    return {"name": "cosine", "end": _end(part, section)}


def _poly(part: Part, section: dict[str, object], _length: Length) -> object:
    return {"name": "polynomial", "power": part.number("power", 1.0), "end": _end(part, section)}


def _one_cycle(part: Part, section: dict[str, object], _length: Length) -> object:
    part.expect("anneal_strategy", "cos")
    part.expect("three_phase", False)
    part.ignore("the rate changes from step to step", "by_epoch")
    section["lr"] = part.number("max_lr", 0.0)
    first = part.number("div_factor", 25.0)
    return {
        "name": "one-cycle",
        "start": 1 / first,
        "end": 1 / (first * part.number("final_div_factor", 1e4)),
        "share": part.number("pct_start", 0.3),
    }


def _end(part: Part, section: dict[str, object]) -> float:
    """Return where rates end, as a fraction of the first."""
    if part.has("min_lr") and part.has("min_lr_ratio"):
        raise part.refuse("min_lr_ratio", "The last rate is said twice.", "Leave min_lr or min_lr_ratio out.")
    if part.has("min_lr_ratio"):
        return part.number("min_lr_ratio", 0.0)
    lr = section["lr"]
    return part.number("min_lr", 0.0) / lr if isinstance(lr, float | int) else 0.0


def _tidy(value: float) -> float:
    return int(value) if value == int(value) else value


_SHAPES: dict[str, Callable[[Part, dict[str, object], Length], object]] = {
    "fixed": _fixed,
    "step": _step,
    "exp": _exp,
    "poly": _poly,
    "LinearAnnealing": _poly,
    "CosineAnnealing": _cosine,
    "OneCycle": _one_cycle,
}
