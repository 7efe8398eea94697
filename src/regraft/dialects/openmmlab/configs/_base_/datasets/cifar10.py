"""The same as datasets/cifar10_bs16.py, under the name that tutorials use and no release has."""

_base_ = "cifar10_bs16.py"
