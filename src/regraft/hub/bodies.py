"""Bodies: nets without a classifier, to build something else upon."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from regraft.errors import MismatchError
from regraft.hub import nets
from regraft.hub.nets import MapHead, Net

#: By how an architecture's name begins, for nets that call their modules one after another: the last before
#: the map of a picture is pooled (empty: it has no map), and one that is followed by a ReLU without a module.
_CHAINS: Mapping[str, tuple[str, str]] = {
    r"torchvision:(wide_)?resne": ("layer4", ""),
    r"torchvision:densenet": ("features", "features"),
    r"torchvision:googlenet": ("inception5b", ""),
    r"torchvision:inception": ("Mixed_7c", ""),
    r"torchvision:maxvit": ("blocks", ""),
    r"torchvision:mnasnet": ("layers", ""),
    r"torchvision:regnet": ("trunk_output", ""),
    r"torchvision:shufflenet": ("conv5", ""),
    r"torchvision:swin": ("permute", ""),
    r"torchvision:vit": ("", ""),
    r"torchvision:": ("features", ""),
    r"regraft:cifar_resnet": ("layer3", "bn1"),
}


class Body(nn.Module):
    """A trunk alone: pictures [n, channels, height, width] in, features [n, c] or maps [n, c, h, w] out."""

    def __init__(self, trunk: nn.Module, output_shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.trunk = trunk
        #: What one picture of the size that the weights were made for gives: (c,) or (c, h, w).
        self.output_shape = output_shape

    @property
    def num_features(self) -> int:
        """How many numbers there are of a picture, or of a place in it."""
        return self.output_shape[0]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return what the trunk gives for prepared pictures."""
        result: torch.Tensor = self.trunk(pictures)
        return result


class _Timm(Body):
    """The lower part of a trunk of timm, whose maps may have their channels last."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        trunk = cast(Any, self.trunk)
        result: torch.Tensor = trunk.forward_features(pictures)
        last = result.ndim == 4 and getattr(trunk, "output_fmt", "NCHW") == "NHWC"
        return result.permute(0, 3, 1, 2) if last else result


class _Renormalised(nn.Module):
    """Prepares pictures for weights that want one half as mean and deviation, as torchvision does within."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        std, mean = pictures.new_tensor([[0.229, 0.224, 0.225], [0.485, 0.456, 0.406]])[..., None, None]
        result: torch.Tensor = pictures * (std / 0.5) + (mean - 0.5) / 0.5
        return result


def pooled(net: Net) -> Body:
    """Return the trunk of a net as a body that gives features; it shares the net's modules."""
    return Body(nets.replace_head(net, nn.Identity()).trunk, (net.num_features,)).eval()


def mapped(net: Net, example: torch.Tensor) -> Body:
    """Return the trunk of a net as a body that gives maps; it shares the net's modules.

    The example is a prepared picture [1, channels, height, width] of the size that the weights were made for.
    Raises MismatchError where the trunk has no maps, as that of a ViT, which computes with a list of tokens.
    """
    body = _mapped(net)
    if body is not None:
        with torch.no_grad():
            _, *shape = body.eval()(example).shape
        if len(shape) == 3:
            body.output_shape = tuple(shape)
            return body
    raise MismatchError(
        f"The trunk of {net.architecture!r} gives no map of a picture.",
        hint="Take its features: leave `pool` at true.",
    )


def _mapped(net: Net) -> Body | None:
    if isinstance(net.head, MapHead):
        return Body(net.trunk)
    for family, (last, rectified) in _CHAINS.items():
        if re.match(family, net.architecture):
            return Body(_chain(net.trunk, last, rectified)) if last else None
    return _Timm(net.trunk)


def _chain(trunk: nn.Module, last: str, rectified: str) -> nn.Sequential:
    """Return the modules of a trunk down to the last that is named, under their names."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if getattr(trunk, "transform_input", False):
        parts["renormalised"] = _Renormalised()
    for name, child in trunk.named_children():
        parts[name] = nn.Sequential(*child) if isinstance(child, nn.ModuleList) else child
        if name == rectified:
            parts["rectified"] = nn.ReLU()
        if name == last:
            break
    return nn.Sequential(parts)
