"""The same as models/densenet/densenet121.py."""

_base_ = "densenet/densenet121.py"
