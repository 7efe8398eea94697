"""What is suggested: facts in, a recipe without open questions out."""

from dataclasses import replace

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


FACTS = suggest.Facts(
    pictures=1000,
    classes=4,
    smallest=240,
    largest=260,
    validation=100,
    short_side=480,
    proportions=1.33,
    size=224,
    parameters=4_000_000,
    accelerated=False,
    cores=4,
)


def advise(*, budget=0.0, **facts):
    """Return what is suggested where some facts are others."""
    return {one.key: one.value for one in suggest.advise(replace(FACTS, **facts), budget=budget)}


@pytest.mark.parametrize(
    ("facts", "strategy"),
    [
        ({}, "lp-ft"),
        ({"smallest": 4}, "auto"),
        ({"smallest": 4, "accelerated": True}, "auto"),
        ({"pictures": 3001}, "auto"),
        ({"pictures": 3001, "accelerated": True}, "lp-ft"),
        ({"pictures": 5000, "accelerated": True}, "full"),
        ({"pictures": 5000, "classes": 100, "accelerated": True}, "lp-ft"),
        ({"parameters": 86_000_000}, "partial"),
        ({"parameters": 86_000_000, "accelerated": True}, "lp-ft"),
        ({"budget": 599.0}, "auto"),
        ({"budget": 600.0}, "lp-ft"),
        ({"budget": 60.0, "accelerated": True}, "lp-ft"),
    ],
    ids=str,
)
def test_what_learns_follows_from_pictures_and_machine(facts, strategy):
    assert advise(**facts)["train.strategy"] == strategy


@pytest.mark.parametrize(
    ("facts", "batch", "epochs"),
    [
        ({}, 32, 10),
        ({"pictures": 3000}, 32, 10),
        ({"pictures": 100}, 16, 10),
        ({"accelerated": True}, 32, 30),
        ({"pictures": 4000, "accelerated": True}, 32, 8),
        ({"pictures": 100_000, "accelerated": True}, 64, 5),
    ],
    ids=str,
)
def test_a_training_has_as_many_steps_as_a_pretrained_net_needs(facts, batch, epochs):
    advice = advise(**facts)

    assert (advice["train.batch_size"], advice["train.epochs"]) == (batch, epochs)


@pytest.mark.parametrize(
    ("smallest", "largest", "balance"), [(10, 29, None), (10, 30, "weights"), (10, 200, "sampler")]
)
def test_classes_of_different_size_are_balanced(smallest, largest, balance):
    assert advise(smallest=smallest, largest=largest).get("train.balance") == balance


def test_small_pictures_are_moved_and_long_ones_are_seen_whole():
    small, long = advise(short_side=32), advise(proportions=2.0, smallest=3)

    assert small["data.augment"] == [{"name": "random-crop", "padding": 28}, "flip"]
    assert long == {"train.strategy": "auto", "data.resize": "squash"}
    assert not {"data.augment", "data.resize"} & advise().keys()


def test_a_budget_becomes_a_limit_and_few_pictures_a_larger_part_to_choose_by():
    assert advise(budget=900.0)["train.time_limit"] == 900
    assert advise(budget=60.0) == {"train.strategy": "auto", "train.budget": 60}
    assert advise(pictures=199, validation=0)["eval.holdout"] == 0.2
    assert advise(pictures=199, validation=20).get("eval.holdout") is None


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (4, None), (8, 4), (64, 8)])
def test_threads_that_make_batches_follow_from_the_cores(cores, workers):
    assert advise(cores=cores).get("data.workers") == workers


@pytest.mark.parametrize("accelerated", [True, False])
@pytest.mark.parametrize("pictures", [1, 60, 2_000, 50_000])
@pytest.mark.parametrize("smallest", [0, 1, 5, 300])
def test_whatever_is_suggested_is_a_recipe_and_each_value_has_a_reason(pictures, smallest, accelerated):
    facts = replace(
        FACTS, pictures=pictures, smallest=smallest, accelerated=accelerated, short_side=32, proportions=2.5
    )

    advice = suggest.advise(facts, budget=7200)

    document = {}
    for one in advice:
        section, key = one.key.split(".")
        document.setdefault(section, {})[key] = one.value
    assert check(document).train.strategy == document["train"]["strategy"]
    assert len({one.key for one in advice}) == len(advice)
    assert all(one.why.endswith(".") and one.why[0].isupper() | one.why[0].isdigit() for one in advice)


def test_the_reasons_are_about_these_pictures_and_this_machine():
    facts = replace(FACTS, smallest=1, proportions=2.0)

    assert [one.why for one in suggest.advise(facts)] == [
        "The smallest class has 1 train picture: a net that is tuned would learn them by heart.",
        "Half of the pictures are 2.0 times as long as wide, or more; the middle alone would leave out 50% "
        "of them.",
    ]
