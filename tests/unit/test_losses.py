"""Losses against torch's and by hand, class weights, mixed targets, and the pull back to the start."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from regraft.engine.losses import (
    build,
    class_weights,
    mean_equivalent,
    mixed_targets,
    pull,
    resolve_balance,
)
from regraft.errors import InvalidRecipe

WEIGHTS = [0.5, 1.0, 3.0, 0.25]


@pytest.fixture
def logits():
    return 3 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 2, 3, 2, 0])


def losses(entry, logits, targets, *, smoothing=0.0, weights=None):
    loss = build(entry, classes=logits.shape[1], label_smoothing=smoothing, class_weights=weights)
    return loss(logits, targets)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighed"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_each_picture_is_torchs(logits, targets, smoothing, weights):
    found = losses("cross-entropy", logits, targets, smoothing=smoothing, weights=weights)

    expected = functional.cross_entropy(
        logits,
        targets,
        weight=None if weights is None else torch.tensor(weights),
        label_smoothing=smoothing,
        reduction="none",
    )
    assert found.shape == (6,)
    assert torch.allclose(found, expected, atol=1e-6)


def test_shares_are_targets_too(logits):
    shares = torch.softmax(logits.flip(0), dim=1)

    found = losses("cross-entropy", logits, shares, weights=WEIGHTS)

    expected = functional.cross_entropy(logits, shares, weight=torch.tensor(WEIGHTS), reduction="none")
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("entry", ["cross-entropy", {"name": "focal", "gamma": 1.5}, "bce"], ids=str)
def test_a_target_and_its_whole_share_have_the_same_loss(entry, logits, targets):
    shares = functional.one_hot(targets, 4).float()

    by_number, by_share = (
        losses(entry, logits, t, smoothing=0.2, weights=WEIGHTS) for t in (targets, shares)
    )

    assert torch.equal(by_number, by_share)


def test_focal_counts_what_is_nearly_right_for_less(logits, targets):
    found = losses({"name": "focal", "gamma": 2}, logits, targets)

    sure = torch.softmax(logits, dim=1)[torch.arange(6), targets]
    assert torch.allclose(found, -((1 - sure) ** 2) * sure.log(), atol=1e-6)
    assert torch.allclose(
        losses({"name": "focal", "gamma": 0}, logits, targets), losses("cross-entropy", logits, targets)
    )


@pytest.mark.parametrize("gamma", [0.5, 1, 2])
def test_focal_has_a_gradient_where_a_picture_is_named_rightly_beyond_doubt(gamma):
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)

    losses({"name": "focal", "gamma": gamma}, logits, torch.tensor([0])).sum().backward()

    assert torch.isfinite(logits.grad).all()


def test_bce_adds_up_the_classes(logits, targets):
    found = losses("bce", logits, targets, weights=WEIGHTS)

    shares = functional.one_hot(targets, 4).float()
    expected = functional.binary_cross_entropy_with_logits(
        logits, shares, weight=torch.tensor(WEIGHTS), reduction="none"
    )
    assert torch.allclose(found, expected.sum(1), atol=1e-6)


@pytest.mark.parametrize("entry", ["cross-entropy", "focal", "bce"])
def test_a_loss_is_float32_under_autocast(entry, logits, targets):
    with torch.autocast("cpu", torch.bfloat16):
        found = losses(entry, logits.bfloat16(), targets, weights=WEIGHTS)

    assert found.dtype == torch.float32
    assert torch.equal(found, losses(entry, logits.bfloat16().float(), targets, weights=WEIGHTS))


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ("crossentropy", "train.loss"),
        ({"name": "focal", "gama": 1}, "train.loss.gama"),
        ({"name": "focal", "gamma": -1}, "train.loss.gamma"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_its_place(entry, where):
    with pytest.raises(InvalidRecipe) as caught:
        build(entry, classes=2, label_smoothing=0, class_weights=None)

    assert caught.value.where == where


def test_class_weights_are_inverse_to_the_pictures_and_weigh_one_on_average():
    counts = [70, 20, 10, 0]

    weights = class_weights(counts)

    assert weights == pytest.approx([100 / 210, 100 / 60, 100 / 30, 0])
    assert sum(w * n for w, n in zip(weights, counts, strict=True)) / sum(counts) == pytest.approx(1)


@pytest.mark.parametrize(
    ("balance", "counts", "expected"),
    [
        ("auto", [30, 10], "weights"),
        ("auto", [29, 10], "none"),
        ("auto", [10, 0, 10], "none"),
        ("none", [30, 1], "none"),
        ("weights", [1, 1], "weights"),
        ("sampler", [1, 1], "sampler"),
    ],
)
def test_auto_weighs_classes_where_one_is_three_times_another(balance, counts, expected):
    assert resolve_balance(balance, counts) == expected


def test_mixed_targets_share_a_picture_between_its_class_and_its_partners():
    mixed = mixed_targets(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([0.75, 0.3]), 3)

    assert torch.allclose(mixed, torch.tensor([[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]]))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_step_on_the_mean_at_the_equivalent_rate_is_the_same(reduction, logits, targets):
    def step(lr, reduction):
        parameter = nn.Parameter(logits.clone())
        optimizer = torch.optim.SGD([parameter], lr=lr)
        getattr(losses("cross-entropy", parameter, targets), reduction)().backward()
        optimizer.step()
        return parameter.detach()

    assert torch.allclose(step(mean_equivalent(0.01, 6, reduction), "mean"), step(0.01, reduction), atol=1e-7)


def test_the_pull_is_the_gradient_of_half_the_squared_way_from_the_start():
    start = {"trunk.weight": torch.tensor([1.0, 2.0])}
    parameters = {name: nn.Parameter(torch.tensor([3.0, 1.0])) for name in ("trunk.weight", "head.weight")}
    add = pull(parameters, start, 0.1)
    start["trunk.weight"].zero_()  # somebody else's from here on
    for parameter in parameters.values():
        parameter.grad = torch.tensor([0.5, 0.5])

    add()

    moved = nn.Parameter(torch.tensor([3.0, 1.0]))
    (0.5 * 0.1 * (moved - torch.tensor([1.0, 2.0])).pow(2).sum()).backward()
    assert torch.allclose(parameters["trunk.weight"].grad, moved.grad + 0.5)
    assert torch.equal(parameters["head.weight"].grad, torch.tensor([0.5, 0.5]))


def test_the_pull_leaves_alone_what_does_not_learn():
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    pull({"trunk.weight": frozen}, {"trunk.weight": torch.zeros(2)}, 0.1)()

    assert frozen.grad is None
