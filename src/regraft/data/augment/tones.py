"""Operations on the tones of batches: each picture by an amount of its own, as torchvision defines them.

Pictures are bytes [n, 3, height, width]; amounts are float32 [n], on the same device. Results are cut off to
bytes and not rounded, as torchvision does.
"""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d

#: What red, green and blue count in grey.
_GREY = (0.2989, 0.587, 0.114)


def brightness(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply by a factor: 0 is black, 1 changes nothing."""
    return _as_bytes(images * _each(factors))


def contrast(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Blend with the mean grey of the picture: 0 is that grey, 1 changes nothing."""
    # whole numbers: their sum is the same however many threads add
    grey = _grey(images).floor_().to(torch.int64).sum(dim=(1, 2, 3), keepdim=True)
    return _blend(images, (grey / images[0, 0].numel()).float(), factors)


def saturation(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Blend with grey: 0 has no colour, 1 changes nothing."""
    return _blend(images, _grey(images).floor_(), factors)


def sharpness(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Blend with a blurred picture: 0 is that, 1 changes nothing, and more is sharper."""
    if min(images.shape[2:]) <= 2:
        return images
    values = images.float()
    kernel = torch.full((3, 1, 3, 3), 1 / 13, device=images.device)
    kernel[:, :, 1, 1] = 5 / 13
    blurred = conv2d(values, kernel, groups=3).round_()
    middle = values[:, :, 1:-1, 1:-1]
    middle += (blurred - middle) * (1 - _each(factors))
    return _as_bytes(values)


def hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the wheel of colours by -0.5 to 0.5 of a full turn."""
    values = images.float() / 255
    red, green, blue = values.unbind(1)
    brightest = values.amax(dim=1)
    span = brightest - values.amin(dim=1)
    steps = torch.where(span == 0, 1, span)
    sextant = torch.where(
        brightest == red,
        (green - blue) / steps,
        torch.where(brightest == green, (blue - red) / steps + 2, (red - green) / steps + 4),
    )
    turned = sextant + 6 * turns.view(-1, 1, 1)
    offsets = torch.tensor((5, 3, 1), device=images.device).view(1, 3, 1, 1)
    place = (turned[:, None] + offsets).remainder(6)
    part = torch.minimum(place, 4 - place).clamp_(0, 1)
    return _as_bytes((brightest[:, None] - span[:, None] * part) * (256 - 1e-3))


def gray(images: torch.Tensor, _amounts: torch.Tensor) -> torch.Tensor:
    """Take the colour away."""
    return _as_bytes(_grey(images)).expand_as(images)


def posterize(images: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Keep so many leading bits of each byte."""
    masks = 256 - 2 ** (8 - bits.to(torch.int32))
    return images & _each(masks).to(torch.uint8)


def solarize(images: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Invert what is as bright as a threshold from 0 to 1."""
    return torch.where(images >= _each(thresholds) * 255, 255 - images, images)


def invert(images: torch.Tensor, _amounts: torch.Tensor) -> torch.Tensor:
    """Make a negative."""
    return 255 - images


def autocontrast(images: torch.Tensor, _amounts: torch.Tensor) -> torch.Tensor:
    """Stretch each colour so that its darkest pixel is 0 and its brightest 255."""
    darkest, brightest = (found.float() for found in (images.amin((2, 3), True), images.amax((2, 3), True)))
    flat = darkest == brightest
    stretched = (images - darkest.masked_fill(flat, 0)) / ((brightest - darkest) / 255).masked_fill(flat, 1)
    return _as_bytes(stretched)


def equalize(images: torch.Tensor, _amounts: torch.Tensor) -> torch.Tensor:
    """Spread the bytes of each colour so that all are about as frequent, in Pillow's way."""
    flat = images.flatten(2).long()
    counts = torch.zeros((*flat.shape[:2], 256), dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    below = counts.cumsum(dim=2)
    last = counts.gather(2, below.argmax(dim=2, keepdim=True))  # of the brightest byte that occurs
    step = (flat.shape[2] - last) // 255
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(0, 255).roll(1, dims=2)
    table[:, :, 0] = 0
    table = torch.where(step == 0, torch.arange(256, device=images.device), table)
    return table.to(torch.uint8).gather(2, flat).view_as(images)


def _each(amounts: torch.Tensor) -> torch.Tensor:
    return amounts.view(-1, 1, 1, 1)


def _grey(images: torch.Tensor) -> torch.Tensor:
    return images[:, :1] * _GREY[0] + images[:, 1:2] * _GREY[1] + images[:, 2:] * _GREY[2]


def _blend(images: torch.Tensor, others: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    return _as_bytes(images * _each(factors) + others * (1 - _each(factors)))


def _as_bytes(values: torch.Tensor) -> torch.Tensor:
    return values.clamp_(0, 255).to(torch.uint8)
