"""ResNet-34 for the 1,000 classes of ImageNet."""

_base_ = "resnet18.py"
model = dict(backbone=dict(depth=34))
