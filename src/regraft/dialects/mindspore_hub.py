"""MindSpore Hub's tutorial in its own words: load a net by its name on the hub, build on it, and tune it."""

from __future__ import annotations

import logging
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn as torch_nn

from regraft.dialects import mindspore_nn as nn
from regraft.dialects.mindspore import Model
from regraft.dialects.mindspore_checkpoints import load_checkpoint, load_param_into_net, save_checkpoint
from regraft.dialects.mindspore_folders import Pictures, Tensor, create_dataset
from regraft.dialects.mindspore_nn import Cell, Momentum, ReduceMean, SoftmaxCrossEntropyWithLogits
from regraft.dialects.mindspore_rates import get_lr
from regraft.engine.device import find_kind
from regraft.errors import FetchError, IntegrityError, NotFoundError, did_you_mean
from regraft.hub import nets
from regraft.hub.sources.find import architecture_of
from regraft.records import ModelVersion, Version
from regraft.refs import SOURCES, parse
from regraft.workspace.main import Workspace
from regraft.workspace.main import open as open_workspace

__all__ = [
    "Model",
    "Momentum",
    "P",
    "Pictures",
    "ReduceMeanFlatten",
    "SoftmaxCrossEntropyWithLogits",
    "Tensor",
    "add",
    "context",
    "create_dataset",
    "get_lr",
    "load",
    "load_checkpoint",
    "load_param_into_net",
    "nn",
    "save_checkpoint",
]

log = logging.getLogger(__name__)

#: Operations: `P.ReduceMean(keep_dims=True)`.
P = SimpleNamespace(ReduceMean=ReduceMean)


class _Context:
    """Where MindSpore is told what to compute on; Regraft finds that out."""

    GRAPH_MODE = 0
    PYNATIVE_MODE = 1

    def set_context(self, *, device_target: str = "", **_others: object) -> None:
        """Say what is computed on where that is not what was asked for; nothing is set by it."""
        kind = find_kind()
        if device_target and {"cuda": "GPU"}.get(kind, kind.upper()) != device_target.upper():
            log.warning(
                "set_context asks for %s; Regraft computes on %s, the fastest that torch finds, whatever the "
                "mode. CUDA_VISIBLE_DEVICES= hides a GPU.",
                device_target,
                kind,
            )


context = _Context()


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What stands for a name of the hub."""

    #: As `regraft.load` takes it.
    ref: str
    #: How the digest of the weights file begins, or all of it; empty where nobody said it.
    sha256: str = ""
    #: What the weights on the hub had learned from, where these are others.
    hub: str = ""


@cache
def catalogue() -> dict[str, Entry]:
    """Return what stands for each name of the hub; `add` adds to it."""
    document = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: Entry(**fields) for name, fields in document.items()}


def add(name: str, ref: str, sha256: str = "") -> None:
    """Let a name of the hub mean weights of your own, such as `file:googlenet.pth`, for this process.

    With a sha256 every load compares the file with it.
    """
    catalogue()[_last(name)] = Entry(ref=ref, sha256=sha256.lower())


class Network(Cell):
    """A net that was loaded, as a cell."""

    def __init__(self, net: torch_nn.Module) -> None:
        super().__init__()
        self.net = net
        self.set_train(False)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What it gives of one picture where it has no top: (channels, height, width)."""
        shape: tuple[int, ...] = self.net.output_shape  # type: ignore[assignment]  # a Body has it
        return shape

    def construct(self, x: torch.Tensor) -> torch.Tensor:
        """Turn prepared pictures into logits or, without the top, into maps."""
        result: torch.Tensor = self.net(x)
        return result


def load(
    name: str,
    *,
    source: str = "gitee",  # noqa: ARG001
    pretrained: bool = True,
    force_reload: bool = False,  # noqa: ARG001
    include_top: bool = True,
    num_classes: int | None = None,
    workspace: Workspace | Path | str | None = None,
) -> Network:
    """Return the net that a name of the hub means here, in evaluation mode; no code is fetched.

    A name is `mindspore/ascend/0.7/googlenet_v1_cifar10`, the last part of it, or a ref such as
    `torchvision:googlenet` or `file:PATH`. Without its top a net gives maps [n, channels, height, width], and
    `num_classes` means nothing, as on the hub. `source` and `force_reload` mean nothing either: what is kept
    is compared with its digest each time. Without `pretrained` weights are random. Raises NotFoundError with
    the nearest name, and IntegrityError where the weights are not those of the catalogue.
    """
    place = workspace if isinstance(workspace, Workspace) else open_workspace(workspace)
    entry = _entry(name)
    ref = entry.ref
    if pretrained or not architecture_of(parse(ref)):  # of a file the weights alone say what its net is
        version = _get(place, name, ref)
        found = version.read(ModelVersion).weights_file
        if not found.startswith(entry.sha256):
            raise IntegrityError(
                f"The weights of {ref!r} have sha256 {found}, and {_last(name)!r} is known by "
                f"{entry.sha256}.",
                hint="Get the file again, or add the name anew with the digest that you trust.",
            )
        ref = str(version)
    if pretrained and entry.hub:
        log.warning(
            "%s: the hub's weights, which had learned from %s, are in a format of MindSpore's. Here it is "
            "%s, which has learned from ImageNet.",
            _last(name),
            entry.hub,
            entry.ref,
        )
    if not include_top:
        return Network(place.models.load(ref, include_top=False, pool=False, pretrained=pretrained))
    net = place.models.load(ref, pretrained=pretrained)
    if num_classes is not None and isinstance(net, nets.Net) and nets.count_classes(net) != num_classes:
        net = place.models.load(ref, pretrained=pretrained, num_classes=num_classes)
    return Network(net)


class ReduceMeanFlatten(Cell):
    """Makes features [n, channels] of maps: the mean over height and width."""

    def construct(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of each map."""
        return x.mean((2, 3))


def _get(place: Workspace, name: str, ref: str) -> Version:
    try:
        return place.models.get(ref)
    except FetchError as error:
        raise FetchError(
            str(error),
            hint=f"{error.hint.partition(' Or name a file')[0]} Or name a file that you have: "
            f"mshub.add({_last(name)!r}, 'file:PATH').",
        ) from error


def _entry(name: str) -> Entry:
    known, last, source = catalogue(), _last(name), name.partition(":")[0]
    if last in known and source not in SOURCES.keys() - {"http", "https"}:  # the page of a model is a name
        return known[last]
    if source in SOURCES:
        return Entry(ref=name)
    raise NotFoundError(
        f"The catalogue has no {last!r}.",
        hint=did_you_mean(last, known, otherwise=f"It has {', '.join(sorted(known))}.")
        + f" Or say what it means: mshub.add({last!r}, 'file:PATH').",
    )


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].removesuffix(".md")
