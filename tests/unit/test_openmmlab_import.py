"""What a config of OpenMMLab comes to as a recipe: the values of the tutorial, and each kind of key."""

import pytest

from regraft import recipe as recipes
from regraft.dialects.openmmlab import main
from regraft.engine import schedules
from regraft.jobs import groups

#: The tutorial's file, in its values and its order, written by us.
TUTORIAL = """
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/cifar10_bs16.py', '../_base_/default_runtime.py']
model = dict(
    backbone=dict(
        frozen_stages=2,
        init_cfg=dict(type='Pretrained', checkpoint='resnet50.pth', prefix='backbone')),
    head=dict(num_classes=10))
img_norm_cfg = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False)
train_pipeline = [
    dict(type='RandomCrop', size=32, padding=4),
    dict(type='RandomFlip', flip_prob=0.5, direction='horizontal'),
    dict(type='Resize', size=224),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='ToTensor', keys=['gt_label']),
    dict(type='Collect', keys=['img', 'gt_label'])]
test_pipeline = [
    dict(type='Resize', size=224),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img'])]
data = dict(
    train=dict(pipeline=train_pipeline),
    val=dict(pipeline=test_pipeline),
    test=dict(pipeline=test_pipeline))
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[15])
runner = dict(type='EpochBasedRunner', max_epochs=200)
log_config = dict(interval=100)
"""
DOCUMENT = {
    "model": {
        "ref": "torchvision:resnet50",
        "weights": "resnet50.pth",
        "weights_prefix": "backbone",
        "freeze": 2,
        "freeze_stats": True,
        "norm_eval": False,
        "head": "linear",
        "head_init": "normal",
    },
    "data": {
        "augment": [
            {"name": "random-crop", "padding": 28},
            {"name": "flip", "p": 0.5, "direction": "horizontal"},
        ],
        "resize": "squash",
        "size": 224,
        "interpolation": "bilinear",
        "mean": (0.4914, 0.4822, 0.4465),
        "std": (0.2023, 0.1994, 0.201),
        "workers": 2,
    },
    "optim": {
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "lr": 0.01,
        "weight_decay": 0.0001,
        "head_lr_scale": 1.0,
        "decay_norm_and_bias": True,
        "schedule": {"name": "multistep", "milestones": [15], "gamma": 0.1},
        "warmup_epochs": 0.0,
        "per": "epoch",
        "clip": 0.0,
    },
    "train": {
        "strategy": "partial",
        "seed": 0,
        "precision": "exact",
        "batch_size": 128,
        "epochs": 200,
        "loss": "cross-entropy",
        "reduction": "mean",
        "patience": 0,
    },
    "eval": {"holdout": 0.0, "precision": "exact"},
}


@pytest.fixture
def tutorial(tmp_path, monkeypatch):
    """Import the tutorial's file, with `text` below it, or with options; or the `child` of one."""
    monkeypatch.chdir(tmp_path)

    def imported(*options, text="", child="", file="config.py", **arguments):
        (tmp_path / file).write_text(TUTORIAL + text)
        if child:
            (tmp_path / "child.py").write_text(f"_base_ = '{file}'\n{child}")
        return main.read("child.py" if child else file, options=options, **arguments)

    return imported


@pytest.fixture
def section(tutorial):
    """Return what of a section other values than in the tutorial."""

    def changed(name, *options, **arguments):
        document = tutorial(*options, **arguments).document[name]
        return {key: value for key, value in document.items() if DOCUMENT[name].get(key) != value}

    return changed


