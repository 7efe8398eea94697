"""Schedules: against torch's, OpenMMLab's and MindSpore's, and by hand."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from regraft.engine.schedules import SCHEDULES, build, table
from regraft.errors import InvalidRecipe
from regraft.recipe import OptimSection

EPOCHS, PER_EPOCH = 12, 5


def factors(schedule, *, steps=EPOCHS * PER_EPOCH, epochs=EPOCHS, per_epoch=PER_EPOCH, **optim):
    optim = {"warmup_epochs": 0, **optim}
    made = build(OptimSection(schedule=schedule, **optim), steps_per_epoch=per_epoch, epochs=epochs)
    return [made(step) for step in range(steps)]


def of_torch(make, *, steps=EPOCHS * PER_EPOCH, per=1, lr=1.0):
    """Return the rate at every step of a scheduler of torch's, which is asked to go on every `per` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for step in range(1, steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % per == 0:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("entry", "make"),
    [
        ("constant", lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        ({"name": "step", "every": 4, "gamma": 0.5}, lambda o: lr_scheduler.StepLR(o, 4, 0.5)),
        (
            {"name": "multistep", "milestones": [3, 9], "gamma": 0.2},
            lambda o: lr_scheduler.MultiStepLR(o, [3, 9], 0.2),
        ),
        ({"name": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS)),
        ({"name": "cosine", "end": 0.01}, lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, 0.01)),
        ({"name": "exponential", "gamma": 0.8}, lambda o: lr_scheduler.ExponentialLR(o, 0.8)),
        ({"name": "polynomial", "power": 2}, lambda o: lr_scheduler.PolynomialLR(o, EPOCHS, 2)),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else "",
)
def test_from_epoch_to_epoch_the_factors_are_torchs(entry, make):
    expected = of_torch(make, per=PER_EPOCH)

    assert factors(entry, per="epoch") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("entry", "make"),
    [
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * PER_EPOCH)),
        ("polynomial", lambda o: lr_scheduler.PolynomialLR(o, EPOCHS * PER_EPOCH, 1.0)),
        (
            {"name": "exponential", "gamma": 0.8},
            lambda o: lr_scheduler.ExponentialLR(o, 0.8 ** (1 / PER_EPOCH)),
        ),
        ("one-cycle", lambda o: lr_scheduler.OneCycleLR(o, 1.0, EPOCHS * PER_EPOCH, cycle_momentum=False)),
        (
            {"name": "one-cycle", "start": 0.1, "end": 0.001, "share": 0.45},
            lambda o: lr_scheduler.OneCycleLR(
                o,
                1.0,
                EPOCHS * PER_EPOCH,
                pct_start=0.45,
                div_factor=10,
                final_div_factor=100,
                cycle_momentum=False,
            ),
        ),
    ],
    ids=["cosine", "polynomial", "exponential", "one-cycle", "one-cycle with options"],
)
def test_from_step_to_step_the_factors_are_torchs(entry, make):
    expected = of_torch(make, steps=EPOCHS * PER_EPOCH - 1)

    assert factors(entry)[:-1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "torchs"),
    [
        ({}, {"factor": 0.1, "patience": 3}),
        (
            {"factor": 0.5, "patience": 0, "min_delta": 0.05},
            {"factor": 0.5, "patience": 0, "threshold": 0.05},
        ),
        ({"patience": 1, "cooldown": 2}, {"factor": 0.1, "patience": 1, "cooldown": 2}),
    ],
    ids=str,
)
def test_plateau_drops_when_torch_does(options, torchs):
    losses = [1.0, 0.8, 0.79, 0.85, 0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, float("nan"), 0.6, 0.6, 0.6]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, **{"threshold": 0.0, "threshold_mode": "abs", **torchs}
    )
    plateau = build(
        OptimSection(schedule={"name": "plateau", **options}, warmup_epochs=0),
        steps_per_epoch=3,
        epochs=len(losses) + 1,
    )

    expected, seen = [1.0], []
    for loss in losses:
        scheduler.step(loss)
        expected.append(optimizer.param_groups[0]["lr"])
    for epoch in range(len(losses) + 1):
        seen.append(plateau(3 * epoch, losses[:epoch]))

    assert seen == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) > 1


