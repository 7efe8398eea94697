"""The loop: what a step does, what an epoch leaves, and what ends a training."""

from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

import pytest
import torch
from torch import nn
from torch.nn import functional

from regraft.data.batches import Batch
from regraft.engine import losses, optim, schedules
from regraft.engine.averages import Ema
from regraft.engine.device import Device
from regraft.engine.groups import parameter_groups
from regraft.engine.loop import Plan, train
from regraft.engine.state import State
from regraft.errors import RunDiverged, RunError
from regraft.recipe import OptimSection

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = 3
PICTURES = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(1))
TARGETS = torch.randint(CLASSES, (20,), generator=torch.Generator().manual_seed(2))
#: The last batch of an epoch has four pictures.
BATCH = 8


class Dealt:
    """Batches of eight, dealt anew in each epoch."""

    def __init__(self, pictures=PICTURES, *, partners=None, lam=None):
        self.pictures, self.partners, self.lam = pictures, partners, lam

    def __len__(self):
        return ceil(len(self.pictures) / BATCH)

    def epoch(self, epoch, start=0):
        order = torch.randperm(len(self.pictures), generator=torch.Generator().manual_seed(epoch))
        for which in order.split(BATCH)[start:]:
            mixed = self.partners is not None
            yield Batch(
                positions=which,
                images=self.pictures[which],
                targets=TARGETS[which],
                partners=self.partners[which] if mixed else None,
                lam=self.lam[which] if mixed else None,
                total=len(which),
            )


@dataclass
class Eyes:
    """Sees everything, and does something after so many steps."""

    after: int = -1
    do: object = None
    seen: list = field(default_factory=list)

    def step(self, state, *, rate, loss, pictures):
        self.seen.append(("step", state.at.step, loss))
        if state.at.step == self.after:
            self.do(state)

    def epoch(self, state, *, better):
        self.seen.append(("epoch", state.at.epoch, better))

    @property
    def epochs(self):
        return [(epoch, better) for kind, epoch, better in self.seen if kind == "epoch"]


class Everything:
    """All of a net learns."""

    def apply(self, net):
        net.requires_grad_(True)

    def train(self, net):
        net.train()


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, CLASSES)
    )


def make_state(net=None, *, optimizer="sgd", ema=0.0, micro_batch=0):
    net = net or make_net()
    named = dict(net.named_parameters())
    groups = parameter_groups(named, layers=(), optim=OptimSection(head_lr_scale=1))
    average = Ema(net.state_dict(), ema) if ema else None
    state = State(net, optim.build(optimizer, groups, lr=0.1, weight_decay=0.01), average=average)
    state.at.micro_batch = micro_batch
    return state


def make_plan(**changes):
    constant = OptimSection(schedule="constant", warmup_epochs=0)
    plan = Plan(
        epochs=2,
        seed=0,
        schedule=schedules.build(constant, steps_per_epoch=3, epochs=2),
        lr=0.1,
        loss=losses.build("cross-entropy", classes=CLASSES, label_smoothing=0, class_weights=None),
        classes=CLASSES,
        mean=True,
        clip=0.0,
        mode=lambda epoch: Everything(),
        validate=None,
        patience=0,
        min_delta=0.0,
        prepare=lambda images: images,
    )
    return replace(plan, **changes)


def learn(state, batches=None, eyes=None, **changes):
    """Train to the end; return the state."""
    eyes = eyes or Eyes()
    train(state, make_plan(**changes), batches or Dealt(), Device("float32", kind="cpu"), eyes)
    return state


def by_hand(*, mean=True, clip=0.0, l2sp=0.0, smooth=None, epochs=2):
    """Train as anybody would, all pictures of a batch at once; return the weights."""
    net = make_net()
    start = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in net.parameters() if p.ndim == 1]},
        ],
        lr=0.1,
        momentum=0.9,
    )
    for epoch in range(epochs):
        for batch in Dealt().epoch(epoch):
            targets = batch.targets if smooth is None else smooth[batch.positions]
            loss = functional.cross_entropy(net(batch.images), targets, reduction="mean" if mean else "sum")
            ways = zip(net.parameters(), start, strict=True)
            loss = loss + l2sp / 2 * sum((now - before).square().sum() for now, before in ways)
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
    return [parameter.detach() for parameter in net.parameters()]