def test_the_tutorial_comes_to_every_value_that_it_determines(tutorial):
    imported = tutorial()

    assert imported.document == DOCUMENT
    assert imported.dataset == "cifar10"
    assert imported.notes == (
        "Not there, so that those of Regraft are taken: ../_base_/models/resnet50.py, "
        "../_base_/datasets/cifar10_bs16.py, ../_base_/default_runtime.py.",
        "data.samples_per_gpu=16 is inherited, and was written for 8 GPUs: the batch has 128 pictures, on "
        "one device as on eight.",
        "There is nothing in 'data/cifar10': the set 'cifar10' is fetched, and checked.",
        "'val' and 'test' are the same pictures: nothing is chosen by them, and the last epoch is taken.",
    )
    assert [one.key for one in imported.ignored] == [
        "model.head.topk",
        "checkpoint_config",
        "checkpoint_config.interval",
        "log_config",
        "log_level",
        "dist_params",
        "workflow",
    ]


def test_the_other_spelling_of_its_base_comes_to_the_same(tutorial, tmp_path):
    (tmp_path / "other.py").write_text(TUTORIAL.replace("cifar10_bs16.py", "cifar10.py"))

    other, usual = main.read("other.py"), tutorial()

    assert (other.document, other.notes[1:]) == (usual.document, usual.notes[1:])
    assert other.notes[0] == usual.notes[0].replace("cifar10_bs16.py", "cifar10.py")


def test_the_recipe_of_the_tutorial_reads_back_from_its_toml(tutorial, tmp_path):
    imported = tutorial()

    (tmp_path / "recipe.toml").write_text(main.to_toml(imported))

    assert recipes.read(tmp_path / "recipe.toml") == imported.recipe


def test_the_rate_of_the_tutorial_falls_with_its_sixteenth_epoch(tutorial):
    optim, train = tutorial().recipe.optim, tutorial().recipe.train

    steps = -(-50_000 // train.batch_size)
    schedule = schedules.build(optim, steps_per_epoch=steps, epochs=train.epochs)

    assert steps == 391
    rates = [optim.lr * schedule(epoch * steps) for epoch in (0, 14, 15, 199)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert schedule(15 * steps - 1) == 1  # the last step of the fifteenth


def test_the_tutorial_freezes_and_trains_as_many_numbers_as_the_original(tutorial):
    table = groups.table("torchvision:resnet50", tutorial().recipe, classes=10)

    assert (table.frozen, table.trainable) == (1_444_928, 22_083_594)
    assert {line.weight_decay for line in table.lines if line.lr is not None} == {0.0001}
    assert {line.stage for line in table.lines if line.lr is None} == {"stem", "layer1", "layer2"}


def test_the_batch_is_the_one_that_the_rate_was_written_for_on_any_number_of_devices(section, tutorial):
    assert [tutorial(devices=devices).document["train"]["batch_size"] for devices in (1, 2, 8)] == [128] * 3
    # said in the config itself, or beside it, it counts for each device
    assert section("train", child="data = dict(samples_per_gpu=128)\n") == {}
    assert section("train", child="data = dict(samples_per_gpu=16)\n") == {"batch_size": 16}
    assert section("train", "data.samples_per_gpu=128", devices=2) == {"batch_size": 256}
    assert section("train", file="resnet50_4xb16_cifar10.py") == {"batch_size": 64}
    assert section("train", file="resnet50_b16x4_cifar10.py") == {"batch_size": 64}
    assert section("train", "auto_scale_lr.base_batch_size=256", devices=2) == {"batch_size": 256}
    assert section("train", "optimizer_config.type=GradientCumulativeOptimizerHook",
                   "optimizer_config.cumulative_iters=4") == {"batch_size": 512}  # fmt: skip


def test_what_changes_the_batch_is_said(tutorial):
    imported = tutorial("data.samples_per_gpu=32", devices=2)

    assert (
        "data.samples_per_gpu=32 is said in --cfg-options, and so counts for each device: with --devices 2 "
        "the batch has 64 pictures. The rate has to suit that."
    ) in imported.notes


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["model.backbone.frozen_stages=0"], {"freeze": "stem"}),
        (["model.backbone.frozen_stages=-1"], {"freeze": 0}),
        (["model.backbone.frozen_stages=4"], {"freeze": 4}),
        (["model.backbone.norm_eval=True"], {"norm_eval": True}),
        (["model.backbone.depth=101"], {"ref": "torchvision:resnet101"}),
        (["model.backbone.type=ResNeXt"], {"ref": "torchvision:resnext50_32x4d"}),
        (["model.head.init_cfg.type=Xavier"], {"head_init": "xavier"}),
        (
            ["model.head.type=StackedLinearClsHead", "model.head.mid_channels=[64]"],
            {"head": {"name": "mlp", "hidden": 64}},
        ),
        (["model.backbone.init_cfg.prefix=None"], {}),
    ],
)
def test_keys_of_the_model_are_keys_of_the_recipe(section, options, changed):
    assert section("model", *options) == changed


