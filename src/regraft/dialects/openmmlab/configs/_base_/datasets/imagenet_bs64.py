"""As datasets/imagenet_bs32.py, in batches of 64 for each of eight GPUs."""

_base_ = "imagenet_bs32.py"
data = dict(samples_per_gpu=64)
