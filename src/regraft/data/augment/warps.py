"""Operations that move the pixels of batches: each picture by an amount of its own, as torchvision does.

The nearest pixel is taken, and what comes from beyond the picture is black. Pictures are bytes
[n, 3, height, width]; amounts are float32 [n], on the same device.
"""

from __future__ import annotations

import torch


def rotate(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Turn against the clock, around the middle."""
    angles = torch.deg2rad(degrees)
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    return _warp(images, [cosine, -sine, zero], [sine, cosine, zero])


def shear_x(images: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Move each row by a slope times its distance from the top, to the left."""
    zero, one = torch.zeros_like(slopes), torch.ones_like(slopes)
    return _warp(images, [one, slopes, slopes * (images.shape[2] / 2)], [zero, one, zero])


def shear_y(images: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Move each column by a slope times its distance from the left, upwards."""
    zero, one = torch.zeros_like(slopes), torch.ones_like(slopes)
    return _warp(images, [one, zero, zero], [slopes, one, slopes * (images.shape[3] / 2)])


def translate_x(images: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Move to the right by whole pixels."""
    zero, one = torch.zeros_like(pixels), torch.ones_like(pixels)
    return _warp(images, [one, zero, -pixels.trunc()], [zero, one, zero])


def translate_y(images: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Move down by whole pixels."""
    zero, one = torch.zeros_like(pixels), torch.ones_like(pixels)
    return _warp(images, [one, zero, zero], [zero, one, -pixels.trunc()])


def _warp(images: torch.Tensor, across: list[torch.Tensor], down: list[torch.Tensor]) -> torch.Tensor:
    """Take each pixel from where two rows of an affine matrix say, counted from the middle."""
    height, width = images.shape[2:]
    device = images.device
    y = (torch.arange(height, device=device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=device) - (width - 1) / 2).view(1, 1, -1)
    columns, rows = (
        (a.view(-1, 1, 1) * x + b.view(-1, 1, 1) * y + c.view(-1, 1, 1) + (side - 1) / 2).round_().long()
        for (a, b, c), side in ((across, width), (down, height))
    )
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = torch.where(inside, rows * width + columns, 0).flatten(1)[:, None].expand(-1, 3, -1)
    return images.flatten(2).gather(2, index).view_as(images) * inside[:, None]
