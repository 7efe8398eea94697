"""What a run would do, worked out from its recipe: batches, rates, doubts."""

import pytest

from regraft import suggest
from regraft.errors import InvalidRecipe, StorageError
from regraft.hub import nets
from regraft.jobs import costs, rehearsal, remarks
from regraft.jobs.rehearsal import Batching, Choosing, Data, Rates
from regraft.recipe import read
from regraft.records import InputSpec

SPEC = InputSpec(size=32, crop=1, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear")


def resolved(*settings):
    plan = read(None, ["train.strategy=full", *settings])
    return suggest.resolve(plan, training="float32", inference="float32", smallest_class=9, input=SPEC)


def words(found):
    return [(one.where, one.words) for one in found]


def test_the_last_batch_of_an_epoch_is_what_is_left():
    assert rehearsal.batching(
        resolved("train.batch_size=16", "train.epochs=3"), pictures=33, devices=2
    ) == Batching(batch_size=16, shares=(8, 8), pictures=33, steps=3, last=1, epochs=3, mean_lr=None)


def test_a_batch_larger_than_the_train_split_is_one_step_of_all_pictures():
    found = rehearsal.batching(resolved("train.batch_size=128"), pictures=45, devices=1)

    assert (found.steps, found.last, found.shares) == (1, 45, (45,))
    assert words(remarks.of_batches(found, resolved(), nets.outline("test_vit"))) == [
        (
            "train.batch_size",
            "A batch of 128 is larger than the 45 train pictures: an epoch is one step.",
        )
    ]


def test_a_sum_tells_the_rate_of_the_mean():
    recipe = resolved("train.reduction=sum", "train.batch_size=128", "optim.optimizer=sgd", "optim.lr=5e-5")

    assert rehearsal.batching(recipe, pictures=None, devices=1).mean_lr == pytest.approx(0.0064)


def test_rates_are_told_at_the_first_step_at_the_peak_and_at_the_last():
    recipe = resolved("optim.lr=0.1", "optim.head_lr_scale=10", "optim.warmup_epochs=2", "train.epochs=10")

    found = rehearsal.rates(recipe, 50)

    assert (found.first, found.peak, found.peak_epoch) == (pytest.approx(0.01), 0.1, 3)
    assert 0 < found.last < 1e-4
    assert (found.head_first, found.head_peak) == (pytest.approx(0.1), 1.0)


def test_devices_that_cannot_share_the_last_batch_are_refused():
    recipe = resolved("train.sync_batchnorm=true", "train.batch_size=16")

    rehearsal.check_shared(recipe, 36, 4)
    with pytest.raises(InvalidRecipe, match="The last batch of 1 is too small for 4 devices"):
        rehearsal.check_shared(recipe, 33, 4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], []),
        (
            ["optim.lr=0.002"],
            [("optim.lr", "The rate 0.002 is 10 times the 0.0002 that 'full' wants with this optimizer.")],
        ),
        (
            ["optim.lr=0.00001"],
            [("optim.lr", "The rate 1e-05 is 1/20 of the 0.0002 that 'full' wants with this optimizer.")],
        ),
        (
            ["optim.optimizer=sgd", "optim.lr=0.002"],
            [],
        ),
        (
            ["train.epochs=2", "optim.warmup_epochs=3"],
            [
                (
                    "optim.warmup_epochs",
                    "The warm-up of 3 epochs is as long as the run or longer: the rate comes to 0.0001394.",
                )
            ],
        ),
        (
            ['optim.schedule={name="multistep", milestones=[5, 15, 20]}'],
            [
                (
                    "optim.schedule.milestones",
                    "The run ends after 10 epochs, before 15, 20: the rate does not fall there.",
                )
            ],
        ),
        (
            ['optim.schedule={name="step", every=15}'],
            [
                (
                    "optim.schedule.every",
                    "The run ends after 10 epochs, and the rate would fall after 15.",
                )
            ],
        ),
    ],
)
def test_rates_that_are_far_off_and_what_never_comes_are_doubted(settings, said):
    recipe = resolved(*settings)

    found = list(remarks.of_rates(rehearsal.rates(recipe, 100), recipe))

    assert words(found) == said


