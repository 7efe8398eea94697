"""The words of Dive into Deep Learning, one by one: what the book promises, and what is repaired."""

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from regraft.data.sources.named import SETS
from regraft.dialects import d2l
from regraft.errors import (
    FetchError,
    IntegrityError,
    InvalidError,
    InvalidPicture,
    InvalidRecipe,
    NotFoundError,
    RunDiverged,
)
from regraft.hub import builders
from regraft.store.fetch import remote

pytest_plugins = ["tests.faults.web"]

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = [torch.device("cpu")]


@pytest.fixture
def tiny():
    """A net of one batch-norm and a linear layer, for pictures of 4 x 4 pixels."""
    torch.manual_seed(0)
    layers = {"norm": nn.BatchNorm2d(3), "flat": nn.Flatten(), "fc": nn.Linear(48, 2)}
    return nn.Sequential(OrderedDict(layers))


@pytest.fixture
def batches():
    """Make batches of pictures that are dark or bright: `batches(3, 4)` are three of four."""

    def make(count, size):
        torch.manual_seed(1)
        targets = torch.arange(count * size) % 2
        pictures = torch.rand(len(targets), 3, 4, 4) * 0.2 + targets.view(-1, 1, 1, 1) * 0.5
        return list(zip(pictures.split(size), targets.split(size), strict=True))

    return make


