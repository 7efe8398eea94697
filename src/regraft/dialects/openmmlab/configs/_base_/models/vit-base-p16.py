"""ViT-B/16 for the 1,000 classes of ImageNet."""

model = dict(
    type="ImageClassifier",
    backbone=dict(type="VisionTransformer", arch="b", img_size=224, patch_size=16),
    neck=None,
    head=dict(
        type="VisionTransformerClsHead",
        num_classes=1000,
        in_channels=768,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="classy_vision"),
        topk=(1, 5),
    ),
)