def test_batch_norm_layers_that_see_few_pictures_are_doubted():
    recipe = resolved("model.norm_eval=false", "train.batch_size=2")
    found = rehearsal.batching(recipe, pictures=33, devices=1)

    of_batch_norm = words(remarks.of_batches(found, recipe, nets.outline("test_resnet")))

    assert of_batch_norm == [
        (
            "model.norm_eval",
            "Batch-norm layers take the statistics of 2 pictures at a time, which say little; "
            "model.norm_eval=true keeps those that the weights came with.",
        )
    ]
    assert words(remarks.of_batches(found, recipe, nets.outline("test_vit"))) == []
    assert words(remarks.of_batches(found, resolved("train.batch_size=2"), nets.outline("test_resnet"))) == []


def test_a_last_batch_of_one_picture_is_doubted_with_a_size_that_leaves_more():
    recipe = resolved("model.norm_eval=false", "train.batch_size=16")
    found = rehearsal.batching(recipe, pictures=33, devices=1)

    assert words(remarks.of_batches(found, recipe, nets.outline("test_resnet"))) == [
        (
            "train.batch_size",
            "The last batch of an epoch has 1 picture, of which batch-norm layers take the statistics; "
            "train.batch_size=17 leaves more.",
        )
    ]


@pytest.mark.parametrize(
    ("by", "pictures", "settings", "schedule", "said"),
    [
        ("val", 20, [], "cosine", []),
        (
            "val",
            20,
            ["train.epochs=3"],
            "cosine",
            [("train.patience", "A patience of 5 never ends a run of 3 epochs early.")],
        ),
        ("last", 0, [], "cosine", []),
        (
            "last",
            0,
            ["train.patience=2"],
            "plateau",
            [
                (
                    key,
                    "It waits for validation losses, and there are no pictures for them; eval.holdout=0.1 "
                    "holds some of train out.",
                )
                for key in ("train.patience", "optim.schedule")
            ],
        ),
    ],
)
def test_an_end_that_never_comes_early_is_doubted(by, pictures, settings, schedule, said):
    recipe = resolved(*settings)
    found = Choosing(by=by, pictures=pictures, patience=recipe.train.patience)

    assert words(remarks.of_choosing(found, recipe, schedule)) == said


def test_classes_of_different_size_and_trivial_numbers_are_doubted():
    data = Data(
        dataset="photos",
        stored=False,
        labels=("cat", "dog"),
        splits={"train": {"cat": 40, "dog": 8}},
        smallest="dog",
        smallest_count=8,
        measured="test",
        size=0,
    )

    assert words(remarks.of_data(data, resolved())) == [
        ("", "Of 2 classes there is no top-3 and no top-5 accuracy: it would always be 100 %."),
        (
            "train.balance",
            "The largest class has 5 times as many train pictures as 'dog'; train.balance=auto gives rare "
            "ones more weight.",
        ),
    ]
    assert len(list(remarks.of_data(data, resolved("train.balance=auto")))) == 1


def test_a_probe_says_what_it_does_not_look_at():
    plan = read(None, ["optim.lr=0.1", "train.epochs=3", "optim.tolerance=1e-5"])

    assert words(remarks.of_probe(plan)) == [
        (
            "optim.lr",
            "A probe fits the head alone, without steps, and does not look at optim.lr, train.epochs. "
            "Another train.strategy does.",
        )
    ]
    assert words(remarks.of_probe(read(None))) == []


def test_a_disk_that_would_be_full_is_refused_unless_caches_alone_are_too_large():
    room = costs.Room(
        dataset=0, cache=9_000_000_000, boundary=0, checkpoints=1_500_000_000, model=0, free=2_000_000_000
    )

    costs.check_room(room)
    with pytest.raises(StorageError) as caught:
        costs.check_room(
            costs.Room(dataset=0, cache=0, boundary=0, checkpoints=2**31, model=2**30, free=2**30)
        )

    assert str(caught.value) == "The run needs about 3.2 GB of disk, and 1.1 GB are free."


def test_a_schedule_that_a_plateau_makes_falls_with_losses_alone():
    recipe = resolved("optim.schedule=plateau", "optim.warmup_epochs=0")

    assert rehearsal.rates(recipe, 10) == Rates(
        schedule="plateau",
        warmup_epochs=0.0,
        first=0.0002,
        peak=0.0002,
        peak_epoch=1,
        last=0.0002,
        head_first=0.002,
        head_peak=0.002,
        head_last=0.002,
    )
