"""Heads: the same logits with torch and without, how they begin, and what of them is stored."""

import numpy as np
import pytest
import torch
from torch import nn

from regraft.engine.predict import logits, scores, softmax
from regraft.errors import InvalidRecipe, MismatchError
from regraft.hub import heads

ENTRIES = ["linear", {"name": "mlp", "hidden": 7}, {"name": "cosine", "scale": 4.0}]
INITS = ["zero", "normal", "xavier", "kaiming"]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def arrays(head):
    return {name: tensor.numpy() for name, tensor in head.state_dict().items()}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_head_gives_the_same_logits_with_torch_and_without(entry):
    head = heads.build(entry, 12, 3, init="xavier", seed=1).eval()
    head.load_state_dict({name: draw(*t.shape, seed=2) for name, t in head.state_dict().items()})
    features = draw(20, 12)

    expected = head(features).detach().numpy()
    found = logits(heads.kind(head), arrays(head), features.numpy())

    assert found.dtype == np.float64
    assert np.abs(expected).max() > 0.1
    assert np.allclose(found, expected, atol=1e-5)


def test_the_scores_of_a_linear_head_are_the_softmax_of_its_logits():
    features, weight, bias = draw(5, 4).numpy(), draw(3, 4).numpy(), draw(3).numpy()

    found = scores(features, weight, bias, 2.0)
    plain = features.astype(np.float64) @ weight.astype(np.float64).T + bias

    assert np.array_equal(found, softmax(plain / 2.0))
    assert np.allclose(found.sum(axis=1), 1)


def test_what_a_classifier_of_its_own_gives_are_the_logits():
    values = draw(2, 3).numpy()

    assert logits("own", {"1.weight": draw(3, 8, 1, 1).numpy()}, values).tolist() == values.tolist()


def test_features_of_nothing_have_a_cosine_of_zero():
    head = heads.build("cosine", 4, 2)

    found = logits("cosine", arrays(head), np.zeros((1, 4), np.float32))

    assert found.tolist() == [[0.0, 0.0]]
    assert head(torch.zeros(1, 4)).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("linear", {"weight", "bias"}),
        ("mlp", {"hidden.weight", "hidden.bias", "weight", "bias"}),
        ("cosine", {"weight", "scale"}),
    ],
)
def test_a_head_comes_back_from_its_tensors(entry, names):
    head = heads.build(entry, 6, 4, init="kaiming", dropout=0.5, seed=3).eval()
    features = draw(2, 6)

    again = heads.from_state(heads.kind(head), head.state_dict())

    assert head.state_dict().keys() == names
    assert heads.kind(again) == heads.kind(head) == entry
    assert torch.equal(again.train()(features), head(features))


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
@pytest.mark.parametrize("init", INITS)
def test_a_head_depends_on_its_seed_and_on_no_global_number(entry, init):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = heads.build(entry, 6, 4, init=init, seed=1).state_dict()
    torch.manual_seed(6)
    again = heads.build(entry, 6, 4, init=init, seed=1).state_dict()
    other = heads.build(entry, 6, 4, init=init, seed=2).state_dict()
    torch.manual_seed(5)

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = not (entry == "linear" and init == "zero")
    assert any(not torch.equal(first[name], other[name]) for name in first) == drawn


def test_building_a_head_draws_no_global_number():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)

    for entry in ENTRIES:
        heads.build(entry, 6, 4, init="xavier")

    assert torch.rand(1) == expected


def test_the_last_layer_begins_as_asked():
    built = {init: heads.build("linear", 400, 50, init=init).state_dict() for init in INITS}
    spreads = {init: float(state["weight"].std()) for init, state in built.items()}

    assert spreads == {
        "zero": 0.0,
        "normal": pytest.approx(0.01, rel=0.03),
        "xavier": pytest.approx((2 / 450) ** 0.5, rel=0.03),
        "kaiming": pytest.approx((1 / 400) ** 0.5, rel=0.03),
    }
    assert float(built["xavier"]["weight"].abs().max()) <= (6 / 450) ** 0.5
    assert all(not state["bias"].any() for state in built.values())


