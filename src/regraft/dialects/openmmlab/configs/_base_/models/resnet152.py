"""ResNet-152 for the 1,000 classes of ImageNet."""

_base_ = "resnet50.py"
model = dict(backbone=dict(depth=152))
