"""Where in a picture a net sees what speaks for a class: activations times gradients, place by place.

Nothing need be known of an architecture. The net runs once while it is watched; what counts is the last map
of places, or list of tokens, whose places the logits depend on. Of a net that ends with a mean over places
and a linear layer this gives the class activation maps of Zhou et al. (Learning Deep Features for
Discriminative Localization, 2016), whose parts add up to the logit. Of a ViT that answers from its class
token these are the tokens before the last attention, which is the last to look at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from math import isqrt

import numpy as np
import torch
from torch import nn

from regraft.engine.predict import Floats

#: Tokens in front of those that stand for places, at most: the class, and registers.
_MOST_OTHERS = 16
#: What hands on, in one shape, what is no place in a picture, such as weights of attention.
_NO_MAPS = (nn.Dropout, nn.Softmax, nn.Identity)


def heat(net: nn.Module, picture: torch.Tensor, target: int) -> Floats:
    """Return how much each place [h, w] of a prepared picture [1, c, height, width] speaks for a class.

    It is between 0 and 1; what speaks against the class counts as 0, and nothing is left of it where nothing
    speaks for it. Empty where the net has no map of places.
    """
    kept: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.requires_grad and _grid(output) is not None:
            kept.append(output)

    net.eval()
    with ExitStack() as hooks, torch.enable_grad():
        for module in net.modules():
            if not isinstance(module, _NO_MAPS):
                hooks.enter_context(module.register_forward_hook(keep))
        logits = net(picture.detach().clone().requires_grad_())[0]
        others = logits.sum() - logits[target]
        margin = logits[target] - others / max(len(logits) - 1, 1)
        gradients = torch.autograd.grad(margin, kept, allow_unused=True) if kept else ()
    for parts in _places(kept, gradients):
        positive = parts.clamp(min=0)
        highest = positive.max()
        scaled = positive / highest if highest > 0 else positive
        return np.asarray(scaled.numpy(), dtype=np.float32)
    return np.zeros((0, 0), np.float32)


def enlarge(heat: Floats, size: int) -> Floats:
    """Return heat [h, w] as [size, size], without steps."""
    wide = nn.functional.interpolate(
        torch.from_numpy(heat)[None, None], size=(size, size), mode="bicubic", align_corners=False
    )
    return np.asarray(wide[0, 0].clamp(0, 1).numpy(), dtype=np.float32)


def _places(kept: list[torch.Tensor], gradients: tuple[torch.Tensor | None, ...]) -> Iterator[torch.Tensor]:
    """Yield what each place [h, w] adds, of the last map first; maps that say nothing are passed by."""
    for output, gradient in zip(reversed(kept), reversed(gradients), strict=True):
        if gradient is None:
            continue
        there, slope = _grid(output.detach()), _grid(gradient)
        if there is not None and slope is not None and bool(slope.any()):
            yield (there * slope).sum(dim=0).float()


def _grid(output: torch.Tensor) -> torch.Tensor | None:
    """Return an activation of one picture as [c, h, w]; None where it has no two places in each direction."""
    if output.shape[:1] != (1,):
        return None
    if output.ndim == 3:  # a list of tokens
        count, width = output.shape[1:]
        side = isqrt(count)
        if side < 2 or count - side**2 > _MOST_OTHERS:
            return None
        return output[0, count - side**2 :].T.reshape(width, side, side)
    if output.ndim == 4:
        _, first, second, third = output.shape
        last = first == second != third  # channels last
        grid = output[0].permute(2, 0, 1) if last else output[0]
        return grid if min(grid.shape[1:]) > 1 else None
    return None
