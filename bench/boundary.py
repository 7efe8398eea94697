"""Benchmark of a partly frozen net: what is frozen is computed once, or in every epoch, or not frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from measuring import ROUNDS, Seconds, ratios, report, say, timed

NET = "resnet18"
FREEZE = 3
#: Pictures of an epoch, in batches without a rest.
PICTURES = 96
BATCH = 32
CLASSES = 10
LR = 0.01
#: How many times faster an epoch should be than one of each other arm.
GOALS = {"recomputed": 2.2, "full": 4.0}


def boundary(scratch: Path, data: Path) -> None:
    """Train the upper part of a net for an epoch, in plain PyTorch and from what was kept; float32."""
    import numpy as np
    import torch
    from torch import nn

    from regraft.data.activations import ActivationKey, Activations, open_activations
    from regraft.data.pixels import PixelKey
    from regraft.hub import nets
    from regraft.hub.boundary import split
    from regraft.hub.freezing import find
    from regraft.progress import silent
    from regraft.records import digest

    random = torch.Generator().manual_seed(0)
    pictures = torch.randn(PICTURES, 3, 224, 224, generator=random)
    targets = torch.randint(CLASSES, (PICTURES,), generator=random)
    torch.manual_seed(0)
    start = nets.build(NET).state_dict()

    def fresh(freeze: int) -> tuple[nets.Net, torch.optim.Optimizer]:
        net = nets.build(NET)
        net.load_state_dict(start)
        nets.replace_head(net, nn.Linear(net.num_features, CLASSES))
        nn.init.zeros_(net.head.weight)
        nn.init.zeros_(net.head.bias)
        frozen = find(net, freeze)
        frozen.apply(net)
        frozen.train(net)
        learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
        return net, torch.optim.SGD(learning, lr=LR, momentum=0.9)

    def train(
        forward: Callable[[torch.Tensor], torch.Tensor],
        take: Callable[[np.ndarray], torch.Tensor],
        optimizer: torch.optim.Optimizer,
        order: np.ndarray,
    ) -> Iterator[float]:
        for first in range(0, PICTURES, BATCH):
            places = order[first : first + BATCH]
            loss = nn.functional.cross_entropy(forward(take(places)), targets[places])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield float(loss.detach())

    kept, optimizer = fresh(FREEZE)
    parts = split(kept, find(kept, FREEZE), pictures[:2])
    spec = nets.input_spec(kept)
    key = ActivationKey(
        trunk="",
        architecture=NET,
        boundary=parts.name,
        shape=parts.shape,
        number="float32",
        pixels=PixelKey.prepared(spec, {}),
        input=spec,
        precision="float32",
        libraries={},
        processor="",
    )

    def keep() -> Activations:
        names = [digest(str(place).encode()) for place in range(PICTURES)]
        compute = lambda places: (parts.lower(part) for part in pictures[places].split(BATCH))  # noqa: E731
        return open_activations(scratch, key, names, compute, silent)

    activations, first = timed(keep)
    recomputed, other = fresh(FREEZE)
    full, third = fresh(0)
    arms = {
        "full": partial(train, full, pictures.__getitem__, third),
        "recomputed": partial(train, recomputed, pictures.__getitem__, other),
        "kept": partial(train, parts.upper, activations.take, optimizer),
    }
    times: dict[str, list[Seconds]] = {name: [] for name in arms}
    losses: dict[str, list[float]] = {name: [] for name in arms}
    for epoch in range(ROUNDS + 1):
        order = np.random.default_rng(epoch).permutation(PICTURES)
        for name, arm in arms.items():
            said, seconds = timed(lambda arm=arm, order=order: list(arm(order)))
            losses[name] += said
            if epoch:  # the first warms up
                times[name].append(seconds)
    size = activations.take(np.arange(1)).nbytes / 2**10
    say(f"{NET} with {FREEZE} stages frozen, an epoch of {PICTURES} pictures, float32, no decoding")
    for name, seconds in times.items():
        report(name, seconds, f"last loss {losses[name][-1]:.6f}")
    report("once", [first], f"below the boundary, {size:.0f} KB a picture")
    for name, goal in GOALS.items():
        cpu, wall = ratios(times[name], times["kept"])
        say(f"  {cpu:.2f}x CPU over {name} (goal {goal}x), {wall:.2f}x wall")
    same = losses["kept"] == losses["recomputed"]
    say(f"  losses of {len(losses['kept'])} steps equal to the recomputed ones: {'yes' if same else 'NO'}")