@pytest.fixture
def archive(draw, encoded):
    """A zip as the book's: `hotdog/train/hotdog/0.png` and so on."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for split in ("train", "test"):
            for label in ("hotdog", "not-hotdog"):
                for n in range(2):
                    name = f"hotdog/{split}/{label}/{n}.png"
                    file.writestr(name, encoded(draw(len(name) + n), "PNG"))
    return buffer.getvalue()


@pytest.fixture
def hub(web, archive, monkeypatch):
    """A server with the archive, whose true sha1 stands in DATA_HUB."""
    url = web.serve("/hotdog.zip", archive)
    monkeypatch.setitem(d2l.DATA_HUB, "hotdog", (url, hashlib.sha1(archive).hexdigest()))
    return web


def test_a_star_import_gives_what_the_notes_use_without_importing_it():
    names = {}

    exec("from regraft.dialects.d2l import *", names)

    assert [names[name].__name__ for name in ("os", "torch", "torchvision", "nn", "d2l")] == [
        "os",
        "torch",
        "torchvision",
        "torch.nn",
        "regraft.dialects.d2l",
    ]
    assert names["d2l"].try_all_gpus is names["try_all_gpus"]


def test_torchvision_can_be_imported_in_a_process_that_began_with_the_dialect():
    code = "from regraft.dialects import d2l\nimport torchvision\nprint(d2l.torchvision is torchvision)"

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert child.stdout == "True\n", child.stderr


def test_the_books_file_is_the_one_that_the_book_names_and_that_regraft_fetches():
    url, sha1 = d2l.DATA_HUB["hotdog"]

    assert (url, sha1) == (
        "http://d2l-data.s3-accelerate.amazonaws.com/hotdog.zip",
        "fba480ffa8aa7e0febbb511d181409f899b9baa5",
    )
    assert SETS["hotdog"].files == (remote(url, sha1=sha1),)


def test_an_archive_is_fetched_once_and_verified_each_time(hub, capsys):
    first = d2l.download_extract("hotdog")
    again = d2l.download_extract("hotdog")

    assert (first, len(hub.requests)) == (again, 1)
    assert sorted(path.relative_to(first).as_posix() for path in Path(first).rglob("*.png")) == sorted(
        f"{split}/{label}/{n}.png"
        for split in ("train", "test")
        for label in ("hotdog", "not-hotdog")
        for n in (0, 1)
    )
    assert capsys.readouterr().out == "Fetching hotdog.zip ...\nUnpacking hotdog.zip ...\n"


def test_a_download_is_resumed_where_it_broke_off(web, archive, monkeypatch):
    monkeypatch.setattr("regraft.store.fetch.BACKOFF", 0.01)
    url = web.serve("/hotdog.zip", archive, web.cut(500))

    path = d2l.download(url, sha1_hash=hashlib.sha1(archive).hexdigest())

    assert Path(path).read_bytes() == archive
    assert [asked for _, asked, _ in web.requests] == ["", "bytes=500-"]


def test_another_file_than_the_sha1_says_is_refused_after_the_download(hub, monkeypatch):
    url, _ = d2l.DATA_HUB["hotdog"]
    monkeypatch.setitem(d2l.DATA_HUB, "hotdog", (url, "0" * 40))

    with pytest.raises(IntegrityError, match=r"it has sha1 \w+ instead of 0000"):
        d2l.download("hotdog")


def test_a_copy_that_was_damaged_since_is_fetched_again(hub, archive):
    path = Path(d2l.download("hotdog"))
    path.chmod(0o644)
    path.write_bytes(archive[:-1])

    again = Path(d2l.download("hotdog"))

    assert (again.read_bytes(), len(hub.requests)) == (archive, 2)


def test_without_a_network_the_file_is_named_and_used_where_a_person_puts_it(hub, archive, monkeypatch):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")
    with pytest.raises(FetchError) as caught:
        d2l.download_extract("hotdog")
    url, sha1 = d2l.DATA_HUB["hotdog"]
    words = re.fullmatch(
        rf"Take hotdog.zip \(sha1 {sha1}\) from {re.escape(url)} and put it at (.*)\.", caught.value.hint
    )

    Path(words[1]).parent.mkdir(parents=True, exist_ok=True)
    Path(words[1]).write_bytes(archive)
    folder = d2l.download_extract("hotdog")

    assert (Path(folder).name, hub.requests) == ("hotdog", [])


def test_a_copy_of_the_book_s_own_downloader_is_used_where_it_lies(hub, archive, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hotdog.zip").write_bytes(archive)

    path = d2l.download("hotdog", folder=str(tmp_path / "data"))

    assert (path, hub.requests) == (str(tmp_path / "data" / "hotdog.zip"), [])


def test_a_name_that_is_not_known_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        d2l.download_extract("hotdgo")

    assert (str(caught.value), caught.value.hint) == (
        "DATA_HUB has no file 'hotdgo'.",
        "Did you mean 'hotdog'?",
    )


def test_a_folder_that_the_archive_does_not_hold_is_named_with_those_that_it_holds(hub):
    with pytest.raises(NotFoundError) as caught:
        d2l.download_extract("hotdog", folder="hotdogs")

    assert (str(caught.value), caught.value.hint) == (
        "'hotdog.zip' holds no folder 'hotdogs'.",
        "It holds hotdog.",
    )


def test_an_archive_is_unpacked_where_one_says_and_nothing_is_overwritten(hub, tmp_path):
    path = d2l.download("hotdog")

    folder = d2l.extract(path, str(tmp_path / "out"))

    assert (folder, (tmp_path / "out/hotdog/test/hotdog/0.png").is_file()) == (str(tmp_path / "out"), True)
    with pytest.raises(NotFoundError, match=r"There is no archive 'none\.zip'"):
        d2l.extract("none.zip")


def test_pictures_and_tensors_are_shown_as_far_as_there_are_cells(draw):
    pictures = [draw(0), torch.zeros(3, 4, 4), torch.ones(4, 4, requires_grad=True), draw(1)]

    figure = d2l.show_images(pictures, 1, 3, titles=["a", "b", "c", "d"], scale=1)

    assert str(figure) == "3 pictures"
    assert re.findall(r"<title>(\w)</title>", figure.svg) == ["a", "b", "c"]
    assert '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 312 126"' in figure.svg


def test_a_notebook_shows_pictures_once_also_behind_a_semicolon(draw, notebook):
    figure = d2l.show_images([draw(0), draw(1)], 1, 2)

    shown = [str(each) for each in notebook]
    figure._ipython_display_()  # what a notebook calls where the figure is the last line

    assert (shown, [str(each) for each in notebook]) == (["2 pictures"], ["2 pictures"])
    assert figure.svg == notebook[0].svg


def test_sums_and_clocks_are_those_of_the_book():
    metric, timer = d2l.Accumulator(2), d2l.Timer()
    metric.add(1, 2.5)
    metric.add(torch.tensor(2), 1)
    timer.times = [1.0, 3.0]

    sums = metric[0], metric[1]
    metric.reset()

    assert (sums, metric.data) == ((3.0, 3.5), [0.0, 0.0])
    assert (timer.sum(), timer.avg(), timer.cumsum()) == (4.0, 2.0, [1.0, 4.0])
    assert timer.stop() == timer.times[-1] >= 0


def test_an_animator_draws_with_fewer_words_than_the_book_s(tmp_path, capsys):
    animator = d2l.Animator(
        xlabel="epoch", xlim=[1, 2], ylim=[0, 1], legend=["a", "b"], path=str(tmp_path / "a.svg")
    )
    animator.add(1, (0.5, None))
    animator.add(1, (None, 0.25))

    single = d2l.Animator()
    single.add(1, 2)

    assert capsys.readouterr().out == "epoch 1: a 0.500, b 0.250\n1: y 2.000\n"
    assert (tmp_path / "a.svg").read_text().count("<circle") == 2


@pytest.mark.parametrize(
    ("legend", "y", "line"),
    [
        ("loss", 0.5, "loss 0.500"),
        (None, torch.tensor([0.5, 0.25]), "y1 0.500, y2 0.250"),
        (["a"], np.array([0.5, 0.25]), "a 0.500, y2 0.250"),
        (["a", "b"], (torch.tensor(0.5), np.float32(0.25)), "a 0.500, b 0.250"),
        (list("abcde"), range(5), "a 0.000, b 1.000, c 2.000, d 3.000, e 4.000"),
    ],
    ids=["one name", "tensor", "array", "numbers of both", "five"],
)
def test_an_animator_takes_points_as_the_book_s_does(tmp_path, capsys, legend, y, line):
    animator = d2l.Animator(legend=legend, path=str(tmp_path / "a.svg"))

    animator.add(1, y)

    assert capsys.readouterr().out == f"1: {line}\n"
    assert (tmp_path / "a.svg").read_text().count("<circle") == line.count(",") + 1


def test_accuracy_counts_and_the_part_is_of_all_pictures(tiny, batches):
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    with torch.no_grad():
        tiny.fc.weight.zero_()
        tiny.fc.bias.copy_(torch.tensor([0.0, 1.0]))

    counted = (
        d2l.accuracy(logits, torch.tensor([1, 1, 1])),
        d2l.accuracy(torch.tensor([1, 0]), torch.tensor([1, 1])),
    )
    part = d2l.evaluate_accuracy_gpu(tiny, [*batches(1, 4), *batches(1, 1)])

    assert (counted, part, tiny.training) == ((2.0, 1.0), 2 / 5, False)
    with pytest.raises(InvalidError, match="There is no picture to measure with"):
        d2l.evaluate_accuracy_gpu(tiny, [])


def test_losses_are_summed_before_the_step(tiny, batches):
    [(pictures, targets)] = batches(1, 8)
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.01)
    before = tiny.fc.bias.detach().clone()
    tiny.train()
    nn.CrossEntropyLoss(reduction="sum")(tiny(pictures), targets).backward()
    gradient = tiny.fc.bias.grad.clone()

    loss, right = d2l.train_batch_ch13(
        tiny, pictures, targets, nn.CrossEntropyLoss(reduction="none"), trainer, CPU
    )

    assert torch.allclose(tiny.fc.bias, before - 0.01 * gradient)
    assert (loss > 8 * 0.1, right in range(9)) == (True, True)


@pytest.mark.parametrize(("count", "size"), [(1, 4), (3, 4), (4, 1), (5, 2), (12, 2)])
def test_curves_are_drawn_with_any_number_of_batches(tiny, batches, tmp_path, capsys, count, size):
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.01)
    path = tmp_path / "curve.svg"

    curve = d2l.train_ch13(
        tiny,
        batches(count, size),
        batches(1, 4),
        nn.CrossEntropyLoss(reduction="none"),
        trainer,
        2,
        CPU,
        curve=str(path),
    )

    every = max(1, count // 5)
    places = [n for n in range(1, count + 1) if n % every == 0 or n == count]
    assert [x for x, _ in curve.points["train loss"]] == [
        epoch + n / count for epoch in (0, 1) for n in places
    ]
    assert [x for x, _ in curve.points["test acc"]] == [1, 2]
    said = capsys.readouterr().out.splitlines()
    number = r"\d+\.\d{3}"
    assert re.fullmatch(rf"epoch 2: train loss {number}, train acc {number}, test acc {number}", said[-4])
    assert re.fullmatch(rf"loss {number}, train acc {number}, test acc {number}", said[-3])
    assert re.fullmatch(r"\d+\.\d examples/sec on \[device\(type='cpu'\)\]", said[-2])
    assert said[-1] == f"The curves are drawn in {path}"
    assert path.is_file()


def test_without_a_notebook_or_a_name_the_curves_are_in_the_workspace(
    tiny, batches, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "home"))
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.01)

    d2l.train_ch13(tiny, batches(1, 4), batches(1, 4), nn.CrossEntropyLoss(reduction="none"), trainer, 1)

    [path] = (tmp_path / "home" / "cache" / "curves").iterdir()
    assert capsys.readouterr().out.splitlines()[-1] == f"The curves are drawn in {path}"


def test_the_notes_reduction_is_understood_and_explained(tiny, batches, capsys):
    groups = [{"params": tiny.norm.parameters()}, {"params": tiny.fc.parameters(), "lr": 5e-4}]
    trainer = torch.optim.SGD(groups, lr=5e-5, weight_decay=0.001)
    loss = nn.CrossEntropyLoss(reduction="None")

    d2l.train_ch13(tiny, batches(1, 128), batches(1, 4), loss, trainer, 1, CPU)

    assert capsys.readouterr().out.splitlines()[:2] == [
        "reduction='None' is taken for 'none', a loss for each picture; torch itself refuses it.",
        "The 128 losses of a batch are summed. With their mean the same steps need rate 0.0064 in place of "
        "5e-05, rate 0.064 in place of 0.0005, weight decay 7.81e-06 in place of 0.001.",
    ]
    assert loss.reduction == "None"  # what came is left alone
    with pytest.raises(ValueError, match="None is not a valid value for reduction"):
        loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))


def test_a_mean_is_explained_the_other_way_round_and_shown_for_each_picture(tiny, batches, capsys):
    trainer = torch.optim.SGD(tiny.parameters(), lr=1e-9)

    mean = d2l.train_ch13(tiny, batches(2, 4), batches(1, 4), nn.CrossEntropyLoss(), trainer, 1, CPU)
    said = capsys.readouterr().out.splitlines()[0]
    each = d2l.train_ch13(
        tiny, batches(2, 4), batches(1, 4), nn.CrossEntropyLoss(reduction="none"), trainer, 1, CPU
    )

    assert said == (
        "The 4 losses of a batch are averaged. With their sum, as in the book, the same steps need "
        "rate 2.5e-10 in place of 1e-09."
    )
    assert [y for _, y in mean.points["train loss"]] == pytest.approx(
        [y for _, y in each.points["train loss"]], rel=1e-4
    )


def test_a_reduction_that_nobody_knows_is_refused(tiny, batches):
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.1)

    with pytest.raises(InvalidError) as caught:
        d2l.train_ch13(
            tiny, batches(1, 4), batches(1, 4), nn.CrossEntropyLoss(reduction="avg"), trainer, 1, CPU
        )

    assert (str(caught.value), caught.value.hint) == (
        "The loss has the reduction 'avg'.",
        "Give it reduction='none', a loss for each picture, as the book does.",
    )


def test_a_loss_that_is_no_number_ends_it_before_the_net_is_spoiled(tiny, batches):
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.1)
    with torch.no_grad():
        tiny.fc.bias.fill_(float("inf"))
    before = tiny.fc.weight.detach().clone()

    with pytest.raises(RunDiverged, match="The loss of a batch is not a finite number"):
        d2l.train_ch13(
            tiny, batches(1, 4), batches(1, 4), nn.CrossEntropyLoss(reduction="none"), trainer, 1, CPU
        )

    assert torch.equal(tiny.fc.weight, before)


@pytest.mark.parametrize(("count", "epochs"), [(0, 1), (1, 0)])
def test_no_batches_or_epochs_are_no_training(tiny, batches, count, epochs):
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.1)

    with pytest.raises(InvalidError) as caught:
        d2l.train_ch13(
            tiny, batches(1, 4)[:count], [], nn.CrossEntropyLoss(reduction="none"), trainer, epochs, CPU
        )

    assert str(caught.value) == f"{count} batches and {epochs} epochs are no training."


def test_the_exercise_that_freezes_the_new_layer_too_is_named(tiny, batches):
    for parameter in tiny.parameters():
        parameter.requires_grad = False
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.1)

    with pytest.raises(InvalidError) as caught:
        d2l.train_ch13(
            tiny, batches(1, 4), batches(1, 4), nn.CrossEntropyLoss(reduction="none"), trainer, 1, CPU
        )

    assert (str(caught.value), caught.value.hint) == (
        "Whatever the trainer holds is frozen, the new output layer too, so that nothing would learn.",
        "d2l.freeze(net) freezes all but the output layer.",
    )


def test_what_is_frozen_stays_with_its_statistics_and_the_rest_learns(tiny, batches):
    count = d2l.freeze(tiny)
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    trainer = torch.optim.SGD(tiny.parameters(), lr=0.1)

    d2l.train_ch13(tiny, batches(2, 4), batches(1, 4), nn.CrossEntropyLoss(reduction="none"), trainer, 1, CPU)

    moved = {name for name, tensor in tiny.state_dict().items() if not torch.equal(tensor, before[name])}
    assert (count, moved) == (2, {"fc.weight", "fc.bias"})


def test_layers_are_frozen_by_name_and_a_wrong_name_is_told():
    net = builders.build("torchvision:resnet18", in_channels=3, drop_path=0.0).net

    count = d2l.freeze(net, "conv1.*", "bn1.*", "layer1.*", "layer2.*")

    frozen = {name.partition(".")[0] for name, p in net.named_parameters() if not p.requires_grad}
    assert (count, frozen) == (30, {"conv1", "bn1", "layer1", "layer2"})
    with pytest.raises(InvalidRecipe, match=r"No parameter of the net has a name like 'layer9\.\*'"):
        d2l.freeze(net, "layer9.*")


def test_the_row_of_hotdog_is_found_by_its_name():
    torch.manual_seed(0)
    old = nn.Sequential(OrderedDict(fc=nn.Linear(8, 1000)))
    net = nn.Sequential(OrderedDict(fc=nn.Linear(8, 2)))
    other = net.fc.weight[1].detach().clone()

    named = d2l.reuse_labels(net, old, ["hotdog", "not-hotdog"])

    assert named == {"hotdog": "hotdog, hot dog, red hot"}
    assert torch.equal(net.fc.weight[0], old.fc.weight[934])
    assert torch.equal(net.fc.bias[0], old.fc.bias[934])
    assert torch.equal(net.fc.weight[1], other)


def test_classes_that_imagenet_does_not_have_and_nets_without_an_output_are_told():
    net = nn.Sequential(nn.Linear(8, 2))

    with pytest.raises(NotFoundError, match=r"ImageNet has none of the classes \['wolves'\]"):
        d2l.reuse_labels(net, net, ["wolves"])
    with pytest.raises(InvalidError, match="The net has no linear layer to be its output"):
        d2l.freeze(nn.Sequential(nn.Conv2d(3, 2, 1)))


def test_the_output_learns_ten_times_as_fast_and_a_folder_of_pictures_is_enough(make_folder, capsys):
    folder = make_folder({f"{s}/{c}": 2 for s in ("train", "test") for c in ("hotdog", "not-hotdog")})
    torch.manual_seed(0)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))

    curve = d2l.train_fine_tuning(net, 5e-5, batch_size=4, num_epochs=2, data_dir=str(folder))
    grouped = capsys.readouterr().out
    d2l.train_fine_tuning(net, 5e-4, batch_size=4, num_epochs=1, param_group=False, data_dir=str(folder))
    plain = capsys.readouterr().out

    assert "need rate 0.002 in place of 0.0005, weight decay" in plain
    assert "need rate 0.0002 in place of 5e-05, rate 0.002 in place of 0.0005, weight decay" in grouped
    assert [len(points) for points in curve.points.values()] == [2, 2, 2]


def test_without_a_gpu_the_processor_is_the_only_device():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")

    assert (d2l.try_gpu(), d2l.try_gpu(3), d2l.try_all_gpus()) == (*CPU, *CPU, CPU)


def test_a_picture_that_is_none_is_told_by_the_gate(make_folder):
    folder = make_folder({f"{s}/{c}": 1 for s in ("train", "test") for c in ("hotdog", "not-hotdog")})
    (folder / "train" / "hotdog" / "0.png").write_bytes(b"no picture")

    with pytest.raises(InvalidPicture, match="not a picture: plain text"):
        d2l.train_fine_tuning(nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), 0.1, data_dir=str(folder))