def same(net, weights):
    return all(
        torch.allclose(p, q, rtol=1e-5, atol=1e-6) for p, q in zip(net.parameters(), weights, strict=True)
    )


def equal(net, other):
    ours, theirs = net.state_dict(), other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("mean", [True, False], ids=["mean", "sum"])
@pytest.mark.parametrize("micro_batch", [0, 1, 3, 5, 8, 100])
def test_pictures_that_go_through_bit_by_bit_teach_what_the_whole_batch_teaches(micro_batch, mean):
    expected = by_hand(mean=mean)

    state = learn(make_state(micro_batch=micro_batch), mean=mean)

    assert same(state.net, expected)


def test_the_mean_of_a_small_last_batch_is_over_its_own_pictures():
    whole, last = make_state(), make_state(micro_batch=3)

    for state in (whole, last):
        learn(state, Dealt(PICTURES[:4]), epochs=1)

    assert len(Dealt(PICTURES[:4])) == 1
    assert same(last.net, list(whole.net.parameters()))
    assert not same(last.net, list(make_net().parameters()))


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_the_gradients_of_a_whole_step_are_clipped(micro_batch):
    expected = by_hand(clip=0.1)

    state = learn(make_state(micro_batch=micro_batch), clip=0.1)

    assert same(state.net, expected)
    assert not same(state.net, by_hand())


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_what_pulls_at_the_weights_pulls_once_in_a_step_and_is_clipped_with_the_rest(micro_batch):
    state = make_state(micro_batch=micro_batch)
    start = {name: value.clone() for name, value in state.net.state_dict().items()}
    pull = losses.pull(dict(state.net.named_parameters()), start, 2.0)

    learn(state, pull=pull, clip=0.3)

    assert same(state.net, by_hand(l2sp=2.0, clip=0.3))
    assert not same(state.net, by_hand(clip=0.3))


def test_pictures_that_were_mixed_teach_both_of_their_targets():
    partners, lam = TARGETS.roll(1), torch.linspace(0.2, 0.9, 20)
    own, other = functional.one_hot(TARGETS, CLASSES), functional.one_hot(partners, CLASSES)
    smooth = own * lam.unsqueeze(1) + other * (1 - lam.unsqueeze(1))

    state = learn(make_state(micro_batch=3), Dealt(partners=partners, lam=lam))

    assert same(state.net, by_hand(smooth=smooth))


def test_the_rate_of_each_step_follows_the_schedule():
    rates = []
    state = make_state()
    eyes = Eyes()
    eyes.step = lambda state, *, rate, loss, pictures: rates.append(
        (rate, state.optimizer.param_groups[0]["lr"], pictures)
    )

    learn(state, eyes=eyes, schedule=lambda step, losses: 1 / (1 + step), epochs=1)

    assert rates == [(1.0, 0.1, 8), (1 / 2, 0.05, 8), (1 / 3, pytest.approx(0.1 / 3), 4)]


def test_the_losses_of_an_epoch_are_those_of_its_pictures():
    state, eyes = make_state(), Eyes()

    learn(state, eyes=eyes, lr=1e-30)

    with torch.no_grad():
        each = functional.cross_entropy(make_net()(PICTURES), TARGETS, reduction="none")
    assert [row["train_loss"] for row in state.at.epochs] == [pytest.approx(float(each.mean()), rel=1e-5)] * 2
    (batch, *_) = Dealt().epoch(0)
    assert eyes.seen[0] == ("step", 1, pytest.approx(float(each[batch.positions].mean()), rel=1e-5))


def test_a_loss_that_is_no_number_ends_the_training_before_the_weights_are_spoiled():
    poisoned = PICTURES.clone()
    last_of_second_epoch = list(Dealt().epoch(1))[2].positions
    poisoned[last_of_second_epoch[0]] = torch.nan
    in_first = next(
        number for number, batch in enumerate(Dealt().epoch(0)) if last_of_second_epoch[0] in batch.positions
    )
    batches = list(Dealt().epoch(0))
    state, eyes = make_state(), Eyes()

    with pytest.raises(RunDiverged) as caught:
        learn(state, Dealt(poisoned), eyes)

    assert str(caught.value) == f"The loss is not a number any more in epoch 1, step {in_first + 1}."
    assert caught.value.positions == tuple(batches[in_first].positions.tolist())
    assert all(bool(value.isfinite().all()) for value in state.net.state_dict().values())
    assert [seen[1] for seen in eyes.seen] == list(range(1, in_first + 1))


