"""Weights: read in a child process, renamed, refused with a reason when they do not fit."""

import pickle
import re
from io import BytesIO

import pytest
import torch
from safetensors.torch import save, save_file

from regraft.errors import InvalidError, InvalidRecipe, MismatchError, NotFoundError
from regraft.hub import cifar_resnet, layouts, nets, weights
from regraft.hub.architectures import recognise
from regraft.hub.weights import load_into, read_weights

ARCHITECTURE = "test_resnet.r160_in1k".partition(".")[0]


def saved(content):
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class LayoutOfSomebody:
    """A class that a file names, and that only its author has."""


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nets.build(ARCHITECTURE)


def test_a_pth_file_and_its_safetensors_give_the_same_tensors(net, tmp_path):
    torch.save({"epoch": 3, "state_dict": nets.original_state(net)}, tmp_path / "net.pth")
    save_file(nets.original_state(net), tmp_path / "net.safetensors")

    first, second = read_weights(tmp_path / "net.pth"), read_weights(tmp_path / "net.safetensors")

    assert first.keys() == second.keys() == nets.original_state(net).keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_carries_code_is_refused_and_not_run(tmp_path, protocol):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "canary"), "w"))

    (tmp_path / "bad.pth").write_bytes(pickle.dumps({"weight": Attack()}, protocol=protocol))

    with pytest.raises(InvalidError, match=r"bad\.pth' \(\d+ bytes\) cannot be read: ") as caught:
        read_weights(tmp_path / "bad.pth")

    assert "nothing but tensors" in caught.value.hint
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_truncated_file_is_refused_with_its_size(net, tmp_path, name):
    whole = tmp_path / "whole"
    (torch.save if name.endswith("pth") else save_file)(nets.original_state(net), whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:10_000])

    with pytest.raises(InvalidError, match=rf"{name}' \(10,000 bytes\) cannot be read"):
        read_weights(tmp_path / name)


def test_a_truncated_download_of_the_shared_data_is_refused(shared_data):
    with pytest.raises(InvalidError, match=r"\(358,400 bytes\) cannot be read"):
        read_weights(shared_data / "weights" / "broken-resnet50-19c8e357.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        read_weights(tmp_path / "none.pth")

    assert str(caught.value) == f"There is no weights file {str(tmp_path / 'none.pth')!r}."


def under(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def are_equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def state(net):
    return {name: tensor.clone() for name, tensor in nets.original_state(net).items()}


@pytest.fixture
def empty():
    """The same net with other weights."""
    torch.manual_seed(1)
    return nets.build(ARCHITECTURE)


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "backbone.", "a.b.c."]
)
def test_what_wrappers_put_before_names_is_taken_off(state, empty, prefix):
    report = load_into(empty, under(prefix, state))

    assert (report.loaded, report.converted) == (len(state), len(state) if prefix else 0)
    assert (report.missing, report.unexpected, report.replaced, report.mismatched) == ((), (), (), ())
    assert are_equal(nets.original_state(empty), state)


def test_a_net_compiled_within_another_is_read(state, empty):
    report = load_into(empty, under("model._orig_mod.", state))

    assert report.loaded == report.converted == len(state)


def test_weights_of_openmmlab_are_loaded_with_their_classifier(state, empty):
    trunk = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    head = {"head.fc.weight": torch.ones(7, 96), "head.fc.bias": torch.arange(7.0)}

    report = load_into(empty, under("backbone.", trunk) | head)

    loaded = nets.original_state(empty)
    assert (report.loaded, report.converted, report.unexpected) == (len(state), len(state), ())
    assert torch.equal(loaded["fc.weight"], head["head.fc.weight"])
    assert torch.equal(loaded["fc.bias"], head["head.fc.bias"])