def test_a_checkpoint_may_be_an_address_a_set_of_torchvision_or_a_whole_model(tutorial):
    def model(*options):
        found = tutorial(*options).document["model"]
        return {key: found.get(key) for key in ("ref", "weights", "weights_prefix", "architecture")}

    address = (
        "https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth"
    )
    nothing = dict.fromkeys(("ref", "weights", "weights_prefix", "architecture"))
    assert model(f"model.backbone.init_cfg.checkpoint={address}") == {
        "ref": address,
        "weights": None,
        "weights_prefix": "backbone",
        "architecture": "torchvision:resnet50",
    }
    assert model(
        "model.backbone.init_cfg.checkpoint=torchvision://resnet50", "model.backbone.init_cfg.prefix=None"
    ) == {
        **nothing,
        "ref": "torchvision:resnet50/IMAGENET1K_V1",
    }
    assert model("load_from=whole.pth") == {**nothing, "ref": "torchvision:resnet50", "weights": "whole.pth"}


def test_without_weights_the_net_learns_from_nothing_and_that_is_said_loudly(tutorial):
    imported = tutorial(text="model = dict(backbone=dict(frozen_stages=2), head=dict(num_classes=10))\n")

    assert imported.document["model"]["ref"] == "torchvision:resnet50"
    assert imported.document["train"]["strategy"] == "scratch"
    assert (
        "NOTHING PRETRAINED: neither init_cfg nor load_from names weights, so that the net learns from "
        "random ones, and its frozen stages stay random."
    ) in imported.notes


@pytest.mark.parametrize(
    ("backbone", "frozen"),
    [
        ("type='DenseNet', arch='121', frozen_stages=0", {}),
        (
            "type='DenseNet', arch='121', frozen_stages=2",
            {f"{word}{n}" for word in ("denseblock", "transition") for n in (1, 2)},
        ),
        ("type='DenseNet', arch='121', frozen_stages=4", {*(f"denseblock{n}" for n in (1, 2, 3, 4)),
                                                          *(f"transition{n}" for n in (1, 2, 3)), "norm5"}),
        ("type='MobileNetV2', frozen_stages=0", {"0"}),
        ("type='MobileNetV2', frozen_stages=3", {"0", "1", "2", "3", "4", "5", "6"}),
        ("type='MobileNetV2', frozen_stages=7", {str(number) for number in range(18)}),
    ],
)  # fmt: skip
def test_other_backbones_count_their_stages_otherwise(tutorial, backbone, frozen):
    imported = tutorial(
        text=f"model = dict(backbone=dict(_delete_=True, {backbone}), head=dict(num_classes=10))\n"
    )

    table = groups.table(imported.document["model"]["ref"], imported.recipe, classes=10)
    patterns = imported.document["model"]["freeze"] or ()
    assert {pattern.split(".")[1] for pattern in patterns} == set(frozen)
    assert (table.frozen > 0) == bool(frozen)


