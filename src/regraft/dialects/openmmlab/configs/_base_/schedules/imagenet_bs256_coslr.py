"""100 epochs of ImageNet in batches of 256, along half a cosine."""

optimizer = dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy="CosineAnnealing", min_lr=0)
runner = dict(type="EpochBasedRunner", max_epochs=100)