def test_a_step_does_not_hear_of_losses_that_came_after_it():
    losses = [1.0] * 12
    plateau = build(
        OptimSection(schedule={"name": "plateau", "patience": 2}, warmup_epochs=0),
        steps_per_epoch=3,
        epochs=12,
    )

    late = [plateau(step, losses) for step in range(36)]

    assert late == [plateau(step, losses[: step // 3]) for step in range(36)]
    assert late[0] == 1.0


def test_openmmlabs_step_falls_with_the_sixteenth_epoch():
    rates = [
        0.01 * factor for factor in factors({"name": "multistep", "milestones": [15]}, epochs=200, steps=90)
    ]

    assert rates == pytest.approx([0.01] * 75 + [0.001] * 15)


def mindspore(**options):
    optim = OptimSection(
        lr=0.05, warmup_epochs=5, schedule={"name": "mindspore", "lr_init": 0, "lr_end": 0.001, **options}
    )
    schedule = build(optim, steps_per_epoch=390, epochs=60)
    return lambda epoch: 0.05 * schedule(round(epoch * 390))


def test_mindspores_get_lr_has_the_values_of_its_notebook():
    rate = mindspore()

    assert rate(0) == 0.0
    assert [rate(epoch) for epoch in (1, 5, 6, 32.5, 59)] == pytest.approx(
        [0.01, 0.05, 0.04996, 0.0255, 0.00104], abs=5e-7
    )
    assert 0.001 < rate(60 - 1 / 390) < 0.001 + 1e-7


def test_mindspores_get_lr_equals_its_formula_at_every_step():
    rate = mindspore(lr_init=0.02)
    warm, total = 5 * 390, 60 * 390

    def formula(i):
        if i < warm:
            return 0.02 + (0.05 - 0.02) * i / warm
        return 0.001 + (0.05 - 0.001) * (1 + math.cos(math.pi * (i - warm) / (total - warm))) / 2

    assert [rate(i / 390) for i in range(total)] == pytest.approx(
        [formula(i) for i in range(total)], abs=1e-15
    )


def test_mindspores_get_lr_needs_a_rate():
    with pytest.raises(InvalidRecipe) as caught:
        factors("mindspore")

    assert caught.value.where == "optim.lr"


def test_a_linear_warm_up_is_torchs():
    optim = {"warmup_epochs": 1.6, "warmup_start": 0.25}

    warmed = factors("constant", **optim)

    assert warmed == pytest.approx(of_torch(lambda o: lr_scheduler.LinearLR(o, 0.25, total_iters=8)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", [0.1, 0.325, 0.55, 0.775, 1.0, 1.0]),
        ("constant", [0.1, 0.1, 0.1, 0.1, 1.0, 1.0]),
        ("exponential", [0.1, 0.1**0.75, 0.1**0.5, 0.1**0.25, 1.0, 1.0]),
    ],
)
def test_a_warm_up_rises_as_openmmlabs_does(kind, expected):
    assert factors("constant", warmup=kind, warmup_epochs=0.8, steps=6) == pytest.approx(expected)


@pytest.mark.parametrize("entry", ["cosine", "polynomial", "exponential"])
def test_a_falling_schedule_begins_at_the_end_of_the_warm_up(entry):
    warmed = factors(entry, warmup_epochs=2)

    alone = factors(entry, epochs=EPOCHS - 2, steps=(EPOCHS - 2) * PER_EPOCH)

    assert warmed[10:] == pytest.approx(alone)
    assert warmed[:10] == pytest.approx([0.1 + 0.9 * step / 10 for step in range(10)])


def test_steps_are_counted_from_the_beginning_whatever_the_warm_up():
    entry = {"name": "step", "every": 2}

    warmed = factors(entry, warmup_epochs=3)

    assert warmed[15:] == factors(entry)[15:]
    assert warmed[10:15] == pytest.approx([0.1 * (0.1 + 0.9 * step / 15) for step in range(10, 15)])


def test_one_cycle_is_its_own_warm_up():
    assert factors("one-cycle", warmup_epochs=5, warmup_start=0.7) == factors("one-cycle")


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_by_epoch_every_factor_is_that_of_the_epochs_first_step(name):
    needed = {"step": {"every": 3}, "multistep": {"milestones": [2.5, 7]}}
    entry = {"name": name, **needed.get(name, {})}
    optim = {"warmup_epochs": 2.5, "lr": 0.1}

    by_step, by_epoch = factors(entry, **optim), factors(entry, per="epoch", **optim)

    assert by_epoch == [by_step[step - step % PER_EPOCH] for step in range(EPOCHS * PER_EPOCH)]


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("warmup_epochs", [0, 0.3, 1, 5])
def test_the_shortest_training_has_factors_between_nought_and_one(name, warmup_epochs):
    needed = {"step": {"every": 1}, "multistep": {"milestones": [0]}}
    entry = {"name": name, **needed.get(name, {})}

    seen = [
        factor
        for per_epoch in (1, 2)
        for factor in factors(
            entry, epochs=1, per_epoch=per_epoch, steps=5, warmup_epochs=warmup_epochs, lr=0.1
        )
    ]

    assert all(0 <= factor <= 1 for factor in seen)


@pytest.mark.parametrize(
    ("optim", "where", "message"),
    [
        ({"schedule": "cosin"}, "optim.schedule", "There is no schedule 'cosin'."),
        (
            {"schedule": {"name": "cosine", "edn": 0}},
            "optim.schedule.edn",
            "The schedule 'cosine' has no option 'edn'.",
        ),
        ({"schedule": "step"}, "optim.schedule", "The schedule 'step' needs 'every'."),
        (
            {"schedule": {"name": "step", "every": 0}},
            "optim.schedule.every",
            "'optim.schedule.every' cannot be 0.",
        ),
        (
            {"schedule": {"name": "multistep", "milestones": 3}},
            "optim.schedule.milestones",
            "'optim.schedule.milestones' cannot be 3.",
        ),
        (
            {"schedule": {"name": "one-cycle", "share": 1}},
            "optim.schedule.share",
            "'optim.schedule.share' cannot be 1.",
        ),
        (
            {"warmup": "exponential", "warmup_start": 0},
            "optim.warmup_start",
            "A warm-up that is exponential cannot begin at 0: nothing would learn until its end.",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(optim, where, message):
    with pytest.raises(InvalidRecipe) as caught:
        build(OptimSection(**optim), steps_per_epoch=10, epochs=2)

    assert (caught.value.where, str(caught.value)) == (where, message)
    assert caught.value.hint


def test_a_table_has_every_epochs_first_step_and_the_last_step_of_all():
    schedule = build(OptimSection(schedule="polynomial", warmup_epochs=0), steps_per_epoch=10, epochs=2)

    rows = table(schedule, lr=0.5, head_lr_scale=10)

    assert [(row.step, row.epoch) for row in rows] == [(0, 1), (10, 2), (19, 2)]
    assert [row.factor for row in rows] == pytest.approx([1, 0.5, 0.05])
    assert [row.lr for row in rows] == pytest.approx([0.5, 0.25, 0.025])
    assert [row.head_lr for row in rows] == pytest.approx([5, 2.5, 0.25])


def test_a_table_of_so_many_steps_goes_from_the_first_to_the_last():
    schedule = build(OptimSection(), steps_per_epoch=10, epochs=2)

    few, many = ([row.step for row in table(schedule, lr=1, head_lr_scale=1, most=most)] for most in (3, 100))

    assert few == [0, 10, 19]
    assert many == list(range(20))
