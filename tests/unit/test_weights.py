"""Weights: read in a child process, renamed, refused with a reason when they do not fit."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from regraft.errors import InvalidError, MismatchError, NotFoundError
from regraft.hub import nets, weights
from regraft.hub.weights import load_into, read_weights

ARCHITECTURE = "test_resnet.r160_in1k".partition(".")[0]


class LayoutOfSomebody:
    """A class that a file names, and that only its author has."""


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nets.build(ARCHITECTURE)


def test_a_pth_file_and_its_safetensors_give_the_same_tensors(net, tmp_path):
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "net.pth")
    save_file(net.state_dict(), tmp_path / "net.safetensors")

    first, second = read_weights(tmp_path / "net.pth"), read_weights(tmp_path / "net.safetensors")

    assert first.keys() == second.keys() == net.state_dict().keys()
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
    (torch.save if name.endswith("pth") else save_file)(net.state_dict(), whole)
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


def test_the_load_report_counts_what_was_loaded(net):
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()} | {
        "extra": torch.zeros(1)
    }

    report = load_into(nets.build(ARCHITECTURE), state)

    count = len(net.state_dict())
    assert (report.loaded, report.converted, report.missing) == (count, count, ())
    assert report.unexpected == ("extra",)


def test_weights_of_another_net_are_refused(net):
    other = nets.build("test_vit")

    with pytest.raises(MismatchError) as caught:
        load_into(other, net.state_dict())

    assert str(caught.value).startswith("The weights do not fit the net: ")
    assert caught.value.hint == "Choose the architecture that the weights were made for."


def test_a_tensor_of_another_shape_is_named(net):
    state = dict(net.state_dict())
    name = next(iter(state))
    state[name] = torch.zeros(1, 2)

    with pytest.raises(MismatchError, match=rf"the first: {name} is \[1, 2\] and should be"):
        load_into(net, state)


def test_a_file_that_holds_more_than_tensors_is_refused_without_advice_to_trust_it(tmp_path):
    path = tmp_path / "whole-net.pth"
    torch.save({"model": LayoutOfSomebody()}, path)

    with pytest.raises(InvalidError) as caught:
        read_weights(path)

    assert str(caught.value) == (
        f"The weights file {str(path)!r} ({path.stat().st_size:,} bytes) cannot be read: "
        "it holds more than tensors."
    )


def test_a_module_in_the_current_folder_is_not_run(net, tmp_path, monkeypatch):
    torch.save(net.state_dict(), tmp_path / "net.pth")
    canary = tmp_path / "canary"
    for name in ("torch", "safetensors", "regraft"):
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)

    state = read_weights(tmp_path / "net.pth")

    assert state.keys() == net.state_dict().keys()
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
    torch.save(net.state_dict(), tmp_path / "net.pth")
    monkeypatch.setattr(weights, "TIMEOUT", 0.01)

    with pytest.raises(InvalidError, match=r"cannot be read: it took longer than 0\.01 s\.$"):
        read_weights(tmp_path / "net.pth")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_with_numbers_that_are_none_are_refused_and_not_loaded(net, number):
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    name = next(iter(state))
    state[name].view(-1)[0] = number

    with pytest.raises(InvalidError) as caught:
        load_into(net, state)

    assert str(caught.value) == f"The weights hold numbers that are not finite, the first in {name!r}."
    assert caught.value.hint == "They come from a training that failed; get others."
    assert caught.value.where == name
    assert net.state_dict()[name].isfinite().all()