def test_a_prefix_that_is_given_takes_what_stands_below_it_alone(net, state, empty):
    other = nets.original_state(nets.build(ARCHITECTURE))
    both = under("teacher.", other) | under("student.", state) | {"queue": torch.zeros(3)}

    report = load_into(empty, both, prefix="student")

    assert (report.loaded, report.unexpected, report.prefix) == (len(state), (), "student")
    assert are_equal(nets.original_state(empty), state)


def test_of_two_nets_in_one_file_none_is_guessed(state, empty):
    with pytest.raises(MismatchError) as caught:
        load_into(empty, under("teacher.", state) | under("student.", state))

    assert "tensors are missing, 0 have another shape, 77 are unknown; the first: 'student." in str(
        caught.value
    )


def test_a_prefix_that_no_name_has_is_refused_with_those_that_there_are(state, empty):
    with pytest.raises(InvalidRecipe) as caught:
        load_into(empty, under("encoder.", state), prefix="backbone")

    assert str(caught.value) == "No tensor's name begins with 'backbone.'."
    assert caught.value.hint.startswith("There is 'encoder', 'encoder.")
    assert caught.value.where == "model.weights_prefix"


def test_weights_without_a_classifier_give_a_net_that_knows_no_class(state, empty):
    trunk = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}

    report = load_into(empty, trunk)

    assert (report.loaded, report.replaced) == (len(trunk), ("fc.weight", "fc.bias"))
    assert (report.missing, report.mismatched, report.partial) == ((), (), False)
    assert empty(torch.zeros(2, 3, 64, 64)).shape == (2, 0)


def test_a_classifier_of_other_classes_is_taken_as_it_is(state, empty):
    state["fc.weight"], state["fc.bias"] = torch.ones(3, 96), torch.tensor([1.0, 2.0, 3.0])

    report = load_into(empty, state)

    assert (report.loaded, report.replaced) == (len(state), ())
    assert are_equal(nets.original_state(empty), state)


def test_counters_may_be_missing_and_what_no_trunk_needs_may_be_there(state, empty):
    lean = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    needless = {"aux1.fc.weight": torch.zeros(2), "AuxLogits.x": torch.zeros(2), "total_ops": torch.zeros(1)}

    report = load_into(empty, lean | needless)

    assert (report.loaded, report.missing, report.unexpected) == (len(lean), (), tuple(needless))


@pytest.mark.parametrize(
    ("change", "first", "lists"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "'layer1.0.conv1.weight' is missing", "missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "'extra' is unknown", "unexpected"),
        (
            lambda state: state.update({"conv1.0.weight": torch.zeros(1, 2)}),
            "conv1.0.weight [1, 2] for [",
            "mismatched",
        ),
    ],
)
def test_weights_that_fit_in_part_are_taken_only_where_a_part_is_enough(state, empty, change, first, lists):
    change(state)
    before = {name: tensor.clone() for name, tensor in nets.original_state(empty).items()}

    with pytest.raises(MismatchError) as caught:
        load_into(empty, state)
    untouched = are_equal(nets.original_state(empty), before)
    report = load_into(empty, state, partial=True)

    assert f"; the first: {first}" in str(caught.value)
    assert caught.value.hint.endswith("take what fits: --set model.partial=true.")
    assert untouched
    assert (len(getattr(report, lists)), report.partial) == (1, True)
    assert torch.equal(nets.original_state(empty)["layer2.0.conv1.weight"], state["layer2.0.conv1.weight"])


def test_a_part_that_is_the_whole_is_no_part(state, empty):
    assert not load_into(empty, state, partial=True).partial


@pytest.mark.parametrize("partial", [False, True])
def test_weights_of_which_nothing_fits_are_refused_in_any_case(empty, partial):
    with pytest.raises(MismatchError) as caught:
        load_into(empty, {"a.weight": torch.zeros(2), "b.weight": torch.zeros(2)}, partial=partial)

    assert str(caught.value) == (
        f"None of the 2 tensors fits the net '{ARCHITECTURE}': they are called 'a.weight', 'b.weight', ..., "
        "and the net's 'conv1.0.weight', 'conv1.1.weight', ...."
    )