def test_a_validation_loss_that_is_no_number_is_never_the_best():
    told = iter([(2.0, 0.5), (float("nan"), 0.9), (1.5, 0.6), (float("-inf"), 1.0)])
    state, eyes = make_state(), Eyes()

    learn(state, eyes=eyes, validate=lambda net: next(told), epochs=4)

    assert (state.at.best, state.at.best_loss) == (3, 1.5)
    assert eyes.epochs == [(1, True), (2, False), (3, True), (4, False)]
    assert [epoch.loss for epoch in state.epochs] == [2.0, None, 1.5, None]
    assert [epoch.accuracy for epoch in state.epochs] == [0.5, 0.9, 0.6, 1.0]


class Small(nn.Module):
    """A net that finds room for four pictures at once, no more."""

    def __init__(self, most=4):
        super().__init__()
        self.inner, self.most, self.tried = make_net(), most, []

    def forward(self, pictures):
        self.tried.append(len(pictures))
        if len(pictures) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.inner(pictures)


def test_where_memory_runs_out_fewer_pictures_go_through_at_once_and_the_step_stays_what_it_is(caplog):
    net = Small()
    state = make_state(net)

    learn(state)

    assert same(net.inner, by_hand())
    assert state.at.micro_batch == 4
    assert net.tried[:3] == [8, 4, 4]
    assert max(net.tried[1:]) == 4
    assert caplog.messages == [
        "Memory ran out: the net sees 4 pictures at once from now on; a step still has 8."
    ]


def test_memory_may_run_out_more_than_once(caplog):
    net = Small(most=2)

    learn(make_state(net))

    assert same(net.inner, by_hand())
    assert len(caplog.messages) == 2


def test_where_memory_has_no_room_for_one_picture_training_ends():
    with pytest.raises(RunError, match="one picture at a time"):
        learn(make_state(Small(most=0)))


def test_other_errors_of_a_net_are_raised_as_they_are(caplog):
    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make_net()

        def forward(self, pictures):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        learn(make_state(Wrong()))

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("told", "patience", "min_delta", "ran", "best", "ended"),
    [
        ([3, 2, 2, 2, 1], 2, 0.0, 4, 2, "no improvement in 2 epochs"),
        ([3, 2, 2, 1.5, 1], 2, 0.0, 5, 5, ""),
        ([3, 2.9, 2.8, 2.7, 2.6], 3, 0.25, 5, 4, ""),
        ([3, 2.9, 2.8, 2.7, 2.6], 2, 0.25, 3, 1, "no improvement in 2 epochs"),
        ([3, 4, 5, 6, 7], 0, 0.0, 5, 1, ""),
        ([3, 4, 5, 6, 7], 1, 0.0, 2, 1, "no improvement in 1 epochs"),
    ],
)
def test_training_ends_when_nothing_gets_better(told, patience, min_delta, ran, best, ended):
    left = iter(told)

    state = learn(
        make_state(),
        epochs=5,
        validate=lambda net: (next(left), 0.5),
        patience=patience,
        min_delta=min_delta,
    )

    assert (state.at.epoch, state.at.best, state.at.ended) == (ran, best, ended)
    assert [row["loss"] for row in state.at.epochs] == told[:ran] == state.at.losses


def test_a_training_that_ended_early_stays_ended_and_one_that_shall_be_longer_goes_on():
    told = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    state = make_state()
    plan = {"validate": lambda net: (next(told), 0.5), "patience": 2}
    learn(state, epochs=5, **plan)
    before = state.pack()

    learn(state, epochs=5, **plan)
    same_again = state.pack() == before
    learn(state, epochs=7, **plan)

    assert same_again
    # the patience counts from where it was lengthened
    assert (state.at.epoch, state.at.best, state.at.ended) == (5, 1, "no improvement in 2 epochs")


def test_where_there_is_nothing_to_choose_by_the_last_epoch_is_the_best():
    state, eyes = make_state(), Eyes()

    learn(state, eyes=eyes, epochs=3, patience=1)

    assert (state.at.best, state.at.best_loss, eyes.epochs) == (3, None, [(1, True), (2, True), (3, True)])