def test_a_vit_counts_blocks_above_its_embedding(tutorial):
    imported = tutorial(
        text="model = dict(backbone=dict(_delete_=True, type='VisionTransformer', arch='b', frozen_stages=3),"
        " neck=None, head=dict(_delete_=True, type='VisionTransformerClsHead', num_classes=10,"
        " loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='classy_vision')))\n"
    )

    table = groups.table("torchvision:vit_b_16", imported.recipe, classes=10)
    whole = [line.stage for line in table.lines if line.lr is None]
    assert whole == ["stem", *(f"encoder.layers.encoder_layer_{number}" for number in range(3))]
    assert imported.document["model"]["head_init"] == "zero"
    assert imported.document["train"]["label_smoothing"] == pytest.approx(0.1 / 1.1)


CIFAR = "dict(type='Normalize', **img_norm_cfg)"
FILES = """
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
data = dict(
    train=dict(type='CustomDataset', data_prefix='photos/train', pipeline=[{train}]),
    val=dict(type='CustomDataset', data_prefix='photos/val', pipeline=[{test}]),
    test=dict(type='CustomDataset', data_prefix='photos/val', pipeline=[{test}]))
"""
WHOLE = "dict(type='Resize', size=(256, -1)), dict(type='CenterCrop', crop_size=224)"


