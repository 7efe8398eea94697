"""What is told of a training, and how it is started."""

checkpoint_config = dict(interval=1)
log_config = dict(interval=100, hooks=[dict(type="TextLoggerHook")])
dist_params = dict(backend="nccl")
log_level = "INFO"
load_from = None
resume_from = None
workflow = [("train", 1)]
