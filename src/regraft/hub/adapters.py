"""Adapters: few parameters that learn while the rest of a trunk stays; stored apart, merged for use.

LoRA is stored under peft's names, so that either reads what the other wrote. Biases and norm layers are
stored under their own names, as they are after training.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, cast

import torch
from pydantic import Field

from regraft.errors import InvalidRecipe, MismatchError
from regraft.hub import lora
from regraft.hub.layouts import State
from regraft.hub.nets import Net
from regraft.registry import Entry, Registry

#: Changes a net in place, and returns which parameters of its trunk learn, as the trunk calls them.
Method = Callable[..., set[str]]

ADAPTERS: Registry[Method] = Registry("adapter")

_WHERE = "model.adapter"
#: Where peft puts a net.
_PREFIX = "base_model.model."
_LORA = re.compile(r"(?P<layer>.+)\.lora_(?P<part>[AB])\.weight")


def add(net: Net, entry: Entry, *, seed: int = 0) -> frozenset[str]:
    """Give a net the adapter that a recipe names, in place; return the names of the parameters that learn.

    They are full names, such as `trunk.blocks.0.attn.qkv.lora_A.weight`. What else the trunk has is frozen,
    and the head left as it is. Until it is trained the net computes what it did before. Raises InvalidRecipe
    where the adapter finds nothing in the net.
    """
    if "adapted" in vars(net):
        raise ValueError("the net has an adapter already")
    method, options = ADAPTERS.find(entry, where=_WHERE)
    learning = method(net, seed, **options)
    if not learning:
        raise InvalidRecipe(
            f"The net {net.architecture!r} has nothing that this adapter could train.",
            hint=f"Choose another: {', '.join(sorted(ADAPTERS))}.",
            where=_WHERE,
        )
    for name, parameter in net.trunk.named_parameters():
        parameter.requires_grad_(name in learning)
    small = learning | {name for name, _ in net.trunk.named_buffers()}
    base = {name: tensor for name, tensor in net.trunk.state_dict().items() if not _LORA.fullmatch(name)}
    # beside the net and not in its state: what may change, as it was before
    vars(net)["adapted"] = {name: tensor.clone() for name, tensor in base.items() if name in small}
    return frozenset(f"trunk.{name}" for name in learning)


def base_state(net: Net) -> State:
    """Return copies of the trunk's tensors as they were before the adapter, under the same names."""
    now = {name: tensor for name, tensor in net.trunk.state_dict().items() if not _LORA.fullmatch(name)}
    return {name: tensor.clone().contiguous() for name, tensor in {**now, **_start(net)}.items()}


def state(net: Net) -> State:
    """Return what the adapter of a net has learned, ready to be stored.

    LoRA stands under peft's names, its scaling multiplied into B, so that alpha equals rank. Of everything
    else (biases, norm layers, running statistics) there is what has changed, under the trunk's names.
    """
    result: State = {}
    for name, layer in lora.layers(net.trunk):
        result[f"{_PREFIX}{name}.lora_A.weight"] = layer.lora_A.get_parameter("weight")
        result[f"{_PREFIX}{name}.lora_B.weight"] = layer.lora_B.get_parameter("weight") * layer.scaling
    now = net.trunk.state_dict()
    for name, before in _start(net).items():
        if not torch.equal(now[name].cpu(), before.cpu()):
            result[name] = now[name]
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in result.items()}


def load(net: Net, state: State, config: Mapping[str, object] | None = None) -> Net:
    """Put a stored adapter into a net with the weights that it was trained on, merged, in place; return it.

    `config` is the adapter_config.json of a state that peft saved. Raises MismatchError for tensors that the
    net has no place for.
    """
    own = net.trunk.state_dict(keep_vars=True)
    pairs: dict[str, State] = defaultdict(dict)
    for name, tensor in state.items():
        if found := _LORA.fullmatch(name.removeprefix(_PREFIX)):
            pairs[found["layer"]][found["part"]] = tensor
        elif name in own and own[name].shape == tensor.shape:
            with torch.no_grad():
                own[name].copy_(tensor)
        else:
            raise _unfit(net, name)
    for name, pair in pairs.items():
        weight = own.get(f"{name}.weight")
        if weight is None or not _fits(weight, pair):
            raise _unfit(net, name)
        lora.fold(weight, pair["A"], pair["B"], scaling=_scaling(config, rank=len(pair["A"])))
    return net


