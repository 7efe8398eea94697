"""The small ResNets that He et al. trained on CIFAR-10 (Deep Residual Learning, 2015, section 4.2).

Three stages of 16, 32 and 64 channels at 32, 16 and 8 pixels; shortcuts have no weights (option A): a picture
is halved by leaving out every other pixel, and the new channels are zero. Names of tensors are those of
github.com/akamaster/pytorch_resnet_cifar10, whose weights many people have.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

DEPTHS = (20, 32, 44, 56, 110)
#: What the published weights tell apart.
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_CHANNELS = (16, 32, 64)


class Block(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.added = channels - before

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Turn maps [n, before, h, w] into maps [n, channels, h / stride, w / stride]."""
        inner = functional.relu(self.bn1(self.conv1(maps)))
        short = maps[:, :, :: self.stride, :: self.stride]
        if self.added:
            short = functional.pad(short, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return functional.relu(self.bn2(self.conv2(inner)) + short)


class CifarResNet(nn.Module):
    """A stem, three stages, and a linear classifier of their mean."""

    def __init__(self, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.conv1 = nn.Conv2d(3, _CHANNELS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_CHANNELS[0])
        self.layer1 = _stage(_CHANNELS[0], _CHANNELS[0], blocks, stride=1)
        self.layer2 = _stage(_CHANNELS[0], _CHANNELS[1], blocks, stride=2)
        self.layer3 = _stage(_CHANNELS[1], _CHANNELS[2], blocks, stride=2)
        self.linear = nn.Linear(_CHANNELS[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Turn prepared pictures [n, 3, h, w] into logits [n, num_classes]."""
        maps = functional.relu(self.bn1(self.conv1(pictures)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        logits: torch.Tensor = self.linear(maps.mean((2, 3)))
        return logits


def build(depth: int, *, num_classes: int = len(LABELS)) -> CifarResNet:
    """Build a net with random weights; its depth, 6n + 2, is one of DEPTHS."""
    return CifarResNet((depth - 2) // 6, num_classes)


def _stage(before: int, channels: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = Block(before, channels, stride)
    return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))