def test_a_watcher_that_has_had_enough_ends_the_epoch_and_the_training_there():
    def enough(state):
        state.at.ended = "enough"

    state, eyes = make_state(), Eyes(after=4, do=enough)

    learn(state, eyes=eyes, epochs=5, validate=lambda net: (0.5, 1.0))

    (_, second) = state.at.epochs
    assert (state.at.step, state.at.epoch, state.at.batch, state.at.best) == (4, 2, 0, 1)
    assert (second["epoch"], second["loss"], eyes.epochs) == (2, 0.5, [(1, True), (2, False)])


def test_the_average_is_what_is_validated_and_the_net_goes_on_with_its_own_weights():
    validated = []

    def validate(net):
        validated.append([parameter.detach().clone() for parameter in net.parameters()])
        return 1.0, 0.5

    plain, averaged = make_state(), make_state(ema=0.5)
    learn(plain, validate=lambda net: (1.0, 0.5))
    learn(averaged, validate=validate)

    assert equal(averaged.net, plain.net)
    average = list(averaged.average.state_dict().values())
    assert all(torch.equal(p, q) for p, q in zip(validated[-1], average, strict=True))
    assert not same(averaged.net, validated[-1])


class Interrupted(Exception):
    """Somebody has pulled the plug."""


def interrupt(state):
    raise Interrupted


def make_chancy_net():
    """A net with chance, statistics and counts of its own."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, CLASSES),
    )


FALLING = schedules.build(OptimSection(schedule="cosine", warmup_epochs=0.5), steps_per_epoch=3, epochs=3)


def whole_and_resumed(make, *, at=4, optimizer="adamw", ema=0.9, micro_batch=0):
    """Train once in one go, and once with a cut and from other objects; return how both end."""
    settings = {"schedule": FALLING, "lr": 1e-2, "epochs": 3, "clip": 1.0}
    settings["validate"] = lambda net: (float(net.eval()(PICTURES).detach().square().mean()), 0.5)
    fresh = partial(make_state, optimizer=optimizer, ema=ema, micro_batch=micro_batch)
    whole = learn(fresh(make()), **settings)
    cut = fresh(make())
    with pytest.raises(Interrupted):
        learn(cut, eyes=Eyes(after=at, do=interrupt), **settings)
    resumed = fresh(make())
    resumed.unpack(cut.pack())
    torch.manual_seed(99)  # what chance there was in the process does not count
    learn(resumed, **settings)
    return whole, resumed


#: Of timm's, those that keep something that others do not.
OPTIMIZERS = [
    *("sgd", "adam", "adamw", "rmsprop", "adagrad", "lamb", "lion"),
    {"name": "sgd", "momentum": 0, "nesterov": False},
    {"name": "adamw", "amsgrad": True},
    {"name": "rmsprop", "centered": True, "momentum": 0.9},
    *(
        f"timm.{name}"
        for name in (
            *("adopt", "adabelief", "adadelta", "adafactor", "adafactorbv", "adamax", "adamp", "adan"),
            *("laprop", "lars", "clamb", "madgrad", "mars", "muon", "nadamw", "novograd"),
            *("radam", "rmsproptf", "sgdp", "sgdw", "cadamw"),
        )
    ),
]


@pytest.mark.usefixtures("timm_can_be_imported")
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(optimizer):
    whole, resumed = whole_and_resumed(make_chancy_net, optimizer=optimizer)

    assert resumed.pack() == whole.pack()
    assert not equal(whole.net, make_chancy_net())


@pytest.mark.parametrize("at", range(1, 10))
def test_it_may_be_cut_off_after_any_step(at):
    whole, resumed = whole_and_resumed(make_chancy_net, at=at)

    assert resumed.pack() == whole.pack()


@pytest.mark.parametrize("micro_batch", [0, 3])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_net_in_another_memory_layout_goes_on_exactly(micro_batch, ema):
    whole, resumed = whole_and_resumed(
        lambda: make_chancy_net().to(memory_format=torch.channels_last), micro_batch=micro_batch, ema=ema
    )

    assert resumed.pack() == whole.pack()
    assert resumed.net[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_chance_in_a_net_follows_from_the_seed_and_the_step_alone():
    first, second, other = (make_state(make_chancy_net()) for _ in range(3))

    torch.manual_seed(1)
    learn(first)
    torch.manual_seed(2)
    learn(second)
    learn(other, seed=1)

    assert first.pack() == second.pack()
    assert not equal(first.net, other.net)
