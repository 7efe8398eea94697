"""What is suggested: facts in, a recipe without open questions out."""

import pytest

from regraft import suggest
from regraft.recipe import check
from regraft.records import InputSpec

INPUT = InputSpec(
    size=224, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic", resize="squash"
)
STRATEGIES = ("probe", "full", "partial", "lp-ft", "gradual", "adapters", "scratch")


def resolve(document=None, **facts):
    given = {
        "training": "bfloat16",
        "inference": "float32+channels_last",
        "smallest_class": 50,
        "input": INPUT,
    }
    return suggest.resolve(check(document or {}), **given | facts)


def test_a_recipe_that_is_resolved_stays_what_it_is():
    once = resolve({"train": {"strategy": "full"}})

    again = suggest.resolve(once, training=None, inference=None, smallest_class=50, input=INPUT)

    assert again == once


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_is_left_open(strategy):
    recipe = resolve({"train": {"strategy": strategy}})

    open_still = {
        f"{section}.{key}"
        for section, values in recipe.model_dump().items()
        for key, value in values.items()
        if value in ("auto", "exact")
    }
    # these two follow from a measured batch, in the run itself
    assert open_still == {"train.compile", "train.boundary"}
    assert recipe.data.size == 224
    assert recipe.data.cache_side == 256
    assert recipe.data.resize == "squash"


def test_what_a_person_says_stays_as_it_was_said():
    said = {
        "model": {"norm_eval": False},
        "data": {
            "size": 96,
            "cache_side": 100,
            "resize": "pad",
            "crop": 0.9,
            "interpolation": "bilinear",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.2, 0.2, 0.2],
            "augment": ["flip"],
        },
        "optim": {"lr": 0.5, "head_lr_scale": 2, "optimizer": "sgd"},
        "train": {"strategy": "full", "precision": "bfloat16"},
        "eval": {"precision": "float32", "folds": 4},
    }

    recipe = resolve(said, training=None, inference=None)

    assert recipe == check(said)


@pytest.mark.parametrize(
    ("strategy", "training", "used"),
    [("probe", "bfloat16", "bfloat16"), ("full", "bfloat16", "float32+channels_last")],
)
def test_a_probe_is_used_in_the_precision_that_it_was_fitted_in_and_a_tuned_net_in_one_of_its_own(
    strategy, training, used
):
    recipe = resolve({"train": {"strategy": strategy}})

    assert (recipe.train.precision, recipe.eval.precision) == (training, used)


def test_exact_is_plain_float32():
    recipe = resolve(
        {"train": {"strategy": "full", "precision": "exact"}, "eval": {"precision": "exact"}},
        training=None,
        inference=None,
    )

    assert (recipe.train.precision, recipe.eval.precision) == ("float32", "float32")


@pytest.mark.parametrize(
    ("strategy", "norm_eval"),
    [("full", True), ("partial", True), ("lp-ft", True), ("adapters", True), ("scratch", False)],
)
def test_batch_norms_of_what_is_pretrained_keep_their_statistics(strategy, norm_eval):
    assert resolve({"train": {"strategy": strategy}}).model.norm_eval is norm_eval


def test_a_probe_augments_nothing_and_all_else_crops_and_flips():
    augment = {name: resolve({"train": {"strategy": name}}).data.augment for name in STRATEGIES}

    assert augment.pop("probe") == ()
    assert list(augment.values()) == [suggest.AUGMENT] * 6


@pytest.mark.parametrize(("smallest", "asked", "folds"), [(50, 5, 5), (3, 5, 3), (1, 5, 2), (50, 2, 2)])
def test_there_are_no_more_folds_than_pictures_of_the_rarest_class_and_two_at_least(smallest, asked, folds):
    recipe = resolve({"eval": {"folds": asked}}, smallest_class=smallest)

    assert recipe.eval.folds == folds


@pytest.mark.parametrize(
    ("optimizer", "times"),
    [
        ("adamw", 1),
        ({"name": "sgd", "momentum": 0.8}, 50),
        ("SGD", 50),
        ("lion", 0.2),
        ("lamb", 10),
        ("adagrad", 5),
        ("timm.adopt", 1),
    ],
    ids=str,
)
def test_the_rate_suits_the_optimiser(optimizer, times):
    recipe = resolve({"train": {"strategy": "full"}, "optim": {"optimizer": optimizer}})
    plain = resolve({"train": {"strategy": "full"}})

    assert recipe.optim.lr == pytest.approx(times * plain.optim.lr)
    assert recipe.optim.head_lr_scale == plain.optim.head_lr_scale == 10


def test_a_head_that_was_fitted_learns_no_faster_than_the_rest():
    assert resolve({"train": {"strategy": "lp-ft"}}).optim.head_lr_scale == 1


def test_pictures_are_prepared_as_the_weights_want_it_where_the_recipe_does_not_say():
    data = check({"data": {"crop": 1.0, "mean": [0.1, 0.2, 0.3]}}).data

    assert suggest.seen(data, INPUT) == INPUT.model_copy(update={"crop": 1.0, "mean": (0.1, 0.2, 0.3)})
    assert resolve({"data": {"crop": 1.0}}).data.cache_side == 224
