"""LoRA: beside a frozen layer the product of two thin ones learns (Hu et al., 2021), as peft does it.

A linear layer gets a linear A into `rank` dimensions and a linear B out of them; a convolution gets an A with
its own kernel, and a B of 1 x 1. B begins at zero, so that the net begins unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from regraft.errors import InvalidRecipe, did_you_mean
from regraft.hub import nets
from regraft.hub.nets import Net
from regraft.patterns import TRUNK, matches


class Lora(nn.Module):
    """What a layer with LoRA does; its own weights keep their names."""

    weight: torch.Tensor
    lora_A: nn.Linear | nn.Conv2d  # noqa: N815 (peft's names)
    lora_B: nn.Linear | nn.Conv2d  # noqa: N815
    scaling: float
    dropout: float

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layer gives, and what was learned beside it."""
        outputs: torch.Tensor = super().forward(inputs)
        thin = self.lora_A(functional.dropout(inputs, self.dropout, self.training))
        learned: torch.Tensor = self.lora_B(thin) * self.scaling
        return outputs + learned


class LoraLinear(Lora, nn.Linear):
    """A linear layer with LoRA."""


class LoraConv2d(Lora, nn.Conv2d):
    """A convolution with LoRA."""


_CLASSES: dict[type[nn.Module], type[Lora]] = {nn.Linear: LoraLinear, nn.Conv2d: LoraConv2d}


def reachable(net: Net) -> dict[str, nn.Module]:
    """Return the layers of a net's trunk that can have LoRA, by name.

    Those are linear layers and convolutions of one group, and none of their subclasses, which compute
    something else with their weights. Of some layers the trunk takes the weights and computes by itself, as
    Swin's attention does: what is learned beside them would have no effect, so that they are left out.
    """
    possible = {
        name: module
        for name, module in net.trunk.named_modules()
        if type(module) is nn.Linear or (type(module) is nn.Conv2d and module.groups == 1)
    }
    called: set[nn.Module] = set()

    def note(layer: nn.Module, _: object) -> None:
        called.add(layer)

    hooks = [layer.register_forward_pre_hook(note) for layer in possible.values()]
    modes = {module: module.training for module in net.trunk.modules()}
    size = nets.input_spec(net).size
    channels = next((m.in_channels for m in net.trunk.modules() if isinstance(m, nn.Conv2d)), 3)
    picture = torch.zeros(1, channels, size, size).to(next(net.trunk.parameters()))
    try:
        with torch.no_grad():
            net.trunk.eval()(picture)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return {name: layer for name, layer in possible.items() if layer in called}


def find(target: str, layers: Mapping[str, nn.Module], *, where: str) -> list[str]:
    """Return the names of layers that a target matches, with `trunk.` or without.

    It is a name, the end of one (`qkv`), a glob, or a regular expression after `re:`. Raises InvalidRecipe
    where it matches none.
    """
    found = [name for name in layers if _aims(target, name, where)]
    if not found:
        ends = [name.rpartition(".")[2] for name in layers]
        raise InvalidRecipe(
            f"No layer that can carry LoRA matches {target!r}.",
            hint=did_you_mean(target, [*layers, *ends], otherwise="Use auto for all."),
            where=where,
        )
    return found


def attach(layer: nn.Module, *, rank: int, alpha: float, dropout: float, random: torch.Generator) -> None:
    """Give a reachable layer LoRA, in place; A begins as peft's does, drawn from `random`."""
    weight = layer.get_parameter("weight")
    first: nn.Linear | nn.Conv2d
    second: nn.Linear | nn.Conv2d
    # on the meta device torch draws no random numbers to begin with
    if isinstance(layer, nn.Conv2d):
        first = nn.Conv2d(
            layer.in_channels,
            rank,
            cast(tuple[int, int], layer.kernel_size),
            stride=cast(tuple[int, int], layer.stride),
            padding=cast(tuple[int, int] | str, layer.padding),
            dilation=cast(tuple[int, int], layer.dilation),
            padding_mode=layer.padding_mode,
            bias=False,
            device="meta",
            dtype=weight.dtype,
        )
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=False, device="meta", dtype=weight.dtype)
    else:
        first = nn.Linear(weight.shape[1], rank, bias=False, device="meta", dtype=weight.dtype)
        second = nn.Linear(rank, weight.shape[0], bias=False, device="meta", dtype=weight.dtype)
    first, second = (part.to_empty(device=weight.device) for part in (first, second))
    drawn = nn.init.kaiming_uniform_(torch.empty(first.weight.shape), a=math.sqrt(5), generator=random)
    with torch.no_grad():
        first.weight.copy_(drawn)
        second.weight.zero_()
    made = cast(Lora, layer)
    made.lora_A, made.lora_B = first, second
    made.scaling, made.dropout = alpha / rank, dropout
    # as torch.nn.utils.parametrize does: the layer stays the same object under the same name
    layer.__class__ = _CLASSES[type(layer)]


def layers(net: nn.Module) -> Iterator[tuple[str, Lora]]:
    """Yield each layer with LoRA, with its name."""
    for name, module in net.named_modules():
        if isinstance(module, Lora):
            yield name, module


def merge(layer: Lora) -> None:
    """Add what was learned to the layer's own weights, and make it plain again, in place."""
    fold(layer.weight, layer.lora_A.weight, layer.lora_B.weight, scaling=layer.scaling)
    del layer.lora_A, layer.lora_B, layer.scaling, layer.dropout
    cast(nn.Module, layer).__class__ = next(plain for plain, kind in _CLASSES.items() if kind is type(layer))


@torch.no_grad()
def fold(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, scaling: float) -> None:
    """Add the product of two thin layers to the weight of the layer beside them, in place."""
    precise = torch.promote_types(weight.dtype, torch.float32)
    change = b.flatten(1).to(weight.device, precise) @ a.flatten(1).to(weight.device, precise) * scaling
    weight += change.view_as(weight)


def _aims(target: str, name: str, where: str) -> bool:
    """Tell whether a pattern fits a layer's name, or a plain name the end of it."""
    return matches(target, f"{TRUNK}{name}", where=where) or f"{TRUNK}{name}".endswith(f".{target}")
