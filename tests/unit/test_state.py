"""The state of a training: written down as one document, and taken up again exactly."""

import json

import pytest
import torch
from torch import nn

from regraft.engine import optim
from regraft.engine.averages import Ema
from regraft.engine.groups import parameter_groups
from regraft.engine.state import State, weights_of
from regraft.recipe import OptimSection
from regraft.records import Epoch

pytestmark = pytest.mark.usefixtures("one_thread", "timm_can_be_imported")

PICTURES = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(3))


def make_state(
    *, ema=0.9, constant=frozenset(), optimizer="adamw", channels_last=False, learning="", seed=0, scaler=None
):
    """Make a net of convolution, batch-norm and head; what begins with `learning` learns."""
    torch.manual_seed(seed)
    net = nn.Sequential()
    net.add_module("trunk", nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    net.add_module("flat", nn.Flatten())
    net.add_module("head", nn.Linear(36, 2))
    if channels_last:
        net.to(memory_format=torch.channels_last)
    named = {name: p for name, p in net.named_parameters() if name.startswith(learning)}
    groups = parameter_groups(named, layers=(), optim=OptimSection(head_lr_scale=3))
    changing = {name: value for name, value in net.state_dict().items() if name not in constant}
    average = Ema(changing, ema) if ema else None
    made = optim.build(optimizer, groups, lr=0.01, weight_decay=0.1)
    return State(net, made, average=average, constant=constant, scaler=scaler)


def walk(state, steps=2):
    """Let a net learn a little."""
    for _ in range(steps):
        state.optimizer.zero_grad()
        state.net(PICTURES).square().mean().backward()
        state.optimizer.step()
        if state.average is not None:
            state.average.update(state.net, state.at.step)
        state.at.step += 1
    return state


def tensors(state):
    return {name: value.clone() for name, value in state.net.state_dict().items()}


def equal(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(v, expected[n]) for n, v in found.items())


def test_equal_states_give_equal_bytes():
    first, second = walk(make_state()), walk(make_state())

    assert first.pack() == second.pack() == first.pack()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.net.trunk[1].running_mean.add_(1e-6),
        lambda state: state.net.trunk[1].num_batches_tracked.add_(1),
        lambda state: next(iter(state.optimizer.state.values()))["exp_avg"].add_(1e-6),
        lambda state: state.optimizer.param_groups[0].update(weight_decay=0.2),
        lambda state: state.average.state_dict()["head.bias"].add_(1e-6),
        lambda state: setattr(state.at, "batch", 1),
        lambda state: setattr(state.at, "loss_sum", 1e-9),
        lambda state: state.at.losses.append(1.0),
        lambda state: setattr(state.at, "ended", "enough"),
    ],
    ids=["statistic", "count", "momentum", "group", "average", "batch", "sum", "losses", "ended"],
)
def test_states_that_differ_give_other_bytes(change):
    first, second = walk(make_state()), walk(make_state())

    with torch.no_grad():
        change(second)

    assert first.pack() != second.pack()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lamb"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_state_that_is_taken_up_is_the_one_that_was_written_down(optimizer, ema, channels_last):
    settings = {"optimizer": optimizer, "ema": ema, "channels_last": channels_last}
    old, new = walk(make_state(**settings)), walk(make_state(**settings, seed=1), steps=1)
    old.at.losses, old.at.best_loss, old.at.best = [0.5, 0.25], 0.25, 2
    data = old.pack()

    new.unpack(data)

    assert new.pack() == data
    assert new.at == old.at
    assert equal(tensors(new), tensors(old))
    weight = new.net.trunk[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert [value.stride() for value in new.optimizer.state[weight].values() if value.ndim] == [
        value.stride() for value in old.optimizer.state[old.net.trunk[0].weight].values() if value.ndim
    ]


def test_what_never_changes_is_not_written_down():
    constant = frozenset({"trunk.0.weight", "trunk.0.bias"})
    old, new = (make_state(constant=constant, learning="head", seed=seed) for seed in (0, 1))
    before = tensors(new)
    walk(old)

    new.unpack(old.pack())

    after = tensors(new)
    assert set(old.weights()) == set(after) - constant
    assert set(weights_of(old.pack())) == set(after) - constant
    assert equal({n: after[n] for n in constant}, {n: before[n] for n in constant})
    assert torch.equal(after["head.weight"], tensors(old)["head.weight"])
    assert not torch.equal(after["head.weight"], before["head.weight"])


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_weights_of_a_document_are_those_that_the_net_would_be_used_with(ema):
    state = walk(make_state(ema=ema))

    found = weights_of(state.pack())

    expected = state.average.state_dict() if ema else tensors(state)
    assert equal(found, expected)
    assert equal(state.weights(), expected)


def test_the_average_is_in_the_net_for_a_while_and_its_own_weights_are_back_afterwards():
    state = walk(make_state(), steps=3)
    own = tensors(state)

    with state.averaged():
        meanwhile = tensors(state)

    assert equal(meanwhile, state.average.state_dict())
    assert not equal(meanwhile, own)
    assert equal(tensors(state), own)


def test_its_own_weights_are_back_after_an_error_too():
    state = walk(make_state(), steps=3)
    own = tensors(state)

    with pytest.raises(ZeroDivisionError), state.averaged():
        raise ZeroDivisionError

    assert equal(tensors(state), own)


def test_without_an_average_the_net_has_its_own_weights_all_the_time():
    state = walk(make_state(ema=0.0))
    own = tensors(state)

    with state.averaged():
        meanwhile = tensors(state)

    assert equal(meanwhile, own)


def test_what_has_begun_to_learn_since_then_starts_without_a_past():
    old = walk(make_state(learning="head", ema=0.0))
    new = walk(make_state(seed=1, ema=0.0))

    new.unpack(old.pack())

    known = {id(parameter) for parameter in new.optimizer.state}
    assert known == {id(new.net.head.weight), id(new.net.head.bias)}
    assert equal(tensors(new), tensors(old))
    walk(new)


def test_what_scales_gradients_is_part_of_the_state():
    old, new = (make_state(scaler=torch.amp.GradScaler("cpu", init_scale=scale)) for scale in (64.0, 2.0))

    new.unpack(old.pack())

    assert new.scaler.state_dict() == old.scaler.state_dict()
    assert new.scaler.get_scale() == 64.0


def test_numbers_of_a_later_release_are_passed_over():
    state = walk(make_state())
    data = state.pack()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    numbers = json.loads(header["__metadata__"]["state"])
    numbers["progress"]["mood"] = "fine"
    header["__metadata__"]["state"] = json.dumps(numbers)
    text = json.dumps(header).encode()
    later = len(text).to_bytes(8, "little") + text + data[8 + length :]
    fresh = make_state()

    fresh.unpack(later)

    assert fresh.pack() == data


def test_the_finished_epochs_are_records():
    state = make_state()
    row = {"epoch": 1, "rate": 0.5, "train_loss": 1.5, "loss": None, "accuracy": None}
    state.at.epochs.append(row)

    assert state.epochs == (Epoch(**row),)
