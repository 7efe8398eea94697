"""Pretrained weights in, nets out."""