def merge(net: Net) -> Net:
    """Make what an adapter has learned part of the trunk's own weights, in place; return the net."""
    for _, layer in list(lora.layers(net.trunk)):
        lora.merge(layer)
    vars(net).pop("adapted", None)
    return net


def peft_config(state: State) -> dict[str, object]:
    """Return the adapter_config.json with which peft reads a stored state of LoRA."""
    found = {match["layer"]: len(state[name]) for name in state if (match := _stored(name, "A"))}
    rank = next(iter(found.values()), 0)
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": rank,
        # an expression, since peft takes a plain name for that of every layer that ends in it
        "target_modules": "|".join(re.escape(name) for name in found),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


@ADAPTERS.register("lora")
def _lora(
    net: Net,
    seed: int,
    *,
    rank: Annotated[int, Field(ge=1)] = 8,
    alpha: Annotated[float, Field(gt=0)] = 16.0,
    targets: Literal["auto"] | tuple[str, ...] = "auto",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> set[str]:
    layers = lora.reachable(net)
    chosen = set(layers)
    if targets != "auto":
        chosen = {name for target in targets for name in lora.find(target, layers, where=f"{_WHERE}.targets")}
    random = torch.Generator().manual_seed(seed)
    for name, layer in layers.items():
        if name in chosen:
            lora.attach(layer, rank=rank, alpha=alpha, dropout=dropout, random=random)
    return {f"{name}.lora_{part}.weight" for name in chosen for part in "AB"}


@ADAPTERS.register("bias")
def _bias(net: Net, seed: int) -> set[str]:  # noqa: ARG001 (all methods are called alike)
    return {name for name, _ in net.trunk.named_parameters() if re.search(r"(^|[._])bias$", name)}


@ADAPTERS.register("norm")
def _norm(net: Net, seed: int) -> set[str]:  # noqa: ARG001
    return {
        f"{place}.{name}"
        for place, module in net.trunk.named_modules()
        if "norm" in type(module).__name__.lower()
        for name, _ in module.named_parameters(recurse=False)
    }


def _start(net: Net) -> State:
    if "adapted" not in vars(net):
        raise ValueError("the net has no adapter")
    return cast(State, vars(net)["adapted"])


def _stored(name: str, part: str) -> re.Match[str] | None:
    found = _LORA.fullmatch(name.removeprefix(_PREFIX))
    return found if found and found["part"] == part else None


def _fits(weight: torch.Tensor, pair: State) -> bool:
    if pair.keys() != {"A", "B"}:
        return False
    a, b = pair["A"], pair["B"]
    return (
        a.shape[1:] == weight.shape[1:] and b.shape[:2] == (len(weight), len(a)) and b.shape[2:].numel() == 1
    )


def _scaling(config: Mapping[str, object] | None, *, rank: int) -> float:
    if config is None:
        return 1.0
    if config.get("peft_type", "LORA") != "LORA" or config.get("alpha_pattern") or config.get("use_dora"):
        raise MismatchError("Of peft's adapters Regraft reads plain LoRA with one alpha for all layers.")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float):
        raise MismatchError(f"The adapter's config has {alpha!r} as 'lora_alpha', which is no number.")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _unfit(net: Net, name: str) -> MismatchError:
    return MismatchError(
        f"The adapter does not fit the net {net.architecture!r}: there is no place for {name!r}.",
        hint="Choose the architecture that the adapter was made for.",
    )