def test_a_head_that_begins_at_zero_gives_every_class_the_same_and_still_learns():
    for entry in ["linear", "mlp"]:
        head = heads.build(entry, 6, 4, init="zero")

        output = head(draw(3, 6))
        output[:, 0].sum().backward()

        assert not output.any()
        assert head.weight.grad.any()


def test_a_cosine_head_never_begins_at_zero():
    zero = heads.build("cosine", 300, 50, init="zero", seed=4).state_dict()
    normal = heads.build("cosine", 300, 50, init="normal", seed=4).state_dict()

    assert float(zero["weight"].std()) == pytest.approx(0.01, rel=0.03)
    assert torch.equal(zero["weight"], normal["weight"])
    assert float(zero["scale"]) == 10.0


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_dropout_acts_in_train_mode_alone_and_is_no_tensor(entry):
    head = heads.build(entry, 64, 4, init="kaiming", dropout=0.5)
    plain = heads.build(entry, 64, 4, init="kaiming")
    features = draw(2, 64).abs()

    torch.manual_seed(0)
    dropped = head.train()(features)

    assert not torch.allclose(dropped, plain(features))
    assert torch.equal(head.eval()(features), plain(features))
    assert head.state_dict().keys() == plain.state_dict().keys()


def test_dropout_of_a_hidden_layer_acts_behind_it():
    head = heads.Mlp(3, 1, hidden=1000, dropout=0.5).train()
    with torch.no_grad():
        head.hidden.bias.fill_(1)
        head.weight.fill_(1)

    torch.manual_seed(0)
    kept = head(torch.zeros(1, 3)).item() / 2

    assert 400 < kept < 600


def test_a_pooled_head_takes_the_mean_of_a_map():
    head = heads.initialise(heads.PooledLinear(5, 3, dropout=0.5), "xavier", seed=1).eval()
    maps = draw(2, 5, 4, 6)

    found = head(maps)

    assert torch.allclose(found, maps.mean((2, 3)) @ head.weight.T + head.bias, atol=1e-6)
    assert head.state_dict().keys() == {"weight", "bias"}
    assert heads.kind(head) == "linear"
    assert torch.allclose(heads.from_state("linear", head.state_dict())(maps.mean((2, 3))), found, atol=1e-6)


def test_the_kind_of_a_head_is_known():
    assert heads.kind(nn.Linear(3, 2)) == "linear"
    assert heads.kind(nn.Linear(3, 2, bias=False)) == "own"
    assert heads.kind(nn.Sequential(nn.Conv2d(3, 2, 1))) == "own"


@pytest.mark.parametrize(
    ("entry", "message", "where"),
    [
        ("liner", "There is no head 'liner'.", "model.head"),
        ({"name": "mlp", "hiden": 3}, "The head 'mlp' has no option 'hiden'.", "model.head.hiden"),
        ({"name": "mlp", "hidden": 0}, "'model.head.hidden' cannot be 0.", "model.head.hidden"),
        ({"name": "cosine", "scale": -1.0}, "'model.head.scale' cannot be -1.0.", "model.head.scale"),
    ],
)
def test_a_head_that_cannot_be_is_refused_with_its_place(entry, message, where):
    with pytest.raises(InvalidRecipe) as caught:
        heads.build(entry, 6, 4)

    assert str(caught.value) == message
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("mlp", {"weight": draw(2, 3), "bias": draw(2)}),
        ("linear", {}),
        ("own", {"1.weight": draw(2, 3, 1, 1)}),
        ("linear", {"weight": draw(2, 3, 1, 1), "bias": draw(2)}),
        ("linear", {"weight": draw(2, 3), "bias": draw(3)}),
    ],
)
def test_tensors_of_another_head_are_refused(kind, state):
    with pytest.raises(MismatchError, match=rf"^The stored '?{kind}'? head|is no '{kind}' head"):
        heads.from_state(kind, state)