def test_old_names_of_a_densenet_are_read():
    state = nets.original_state(nets.outline("torchvision:densenet121"))
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in state.items()
    }

    renamed, converted = layouts.translate(old, state, classifier="classifier")

    assert renamed.keys() == state.keys()
    assert converted == sum(name not in state for name in old) > 300
    assert recognise(old) == "torchvision:densenet121"


def test_a_squeezenet_of_other_classes_gives_its_trunk():
    net = nets.build("torchvision:squeezenet1_1")
    state = {name: tensor.clone() for name, tensor in nets.original_state(net).items()}
    state["classifier.1.weight"], state["classifier.1.bias"] = torch.zeros(5, 512, 1, 1), torch.zeros(5)

    report = load_into(net, state)

    assert (report.replaced, report.partial) == (("classifier.1.weight", "classifier.1.bias"), False)
    assert nets.features(net, torch.zeros(1, 3, 64, 64)).shape == (1, 512)
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 0)


@pytest.mark.parametrize(
    "architecture",
    ["regraft:cifar_resnet32", "torchvision:resnet50", "torchvision:mobilenet_v2", "test_vit", "resnet26d"],
)
def test_an_architecture_is_told_from_names_and_shapes(architecture):
    net = nets.outline(architecture)
    state = nets.original_state(net)
    state[f"{net.classifier}.weight"] = torch.empty(4, net.num_features, device="meta")
    state[f"{net.classifier}.bias"] = torch.empty(4, device="meta")

    assert recognise(state) == recognise(under("module.", state)) == architecture


def test_of_architectures_with_the_same_names_and_shapes_none_is_guessed():
    state = nets.original_state(nets.outline("vit_tiny_patch16_224"))

    with pytest.raises(MismatchError) as caught:
        recognise(state)

    assert str(caught.value) == (
        "The weights fit several architectures: vit_tiny_patch16_224, deit_tiny_patch16_224."
    )


def test_where_no_architecture_is_recognised_a_person_is_told_how_to_say_it():
    with pytest.raises(MismatchError) as caught:
        recognise({"layer1.0.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(2, 2)})

    assert str(caught.value) == "The weights are of no architecture that Regraft recognises."
    assert "model.architecture" in caught.value.hint


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (56, 0.85), (110, 1.7)])
def test_the_small_resnets_have_as_many_weights_as_in_the_paper(depth, millions):
    net = cifar_resnet.build(depth)

    count = sum(tensor.numel() for tensor in net.parameters())

    assert round(count / 1e6, 1 if millions > 1 else 2) == millions
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_weights_of_a_deeper_net_are_refused(state):
    small = nets.build("resnet18")

    with pytest.raises(
        MismatchError, match=r"^The weights do not fit the net 'resnet18': 0 tensors are miss"
    ):
        load_into(small, nets.original_state(nets.build("resnet34")))


def test_a_file_that_holds_more_than_tensors_is_refused_without_advice_to_trust_it(tmp_path):
    path = tmp_path / "whole-net.pth"
    torch.save({"model": LayoutOfSomebody()}, path)

    with pytest.raises(InvalidError) as caught:
        read_weights(path)

    assert str(caught.value) == (
        f"The weights file {str(path)!r} ({path.stat().st_size:,} bytes) cannot be read: "
        f"it holds more than tensors: {__name__}.LayoutOfSomebody."
    )


def test_a_module_in_the_current_folder_is_not_run(net, tmp_path, monkeypatch):
    torch.save(nets.original_state(net), tmp_path / "net.pth")
    canary = tmp_path / "canary"
    for name in ("torch", "safetensors", "regraft"):
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)

    state = read_weights(tmp_path / "net.pth")

    assert state.keys() == nets.original_state(net).keys()
    assert not canary.exists()