@pytest.mark.parametrize(
    ("train", "augment"),
    [
        (
            "dict(type='RandomResizedCrop', size=224)",
            [{"name": "random-resized-crop", "scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)}],
        ),
        (
            "dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.5, 1.0), interpolation='bicubic')",
            [
                {
                    "name": "random-resized-crop",
                    "scale": (0.5, 1.0),
                    "ratio": (3 / 4, 4 / 3),
                    "interpolation": "bicubic",
                }
            ],
        ),
        ("dict(type='Resize', size=224)", [{"name": "squash"}]),
        (
            "dict(type='Resize', size=(224, -1)), "
            "dict(type='RandomCrop', size=224, padding=8, pad_val=(1, 2, 3))",
            [{"name": "random-crop", "padding": 8, "fill": (3, 2, 1)}],
        ),
        (WHOLE, [{"name": "center-crop", "fraction": 0.875}]),
        (
            "dict(type='RandomFlip', flip_prob=0.3, direction='vertical'), dict(type='Resize', size=224), "
            "dict(type='ColorJitter', brightness=0.4, contrast=(0.8, 1.2)), dict(type='RandomGrayscale'), "
            "dict(type='RandAugment', policies=[], num_policies=2, total_level=10, magnitude_level=9), "
            "dict(type='AutoAugment', policies='imagenet'), "
            "dict(type='RandomErasing', erase_prob=0.25, fill_color=(103, 116, 123))",
            [
                {"name": "squash"},
                {"name": "flip", "p": 0.3, "direction": "vertical"},
                {
                    "name": "color-jitter",
                    "brightness": 0.4,
                    "contrast": pytest.approx(0.2),
                    "saturation": 0.0,
                    "hue": 0.0,
                },
                {"name": "gray", "p": 0.1},
                {"name": "randaugment", "num_ops": 2, "magnitude": 27.0, "std": 0.0},
                {"name": "auto-augment", "policy": "imagenet"},
                {
                    "name": "erase",
                    "p": 0.25,
                    "scale": [0.02, 0.4],
                    "ratio": [0.3, 10 / 3],
                    "value": (123, 116, 103),
                },
            ],
        ),
    ],
)
def test_steps_of_a_pipeline_are_augmentations_in_its_order(tutorial, train, augment):
    steps = f"dict(type='LoadImageFromFile'), {train}, {CIFAR}, dict(type='Collect', keys=['img'])"
    test = f"dict(type='LoadImageFromFile'), {WHOLE}, {CIFAR}"

    data = tutorial(text=FILES.format(train=steps, test=test)).document["data"]

    assert data["augment"] == augment
    assert (data["resize"], data["size"], data["crop"]) == ("crop", 224, 0.875)
    assert (data["mean"], data["std"]) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert int(data["size"] / data["crop"]) == 256


@pytest.mark.parametrize("short", [225, 232, 248, 255, 257, 292, 438, 512])
def test_the_short_side_comes_out_as_the_config_says(tutorial, short):
    test = f"dict(type='Resize', size=({short}, -1)), dict(type='CenterCrop', crop_size=224), {CIFAR}"

    data = tutorial(
        text=FILES.format(train=f"dict(type='RandomResizedCrop', size=224), {CIFAR}", test=test)
    ).document

    assert int(data["data"]["size"] / data["data"]["crop"]) == short


def test_pictures_at_their_own_size_are_neither_scaled_nor_cut(section):
    steps = [f"data.{split}.pipeline.{number}.size=32" for split, number in (("train", 2), ("test", 0))]

    assert section("data", *steps) == {
        "size": 32,
        "augment": [
            {"name": "random-crop", "padding": 4},
            {"name": "flip", "p": 0.5, "direction": "horizontal"},
        ],
    }


def test_a_smaller_square_of_a_square_picture_is_a_part_of_its_area(tutorial):
    imported = tutorial("data.train.pipeline.0.size=24", "data.train.pipeline.0.padding=None")

    assert imported.document["data"]["augment"][0] == {
        "name": "random-resized-crop",
        "scale": [0.5625, 0.5625],
        "ratio": [1.0, 1.0],
    }


def test_files_come_blue_first_in_the_original_and_red_first_here(tutorial):
    steps = f"dict(type='Resize', size=224), {CIFAR}"
    text = FILES.format(train=steps, test=steps)

    swapped = tutorial(text=text)
    blue = tutorial(text=text.replace("to_rgb=True", "to_rgb=False"))

    assert swapped.document["data"]["mean"] == (0.485, 0.456, 0.406)
    assert blue.document["data"]["mean"] == (0.406, 0.456, 0.485)
    assert (
        "data.test.pipeline.1.to_rgb: without it the original shows the net blue first. Regraft shows red "
        "first, with mean and std turned around; weights that were trained blue first do not suit that."
    ) in blue.notes


def test_arrays_of_cifar_stay_red_first_where_a_config_would_swap_them(tutorial):
    steps = (
        "dict(type='Resize', size=224), dict(type='Normalize', mean=[255, 0, 0], std=[1, 1, 1], to_rgb=True)"
    )

    imported = tutorial(text=f"data = dict(train=dict(pipeline=[{steps}]), test=dict(pipeline=[{steps}]))\n")

    assert imported.document["data"]["mean"] == (1, 0, 0)
    assert any(note.startswith("data.test.pipeline.1.to_rgb: the pictures") for note in imported.notes)


@pytest.mark.parametrize(
    ("lr_config", "changed"),
    [
        ("None", {"schedule": "constant"}),
        ("dict(policy='fixed')", {"schedule": "constant"}),
        (
            "dict(policy='step', step=30, gamma=0.5)",
            {"schedule": {"name": "step", "every": 30, "gamma": 0.5}},
        ),
        ("dict(policy='exp', gamma=0.98)", {"schedule": {"name": "step", "every": 1, "gamma": 0.98}}),
        ("dict(policy='CosineAnnealing', min_lr=1e-4)", {"schedule": {"name": "cosine", "end": 0.01}}),
        ("dict(policy='CosineAnnealing', min_lr_ratio=0.1)", {"schedule": {"name": "cosine", "end": 0.1}}),
        (
            "dict(policy='poly', power=2, min_lr=0, by_epoch=False)",
            {"schedule": {"name": "polynomial", "power": 2, "end": 0.0}, "per": "step"},
        ),
        (
            "dict(policy='step', step=[15], warmup='linear', warmup_iters=5, warmup_by_epoch=True,"
            " warmup_ratio=0.25)",
            {"warmup_epochs": 5, "warmup": "linear", "warmup_start": 0.25, "per": "step"},
        ),
        (
            "dict(policy='step', step=[15], warmup='exp', warmup_iters=782)",
            {"warmup_epochs": 2.0, "warmup": "exponential", "warmup_start": 0.1, "per": "step"},
        ),
        (
            "dict(policy='step', step=[3910, 7820], by_epoch=False)",
            {"schedule": {"name": "multistep", "milestones": [10, 20], "gamma": 0.1}, "per": "step"},
        ),
    ],
)
def test_policies_are_schedules(section, lr_config, changed):
    assert section("optim", text=f"lr_config = {lr_config}\n") == changed


@pytest.mark.parametrize(
    ("options", "name", "changed"),
    [
        (["optimizer.momentum=None"], "optim", {"optimizer": {"name": "sgd", "momentum": 0.0}}),
        (
            ["optimizer.type=AdamW", "optimizer.momentum=None", "optimizer.weight_decay=None"],
            "optim",
            {"optimizer": {"name": "adamw"}, "weight_decay": 0.01},
        ),
        (
            ["optimizer.paramwise_cfg.norm_decay_mult=0.", "optimizer.paramwise_cfg.bias_decay_mult=0."],
            "optim",
            {"decay_norm_and_bias": False},
        ),
        (["optimizer.paramwise_cfg.custom_keys.head.lr_mult=10"], "optim", {"head_lr_scale": 10}),
        (
            ["optimizer_config.grad_clip.max_norm=5"],
            "optim",
            {"clip": 5},
        ),
        (["runner.type=IterBasedRunner", "runner.max_iters=3910"], "train", {"epochs": 10}),
        (["seed=3"], "train", {"seed": 3}),
        (["checkpoint_config.max_keep_ckpts=5"], "train", {"keep": 5}),
        (["fp16.loss_scale=512."], "train", {"precision": "auto"}),
        (["evaluation.save_best=auto"], "eval", {"holdout": 0.1}),
        (
            ["model.train_cfg.augments.type=BatchMixup", "model.train_cfg.augments.alpha=0.8"],
            "train",
            {"mixup": 0.8},
        ),
        (["model.head.loss.use_sigmoid=True"], "train", {"loss": "bce"}),
    ],
)  # fmt: skip
def test_other_keys_of_a_training_are_keys_of_the_recipe(section, options, name, changed):
    assert section(name, *options) == changed


def test_custom_keys_are_groups_the_longest_first(tutorial):
    child = (
        "optimizer = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1), "
        "'backbone.layer4': dict(lr_mult=0.5, decay_mult=0)}))\n"
    )

    assert tutorial(child=child).document["optim"]["groups"] == [
        {"pattern": r"re:trunk\.layer4", "lr_scale": 0.5, "decay_scale": 0},
        {"pattern": "re:trunk", "lr_scale": 0.1, "decay_scale": 1.0},
    ]


def test_a_repeated_dataset_is_a_longer_epoch(tutorial):
    child = (
        "data = dict(train=dict(_delete_=True, type='RepeatDataset', times=3, dataset=dict(type='CIFAR10', "
        "data_prefix='data/cifar10', pipeline=_base_.train_pipeline)))\n"
    )

    document = tutorial(child=child).document

    assert document["train"]["epochs"] == 600
    assert document["optim"]["schedule"]["milestones"] == [45]


def test_hooks_that_regraft_has_are_keys_and_others_are_ignored_by_name(tutorial):
    imported = tutorial(
        text="custom_hooks = [dict(type='EMAHook', momentum=0.001), "
        "dict(type='EarlyStoppingHook', patience=4), dict(type='PreciseBNHook')]\n"
    )

    train = imported.document["train"]
    assert (train["ema"], train["patience"], train["min_delta"]) == (0.999, 4, 0.1)
    assert "custom_hooks.2: there is no PreciseBNHook, and no code of a config is run" in map(
        str, imported.ignored
    )


def test_keys_that_nobody_knows_are_ignored_with_their_nearest(tutorial):
    imported = tutorial(
        child="optimzer = dict(lr=3)\nmodel = dict(backbone=dict(frozen_stage=2))\nhelper = 1\nx = helper\n"
    )

    said = {one.key: one.reason for one in imported.ignored}
    assert said["optimzer"] == "nothing is called so here. Did you mean 'optimizer'?"
    assert said["model.backbone.frozen_stage"] == "nothing is called so here. Did you mean 'frozen_stages'?"
    assert said["x"] == "nothing is called so here."
    assert "helper" not in said


def test_a_pipeline_that_is_changed_after_it_was_copied_is_warned_about(tutorial, tmp_path):
    tutorial()
    (tmp_path / "child.py").write_text(
        "_base_ = 'config.py'\n"
        "train_pipeline = [dict(type='Resize', size=64), dict(type='ToTensor', keys=['img'])]\n"
    )

    train, test = (
        TUTORIAL[: TUTORIAL.index(f"{split}=dict(")].count("\n") + 1 for split in ("train", "test")
    )
    in_a_child = main.read("child.py")
    beside = tutorial("test_pipeline.0.size=64")

    assert in_a_child.document == tutorial().document == beside.document
    assert (
        "'train_pipeline' in child.py, line 2 changes nothing: 'data.train.pipeline' is a copy of what it "
        f"was in config.py, line {train}. Write data=dict(train=dict(pipeline=train_pipeline)) below it."
    ) in in_a_child.notes
    assert (
        "--cfg-options test_pipeline.0.size=64 changes nothing: 'data.test.pipeline' is a copy of what "
        f"'test_pipeline' was in config.py, line {test}. Change data.test.pipeline."
    ) in beside.notes


def test_the_resolved_config_stands_alone_and_comes_to_the_same(tutorial, tmp_path):
    imported = tutorial("optimizer.lr=0.02")

    (tmp_path / "resolved.py").write_text(main.tables.dump(imported.config))

    assert main.read("resolved.py").document == imported.document


MODERN = """
_base_ = ['../_base_/models/resnet50.py', '../_base_/default_runtime.py']
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='x.pth', prefix='backbone')),
             head=dict(num_classes=10))
data_preprocessor = dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255], to_rgb=False)
train_pipeline = [dict(type='RandomCrop', crop_size=32, padding=4),
                  dict(type='RandomFlip', prob=0.5, direction='horizontal'),
                  dict(type='Resize', scale=224), dict(type='PackInputs')]
test_pipeline = [dict(type='Resize', scale=224), dict(type='PackInputs')]
train_dataloader = dict(batch_size=16, num_workers=4, dataset=dict(
    type='CIFAR10', data_root='data/cifar10', split='train', pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(
    type='CIFAR10', data_root='data/cifar10', split='test', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
optim_wrapper = dict(type='AmpOptimWrapper', clip_grad=dict(max_norm=2.0),
                     optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001))
param_scheduler = [dict(type='LinearLR', start_factor=0.25, by_epoch=False, begin=0, end=782),
                   dict(type='MultiStepLR', by_epoch=True, milestones=[15], gamma=0.1)]
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_scope = 'mmpretrain'
default_hooks = dict(logger=dict(type='LoggerHook', interval=100),
                     checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3))
randomness = dict(seed=7, deterministic=False)
auto_scale_lr = dict(base_batch_size=128)
"""


def test_keys_of_the_later_toolkit_come_to_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "modern.py").write_text(MODERN)

    document = main.read("modern.py").document

    changed = {
        name: {key: value for key, value in section.items() if DOCUMENT[name].get(key) != value}
        for name, section in document.items()
    }
    assert changed == {
        "model": {"weights": "x.pth", "freeze": 0},
        "data": {"workers": 4},
        "optim": {
            "warmup_epochs": 2.0,
            "warmup": "linear",
            "warmup_start": 0.25,
            "per": "step",
            "clip": 2.0,
        },
        "train": {"strategy": "full", "seed": 7, "precision": "auto", "keep": 3},
        "eval": {},
    }
