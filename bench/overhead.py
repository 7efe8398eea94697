"""Benchmark of the loop: what it costs over the five lines that a step cannot do without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from measuring import Seconds, ratios, report, say, timed

#: Steps of an epoch, pictures of a step, and their side.
STEPS, BATCH, SIZE = 40, 16, 64
#: Pairs of epochs: the machine's own noise is larger than what is measured.
PAIRS = 9


def overhead(scratch: Path, data: Path) -> None:
    """Train a small net on ready batches: by Regraft's loop, which writes and saves, and by a bare one."""
    import torch
    from torch import nn

    from looking import Looking
    from regraft.data.batches import Batch
    from regraft.engine import loop, losses, schedules
    from regraft.engine.device import Device
    from regraft.engine.groups import parameter_groups
    from regraft.engine.optim import build
    from regraft.engine.state import State
    from regraft.hub import heads, nets
    from regraft.hub.stages import layers
    from regraft.jobs import modes
    from regraft.progress import silent
    from regraft.recipe import read
    from regraft.store.opening import open_store

    recipe = read(
        None,
        [
            "train.strategy=full",
            f"train.epochs={PAIRS}",
            "model.norm_eval=false",
            "optim.lr=0.001",
            "optim.head_lr_scale=10",
        ],
    )
    torch.set_num_threads(1)  # threads that wait for each other are noise
    here = Device("float32+channels_last", kind="cpu")
    chance = torch.Generator().manual_seed(0)
    batches = [
        Batch(
            positions=torch.arange(BATCH),
            images=here.take(torch.randn(BATCH, 3, SIZE, SIZE, generator=chance)),
            targets=torch.randint(0, 10, (BATCH,), generator=chance),
            partners=None,
            lam=None,
            total=BATCH,
        )
        for _ in range(STEPS)
    ]

    class Ready:
        def __len__(self) -> int:
            return STEPS

        def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
            return iter(batches[start:])

    def begun() -> State:
        """Return a net with an optimiser; the same each time."""
        torch.manual_seed(0)
        net = nets.build("resnet10t")
        here.settle(nets.replace_head(net, heads.build("linear", net.num_features, 10)))
        groups = parameter_groups(dict(net.named_parameters()), layers=layers(net), optim=recipe.optim)
        return State(net, build("adamw", groups, lr=float(recipe.optim.lr), weight_decay=0.05))

    def bare(state: State) -> None:
        for batch in batches:
            state.optimizer.zero_grad(set_to_none=True)
            with here.autocast():
                logits = state.net(batch.images)
            nn.functional.cross_entropy(logits.float(), batch.targets).backward()
            state.optimizer.step()

    ours, theirs = begun(), begun()
    theirs.net.train()
    plan = loop.Plan(
        epochs=PAIRS,
        seed=0,
        schedule=schedules.build(recipe.optim, steps_per_epoch=STEPS, epochs=PAIRS),
        lr=float(recipe.optim.lr),
        loss=losses.build("cross-entropy", classes=10, label_smoothing=0.0, class_weights=None),
        classes=10,
        mean=True,
        clip=0.0,
        mode=modes.build(ours.net, recipe, frozenset()),
        validate=None,
        patience=0,
        min_delta=0.0,
        prepare=lambda images: images,
    )
    run = open_store(scratch / "overhead").journal.create("finetune", inputs={}, recipe={})
    watch = Looking(run, recipe, here, silent, steps_per_epoch=STEPS)
    times: dict[str, list[Seconds]] = {"bare": [], "regraft": [], "saving": []}
    for epoch in range(PAIRS):
        times["bare"].append(timed(lambda: bare(theirs))[1])
        until = replace(plan, epochs=epoch + 1)
        _, whole = timed(lambda until=until: loop.train(ours, until, watch.timed(Ready()), here, watch))
        times["saving"].append(watch.saving)
        times["regraft"].append(tuple(a - b for a, b in zip(whole, watch.saving, strict=True)))
    say(f"the loop, {STEPS} steps of {BATCH} pictures of {SIZE} pixels through ResNet-10 with AdamW")
    for name, seconds in times.items():
        report(name, seconds[1:], "the checkpoint after each epoch, not counted" * (name == "saving"))
    cpu, wall = ratios(times["regraft"][1:], times["bare"][1:])
    say(f"  {cpu - 1:+.1%} CPU (goal +3 %), {wall - 1:+.1%} wall")