def test_tensors_that_share_their_memory_are_read_each_for_itself(tmp_path):
    table = torch.arange(6.0).reshape(2, 3)
    torch.save({"encoder": table, "decoder": table, "turned": table.T}, tmp_path / "tied.pth")

    state = read_weights(tmp_path / "tied.pth")

    assert {name: tensor.tolist() for name, tensor in state.items()} == {
        "encoder": table.tolist(),
        "decoder": table.tolist(),
        "turned": table.T.tolist(),
    }


def test_a_file_that_takes_too_long_is_refused(net, tmp_path, monkeypatch):
    torch.save(nets.original_state(net), tmp_path / "net.pth")
    monkeypatch.setattr(weights, "TIMEOUT", 0.01)

    with pytest.raises(InvalidError, match=r"cannot be read: it took longer than 0\.01 s\.$"):
        read_weights(tmp_path / "net.pth")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_with_numbers_that_are_none_are_refused_and_not_loaded(net, number):
    state = {name: tensor.clone() for name, tensor in nets.original_state(net).items()}
    name = next(iter(state))
    state[name].view(-1)[0] = number

    with pytest.raises(InvalidError) as caught:
        load_into(net, state)

    assert str(caught.value) == f"The weights hold numbers that are not finite, the first in {name!r}."
    assert caught.value.hint == "They come from a training that failed; get others."
    assert caught.value.where == name
    assert nets.original_state(net)[name].isfinite().all()


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ({"model": {"a": 1.0}, "model_ema": {"a": 2.0}}, {"a": 1.0}),
        ({"ema": {"a": 2.0}, "state_dict": {"a": 1.0}, "optimizer": {"lr": 0.1}}, {"a": 1.0}),
        ({"net": {"state_dict": {"a": 1.0}}, "epoch": 3}, {"a": 1.0}),
        ({"model_state_dict": {"a": 1.0}}, {"a": 1.0}),
        ({"epoch": 3, "state_dict_ema": {"a": 2.0}}, {"a": 2.0}),
    ],
)
def test_weights_are_found_where_tools_put_them_and_averages_count_last(tmp_path, caplog, content, taken):
    def with_tensors(part):
        return {k: with_tensors(v) if isinstance(v, dict) else torch.tensor(v) for k, v in part.items()}

    torch.save(with_tensors(content), tmp_path / "net.pth.tar")

    state = read_weights(tmp_path / "net.pth.tar")

    assert {name: tensor.item() for name, tensor in state.items()} == taken
    words = ["net.pth.tar holds averaged weights alone, under 'state_dict_ema': they are taken."]
    assert caplog.messages == (words if taken == {"a": 2.0} else [])


@pytest.mark.parametrize("size", [10**13, 2**31])
def test_a_small_file_that_unfolds_into_much_memory_is_refused(tmp_path, size):
    path = tmp_path / "bomb.pth"
    torch.save({"weight": torch.zeros(1).expand(size)}, path)

    with pytest.raises(
        InvalidError, match=r"bomb\.pth' \([\d,]+ bytes\) cannot be read: it takes more than 4,29"
    ):
        read_weights(path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is damaged, or torch did not write it"),
        (b"<!DOCTYPE html><html>Sign in</html>", "it is damaged, or torch did not write it"),
        (saved({"epoch": 3, "history": {"a": 1}}), "it holds no tensors by name, but 'epoch', 'history'"),
        (saved([1]), "it holds no tensors by name"),
    ],
    ids=["nothing", "page", "table", "list"],
)
def test_a_file_without_weights_is_refused_with_what_it_is(tmp_path, body, reason):
    (tmp_path / "net.bin").write_bytes(body)

    with pytest.raises(InvalidError) as caught:
        read_weights(tmp_path / "net.bin")

    assert str(caught.value).endswith(f"cannot be read: {reason}.")


def test_a_safetensors_file_is_known_by_its_content(tmp_path):
    (tmp_path / "blob").write_bytes(save({"a": torch.ones(2)}))

    assert read_weights(tmp_path / "blob")["a"].tolist() == [1, 1]
