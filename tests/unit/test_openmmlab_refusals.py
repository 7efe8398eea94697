"""Broken configs: each message names the place, the key and the remedy."""

import pytest

from regraft.dialects.openmmlab import main
from regraft.errors import InvalidRecipe

WHOLE = """_base_ = [
    '_base_/models/resnet50.py', '_base_/datasets/cifar10_bs16.py', '_base_/schedules/cifar10_bs128.py']
model = dict(head=dict(num_classes=10))
"""


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Read a config that is fine but for what is written below it; return what is said of that."""
    monkeypatch.chdir(tmp_path)

    def read(text):
        (tmp_path / "fine.py").write_text(WHOLE)
        (tmp_path / "config.py").write_text(f"_base_ = 'fine.py'\n{text}\n")
        with pytest.raises(InvalidRecipe) as caught:
            main.read("config.py")
        return caught.value

    return read


def test_the_config_is_fine_without_a_fault(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fine.py").write_text(WHOLE)

    assert main.read("fine.py").document["train"]["strategy"] == "scratch"


_RATES = "There is fixed, step, exp, poly, LinearAnnealing, CosineAnnealing, OneCycle."


@pytest.mark.parametrize(
    ("text", "message", "where", "hint"),
    [
        (
            "model = dict(type='ImageClasifier')",
            "model.type='ImageClasifier' is nothing that Regraft can do.",
            "model.type",
            "Leave it out, or write type='ImageClassifier'.",
        ),
        (
            "model = dict(backbone=dict(type='ResNeXtt'))",
            "There is no backbone 'ResNeXtt'.",
            "model.backbone.type",
            "Did you mean 'ResNeXt'?",
        ),
        (
            "model = dict(backbone=dict(depth=51))",
            "There is no ResNet '51'.",
            "model.backbone.depth",
            "There is 18, 34, 50, 101, 152.",
        ),
        (
            "model = dict(backbone=dict(depth='50'))",
            "'model.backbone.depth' cannot be '50'.",
            "model.backbone.depth",
            "Write a whole number.",
        ),
        (
            "model = dict(backbone=dict(frozen_stages=True))",
            "'model.backbone.frozen_stages' cannot be True.",
            "model.backbone.frozen_stages",
            "Write a whole number.",
        ),
        (
            "model = dict(backbone=dict(frozen_stages=5))",
            "'model.backbone.frozen_stages' cannot be 5.",
            "model.backbone.frozen_stages",
            "Write a number from -1 to 4; -1 freezes nothing.",
        ),
        (
            "model = dict(backbone=dict(style='caffe'))",
            "model.backbone.style='caffe' is nothing that Regraft can do.",
            "model.backbone.style",
            "Nets of the style 'caffe' have their strides elsewhere; take a checkpoint of the style "
            "'pytorch'.",
        ),
        (
            "model = dict(backbone=dict(init_cfg=dict(type='Pretraind', checkpoint='x.pth')))",
            "There is no initialiser 'Pretraind'.",
            "model.backbone.init_cfg.type",
            "Did you mean 'Pretrained'?",
        ),
        (
            "model = dict(backbone=dict(init_cfg=dict(type='Pretrained', prefix='backbone')))",
            "There is no checkpoint to begin with.",
            "model.backbone.init_cfg",
            "Write checkpoint='FILE'.",
        ),
        (
            "load_from = 'mmcls://resnet50'",
            "'mmcls://resnet50' stands for a file by a table of mmcv, which Regraft has not.",
            "load_from",
            "Give the address of its file, from the page of the model zoo: https://download.openmmlab.com/...",
        ),
        (
            "model = dict(pretrained='torchvision://resnet18')",
            "'torchvision://resnet18' are no weights for torchvision:resnet50.",
            "model.pretrained",
            "Write checkpoint='torchvision://resnet50'.",
        ),
        (
            "model = dict(backbone=dict(_delete_=True, type='DenseNet', init_cfg=dict(type='Pretrained', "
            "checkpoint='d.pth', prefix='backbone')))",
            "In 'd.pth' weights have other names than in torchvision:densenet121.",
            "model.backbone.init_cfg.checkpoint",
            "Take torchvision's own, without a prefix: checkpoint='torchvision://densenet121'.",
        ),
        (
            "model = dict(head=dict(num_classes=100))",
            "The head tells 100 classes apart, and the pictures are of 10.",
            "model.head.num_classes",
            "Write head=dict(num_classes=10).",
        ),
        (
            "model = dict(head=dict(loss=dict(type='FocalLoss')))",
            "There is no loss 'FocalLoss'.",
            "model.head.loss.type",
            "There is CrossEntropyLoss and LabelSmoothLoss; others by --set train.loss=focal.",
        ),
        (
            "data = dict(train=dict(pipeline=[dict(type='RandomFlipp')]))",
            "There is no step 'RandomFlipp'.",
            "data.train.pipeline.0.type",
            "Did you mean 'RandomFlip'?",
        ),
        (
            "data = dict(train=dict(pipeline=[dict(type='Normalize', mean=[1, 2], std=[1, 1, 1])]))",
            "'data.train.pipeline.0.mean' cannot be [1, 2].",
            "data.train.pipeline.0.mean",
            "Write three numbers, for red, green and blue, where 255 is the brightest.",
        ),
        (
            "data = dict(train=dict(pipeline=[dict(type='Resize', size=64), *_base_.train_pipeline[2:]]))",
            "Pictures of 64 pixels are learned from, and pictures of 32 are measured.",
            "data.train.pipeline.0.type",
            "Regraft uses one size: write the same in both pipelines.",
        ),
        (
            "data = dict(train=dict(pipeline=[dict(type='RandomErasing'), *_base_.train_pipeline]))",
            "'RandomErasing' stands before 'RandomCrop', and Regraft first cuts the part that is seen.",
            "data.train.pipeline.0.type",
            "Move 'RandomErasing' behind it.",
        ),
        (
            "data = dict(train=dict(pipeline=[dict(type='RandomResizedCrop', size=32)]))",
            "Pictures are normalised in one way to learn from them, and in another to measure.",
            "data.train.pipeline.0.type",
            "Use the same Normalize in both pipelines.",
        ),
        (
            "data = dict(test=dict(pipeline=[dict(type='RandomFlip'), *_base_.test_pipeline]))",
            "Pictures that are measured on are not changed by chance.",
            "data.test.pipeline.0.type",
            "Take it out.",
        ),
        (
            "data = dict(train=dict(type='VOC'))",
            "There is no dataset 'VOC'.",
            "data.train.type",
            "CustomDataset reads class folders, or a list of paths and numbers.",
        ),
        (
            "data = dict(samples_per_gpu=0)",
            "'data.samples_per_gpu' cannot be 0.",
            "data.samples_per_gpu",
            "Write 1 or more.",
        ),
        (
            "optimizer = dict(type='Sgd')",
            "There is no optimizer 'Sgd'.",
            "optimizer.type",
            "There is SGD, Adam, AdamW, RMSprop, Adagrad, Lamb, Lion.",
        ),
        (
            "optimizer = dict(paramwise_cfg=dict(norm_decay_mult=0))",
            "optimizer.paramwise_cfg.norm_decay_mult=0 is nothing that Regraft can do.",
            "optimizer.paramwise_cfg.norm_decay_mult",
            "Write 0 for both norm_decay_mult and bias_decay_mult, or rules of your own: --set optim.groups.",
        ),
        (
            "lr_config = dict(policy='stepp')",
            "There is no policy 'stepp' of rates.",
            "lr_config.policy",
            "Did you mean 'step'?",
        ),
        ("lr_config = dict(policy='x')", "There is no policy 'x' of rates.", "lr_config.policy", _RATES),
        (
            "lr_config = dict(warmup='linear')",
            "The warm-up has no length.",
            "lr_config.warmup",
            "Write warmup_iters=500.",
        ),
        (
            "runner = dict(max_epochs=0)",
            "'runner.max_epochs' cannot be 0.",
            "runner.max_epochs",
            "Write 1 or more.",
        ),
    ],
)
def test_a_broken_config_is_refused_word_for_word(refused, text, message, where, hint):
    error = refused(text)

    assert (str(error), error.where, error.hint) == (f"config.py, line 2: {message}", where, hint)


_MODEL = "_base_/models/resnet50.py"
_CIFAR = "_base_/datasets/cifar10_bs16.py"
_RUN = "_base_/schedules/cifar10_bs128.py"


@pytest.mark.parametrize(
    ("bases", "text", "message", "hint"),
    [
        (
            [_MODEL, _CIFAR],
            "model = dict(head=dict(num_classes=10))",
            "The config has no optimizer.",
            "Write optimizer=dict(type='SGD', lr=0.01, momentum=0.9), or inherit from a schedule.",
        ),
        (
            [_MODEL, _CIFAR],
            "model = dict(head=dict(num_classes=10))\noptimizer = dict(type='SGD', lr=1)",
            "The config does not say how long to train.",
            "Write runner=dict(type='EpochBasedRunner', max_epochs=100).",
        ),
        ([_MODEL, _RUN], "", "The config names no pictures.", "Write data=dict(train=dict(...), ...)."),
        ([_CIFAR, _RUN], "", "The config has no model.", "Inherit from '../_base_/models/resnet50.py'."),
    ],
)
def test_what_a_config_lacks_is_named(tmp_path, bases, text, message, hint):
    (tmp_path / "config.py").write_text(f"_base_ = {bases}\n{text}\n")

    with pytest.raises(InvalidRecipe) as caught:
        main.read(tmp_path / "config.py")

    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_steps_that_nobody_can_count_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bases = [_MODEL, "_base_/datasets/imagenet_bs32.py", "_base_/schedules/imagenet_bs2048.py"]
    (tmp_path / "config.py").write_text(f"_base_ = {bases}\n")

    with pytest.raises(InvalidRecipe) as caught:
        main.read("config.py")

    assert (str(caught.value), caught.value.hint) == (
        "_base_/schedules/imagenet_bs2048.py, line 5: 'lr_config.warmup_iters' counts steps, and nobody "
        "knows how many an epoch has: the pictures to learn from are not here.",
        "Count in epochs: by_epoch=True, or warmup_by_epoch=True. Or put the pictures where the config says "
        "they are.",
    )


def test_a_square_of_every_picture_that_is_cut_again_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bases = [_MODEL, "_base_/datasets/custom.py", "_base_/schedules/imagenet_bs256.py"]
    steps = "dict(type='Resize', size=256), dict(type='CenterCrop', crop_size=224)"
    (tmp_path / "config.py").write_text(f"_base_ = {bases}\ndata = dict(test=dict(pipeline=[{steps}]))\n")

    with pytest.raises(InvalidRecipe) as caught:
        main.read("config.py")

    assert (str(caught.value), caught.value.hint) == (
        "config.py, line 2: Resize(size=256) makes a square of every picture, whatever its proportions, and "
        "CenterCrop then cuts off its borders.",
        "Write size=(256, -1), which keeps the proportions, or leave CenterCrop out.",
    )
