"""The words of MindSpore Hub's tutorial, one by one."""

import logging
import re
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import regraft
from regraft.dialects import mindspore_hub as mshub
from regraft.dialects.mindspore_hub import (
    Momentum,
    P,
    SoftmaxCrossEntropyWithLogits,
    Tensor,
    create_dataset,
    get_lr,
    load_checkpoint,
    load_param_into_net,
    nn,
    save_checkpoint,
)
from regraft.errors import (
    FetchError,
    IntegrityError,
    InvalidError,
    InvalidRecipe,
    MismatchError,
    NotFoundError,
    RunDiverged,
    StorageError,
)
from regraft.hub import nets

SEED = {"lr_init": 0, "lr_max": 0.05, "lr_end": 0.001, "warmup_epochs": 5, "total_epochs": 60}


@pytest.fixture
def weights(tmp_path):
    """A file of weights that nobody trained, and its sha256."""
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_file(nets.original_state(nets.build("test_resnet")), path)
    return path, sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def names(monkeypatch):
    """A catalogue that a test may add to."""
    own = dict(mshub.catalogue())
    monkeypatch.setattr(mshub, "catalogue", lambda: own)
    return own


def classifier(seed=0):
    """A cell that learns: a convolution, a norm and a layer."""
    torch.manual_seed(seed)
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=8), torch.nn.BatchNorm2d(4))
    return nn.SequentialCell([body, mshub.ReduceMeanFlatten(), nn.Dense(4, 2)])


def test_the_rates_are_those_of_the_published_function():
    rates = get_lr(global_step=0, steps_per_epoch=100, **SEED)

    shown = [float(rates[step]) for step in (0, 100, 500, 600, 3250, 5900, 5999)]
    assert (rates.dtype, len(rates)) == (np.float32, 6000)
    assert shown == pytest.approx([0, 0.01, 0.05, 0.04996, 0.0255, 0.00104, 0.001], abs=5e-6)
    assert rates[0] == 0
    assert rates[-1] > 0.001


def test_later_rates_are_a_part_of_all_rates():
    whole = get_lr(global_step=0, steps_per_epoch=7, **SEED)

    assert np.array_equal(get_lr(global_step=100, steps_per_epoch=7, **SEED), whole[100:])


@pytest.mark.parametrize(("warmup", "total"), [(0, 3), (3, 3), (1.5, 2)])
def test_odd_warm_ups_give_a_rate_for_every_step(warmup, total):
    options = {**SEED, "warmup_epochs": warmup, "total_epochs": total}

    rates = get_lr(global_step=0, steps_per_epoch=4, **options)

    assert len(rates) == 4 * total
    assert np.isfinite(rates).all()
    assert rates.max() == pytest.approx(0.05, rel=0.34)


def test_rates_that_cannot_be_are_refused():
    with pytest.raises(InvalidRecipe):
        get_lr(global_step=0, steps_per_epoch=4, **{**SEED, "lr_max": -1})
    with pytest.raises(InvalidError, match="no step after step 240"):
        get_lr(global_step=240, steps_per_epoch=4, **SEED)
    with pytest.raises(InvalidError, match="An epoch has 0 steps"):
        get_lr(global_step=0, steps_per_epoch=0, **SEED)


def test_rates_without_steps_are_worked_out_from_the_first_batch_of_a_data_set(make_folder):
    pictures = create_dataset(make_folder({"cat": 4, "dog": 4}), do_train=True, batch_size=3)
    net = classifier()
    rates = Tensor(get_lr(global_step=0, **SEED))
    step = nn.TrainOneStepCell(nn.WithLossCell(net, torch.nn.CrossEntropyLoss()), momentum(net, rates))

    data, label = next(iter(pictures))
    step(Tensor(data), Tensor(label))

    told = get_lr(global_step=0, steps_per_epoch=2, **SEED)
    assert pictures.get_dataset_size() == 2
    assert [rates(number) for number in range(120)] == told.tolist()
    assert rates(1000) == told[-1]


def test_rates_without_steps_and_without_a_data_set_say_what_is_missing():
    net = classifier()
    step = nn.TrainOneStepCell(
        nn.WithLossCell(net, torch.nn.CrossEntropyLoss()), momentum(net, Tensor(get_lr(0, 0, 0, 0.1, 1, 2)))
    )

    with pytest.raises(InvalidError) as caught:
        step(torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))

    assert caught.value.where == "steps_per_epoch"
    assert "dataset.get_dataset_size()" in caught.value.hint


def momentum(net, rates):
    return Momentum(filter(lambda x: x.requires_grad, net.get_parameters()), rates, 0.9, 4e-5)


def test_momentum_takes_a_rate_for_each_step_and_spares_norms_from_decay():
    net = classifier()
    rates, decay = [0.0, 0.1, 0.2], 0.5
    optimizer = Momentum(net.trainable_params(), Tensor(np.array(rates)), 0.9, decay)
    own = {p.name: p.value.detach().clone() for p in net.get_parameters()}
    speed = {name: torch.zeros_like(value) for name, value in own.items()}
    spared = {"0.1.weight", "0.1.bias"}

    for rate in [*rates, rates[-1]]:
        for name, parameter in net.named_parameters():
            parameter.grad = torch.ones_like(parameter)
            speed[name] = 0.9 * speed[name] + 1 + (0 if name in spared else decay) * own[name]
            own[name] = own[name] - rate * speed[name]
        optimizer.step()

    assert {"0.1.weight", "0.0.bias", "2.bias"} < own.keys()
    for name, parameter in net.named_parameters():
        assert torch.allclose(parameter, own[name], atol=1e-6), name


def test_the_recipe_spares_norms_from_decay_as_momentum_does():
    table = regraft.open().models.groups("torchvision:googlenet", "hub-garbage", classes=2)

    # each of 57 norms has a scale and a shift; the new layer has a bias
    spared = [line.tensors for line in table.lines if line.weight_decay == 0]
    assert (sum(spared), {line.weight_decay for line in table.lines}) == (2 * 57 + 1, {0.0, 4e-5})


def test_cells_compute_what_their_namesakes_compute():
    maps = torch.randn(2, 5, 3, 3)

    mean = P.ReduceMean(keep_dims=True)(maps, (2, 3))

    assert mean.shape == (2, 5, 1, 1)
    assert torch.allclose(P.ReduceMean()(maps), maps.mean())
    assert torch.allclose(nn.Flatten()(mean), mshub.ReduceMeanFlatten()(maps))
    assert torch.allclose(nn.Softmax()(maps).sum(-1), torch.ones(2, 5, 3))
    assert nn.Dense(5, 3)(maps.mean((2, 3))).shape == (2, 3)
    assert [name for name, _ in nn.Dense(5, 3, has_bias=False).named_parameters()] == ["weight"]
    assert nn.Dense(1000, 100).weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_a_layer_with_the_wrong_number_of_channels_says_the_right_one():
    with pytest.raises(MismatchError) as caught:
        nn.Dense(1024, 26)(torch.zeros(2, 512))

    assert str(caught.value) == "A Dense of 1024 channels gets 512."
    assert caught.value.hint == "Write nn.Dense(512, 26)."


def test_a_cell_that_is_not_here_is_named_with_those_that_are():
    with pytest.raises(AttributeError, match=r"Regraft's nn has no 'Conv2d'; it has Cell, Dense, "):
        nn.Conv2d  # noqa: B018


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_loss_is_cross_entropy_in_both_spellings(reduction):
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1], dtype=torch.int32)

    sparse = SoftmaxCrossEntropyWithLogits(sparse=True, reduction=reduction)(logits, labels)
    shares = SoftmaxCrossEntropyWithLogits(reduction=reduction)(logits, torch.eye(3)[labels])

    expected = torch.nn.functional.cross_entropy(logits, labels.long(), reduction=reduction)
    assert torch.allclose(sparse, expected)
    assert torch.allclose(shares, expected)


def test_a_class_that_the_net_has_no_output_for_is_refused():
    with pytest.raises(MismatchError) as caught:
        SoftmaxCrossEntropyWithLogits(sparse=True)(torch.randn(2, 3), torch.tensor([0, 5]))

    assert str(caught.value) == "A picture is of class 5, and the net tells 3 classes apart."
    assert caught.value.hint == "Give the last layer 6 outputs or more: classes count from 0."


def test_a_loss_that_is_not_a_number_ends_the_training():
    net = classifier()
    step = nn.TrainOneStepCell(nn.WithLossCell(net, torch.nn.CrossEntropyLoss()), momentum(net, 0.1))

    with pytest.raises(RunDiverged, match="in step 1"):
        step(torch.full((2, 3, 16, 16), torch.nan), torch.tensor([0, 1]))


def test_set_train_false_keeps_statistics_and_lets_parameters_learn():
    net = classifier()
    step = nn.TrainOneStepCell(nn.WithLossCell(net, torch.nn.CrossEntropyLoss()), momentum(net, 0.1))
    norm = net.get_submodule("0.1")
    before = norm.running_mean.clone(), norm.weight.detach().clone()

    net.set_train(False)
    step(torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 0, 1]))
    kept = norm.running_mean.clone(), norm.weight.detach().clone()
    net.set_train(True)
    step(torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 0, 1]))

    assert torch.equal(kept[0], before[0])
    assert not torch.equal(kept[1], before[1])
    assert not torch.equal(norm.running_mean, before[0])


def test_what_requires_no_gradient_does_not_move():
    net = classifier()
    for parameter in net.get_parameters():
        parameter.requires_grad = parameter.name.startswith("2.")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    step = nn.TrainOneStepCell(nn.WithLossCell(net, torch.nn.CrossEntropyLoss()), momentum(net, 0.1))

    step(torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 0, 1]))

    moved = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"2.weight", "2.bias"}


def test_every_name_of_the_catalogue_means_weights_that_torchvision_publishes_with_that_digest():
    from torchvision.models import get_model_weights

    for name, entry in mshub.catalogue().items():
        architecture, weights = re.fullmatch(r"torchvision:(\w+)/(\w+)", entry.ref).groups()
        assert f"-{entry.sha256}.pth" in get_model_weights(architecture)[weights].url, name
        assert entry.hub, name


@pytest.mark.parametrize(
    "words",
    [
        "mindspore/ascend/0.7/mine_v1",
        "mine_v1",
        "https://hub.example/mindspore/ascend/0.7/mine_v1.md",
        "https://hub.example/details?MindSpore/ascend/0.7/mine_v1",
    ],
)
def test_a_name_may_be_written_as_on_the_hub(names, weights, words):
    path, digest = weights
    mshub.add("mindspore/ascend/0.7/mine_v1", f"file:{path}", digest)

    net = mshub.load(words, include_top=False, num_classes=1000)

    pictures = torch.randn(2, 3, 64, 64)
    assert not net.training
    assert net(pictures).shape[1] == net.output_shape[0]
    assert net(pictures).ndim == 4
    assert torch.equal(net(pictures), mshub.load(f"file:{path}", include_top=False)(pictures))


def test_the_digest_is_compared_at_every_load_also_of_what_is_kept(names, weights):
    path, digest = weights
    mshub.add("mine_v1", f"file:{path}", digest[:12])
    mshub.load("mine_v1")
    torch.manual_seed(1)
    save_file(nets.original_state(nets.build("test_resnet")), path)

    with pytest.raises(IntegrityError) as caught:
        mshub.load("mine_v1")

    assert f"'mine_v1' is known by {digest[:12]}." in str(caught.value)


def test_without_pretrained_weights_are_random_and_names_stay(names, weights):
    mshub.add("mine_v1", f"file:{weights[0]}")
    pretrained = mshub.load("mine_v1", include_top=False)

    fresh = mshub.load("mine_v1", pretrained=False, include_top=False)

    pairs = zip(pretrained.get_parameters(), fresh.get_parameters(), strict=True)
    assert all(one.name == other.name for one, other in pairs)
    assert not torch.equal(*(net.state_dict()["net.trunk.conv1.0.weight"] for net in (pretrained, fresh)))


def test_a_published_net_without_its_weights_needs_no_file(monkeypatch):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")

    net = mshub.load("mindspore/ascend/0.7/googlenet_v1_cifar10", pretrained=False, include_top=False)
    with pytest.raises(FetchError) as caught:
        mshub.load("mindspore/ascend/0.7/googlenet_v1_cifar10")

    assert net.output_shape == (1024, 7, 7)
    assert "googlenet-1378be20.pth" in caught.value.hint
    assert caught.value.hint.endswith("mshub.add('googlenet_v1_cifar10', 'file:PATH').")


def test_with_its_top_a_net_has_as_many_classes_as_asked(names, weights):
    mshub.add("mine_v1", f"file:{weights[0]}")
    pictures = torch.randn(2, 3, 64, 64)

    own, same, other = (mshub.load("mine_v1", num_classes=count) for count in (None, 1000, 5))

    assert torch.equal(own(pictures), same(pictures))
    assert other(pictures).shape == (2, 5)


def test_a_misspelt_name_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        mshub.load("mindspore/ascend/0.7/googlenet_v1_cifar")

    assert str(caught.value) == "The catalogue has no 'googlenet_v1_cifar'."
    assert caught.value.hint.startswith("Did you mean 'googlenet_v1_cifar10'? Or say what it means: ")


def test_an_ascend_is_explained_and_what_is_there_is_not(caplog):
    with caplog.at_level(logging.WARNING):
        mshub.context.set_context(
            mode=mshub.context.GRAPH_MODE, device_target="Ascend", save_graphs=False, device_id=0
        )
        said = caplog.text
        caplog.clear()
        mshub.context.set_context(mode=mshub.context.PYNATIVE_MODE)

    assert "asks for Ascend" in said
    assert caplog.text == ""


def test_pictures_that_are_measured_are_squashed_and_their_middle_is_shown(tmp_path, draw):
    kept = []
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        image = draw(len(label + label[0]) + ord(label[0]), (300, 420))
        image.save(tmp_path / label / "0.png")
        kept.append(image)

    images, labels = next(iter(create_dataset(tmp_path, do_train=False, batch_size=2)))

    squares = [image.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240)) for image in kept]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    wanted = (np.stack([np.asarray(square) for square in squares]) / 255 - mean) / std
    assert np.allclose(images.asnumpy(), wanted.transpose(0, 3, 1, 2), atol=1e-5)
    assert labels.asnumpy().tolist() == [0, 1]


def test_train_pictures_come_in_full_batches_and_change_from_epoch_to_epoch(make_folder):
    folder = make_folder({"train/cat": 4, "train/dog": 3}) / "train"

    first, again = (create_dataset(folder, True, batch_size=2, seed=1) for _ in range(2))
    epochs = [[images.asnumpy() for images, _ in data] for data in (first, first, again)]

    assert [len(epoch) for epoch in epochs] == [3, 3, 3] == [len(first)] * 3
    assert epochs[0][0].shape == (2, 3, 224, 224)
    assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(epochs[0], epochs[2])


def test_an_epoch_may_be_several_passes(make_folder):
    pictures = create_dataset(make_folder({"cat": 2, "dog": 2}), True, batch_size=2, repeat_num=3)

    batches = list(pictures.create_dict_iterator())

    assert len(batches) == pictures.get_dataset_size() == 6
    assert batches[0]["image"].steps_per_epoch == 6
    assert pictures.labels == ("cat", "dog")


@pytest.mark.parametrize("name", ["test", "val", "Validation"])
def test_a_folder_that_is_held_out_is_not_augmented_whatever_the_flag(make_folder, caplog, name):
    folder = make_folder({f"{name}/cat": 2, f"{name}/dog": 1}) / name

    with caplog.at_level(logging.WARNING):
        asked = create_dataset(folder, do_train=True, batch_size=2)
    said = caplog.text
    caplog.clear()
    plain = create_dataset(folder, do_train=False, batch_size=2)

    assert "is held out" in said
    assert caplog.text == ""
    assert sum(len(labels) for _, labels in asked) == 3
    for (one, label), (other, number) in zip(asked, plain, strict=True):
        assert np.array_equal(one.asnumpy(), other.asnumpy())
        assert label.asnumpy().tolist() == number.asnumpy().tolist()


def test_what_cannot_be_learned_from_is_refused(make_folder):
    small = make_folder({"train/cat": 1, "train/dog": 1, "test/cat": 1, "test/wolf": 1})

    with pytest.raises(MismatchError, match="'train' and 'test' have different classes: dog, wolf"):
        create_dataset(small / "train", do_train=True, batch_size=1)
    with pytest.raises(InvalidError, match="holds splits: test, train"):
        create_dataset(small, do_train=True)
    with pytest.raises(InvalidError) as caught:
        create_dataset(make_folder({"cat": 2, "dog": 1}, name="few"), do_train=True, batch_size=32)

    assert "has 3 pictures, which are no batch of 32." in str(caught.value)
    assert caught.value.hint == "Take a batch_size of 3 or less."
    with pytest.raises(NotFoundError):
        create_dataset(small / "nowhere", do_train=True)


def test_a_class_without_a_picture_keeps_its_number(make_folder):
    root = make_folder({"train/cat": 1, "train/dog": 1, "train/wolf": 1, "test/cat": 1, "test/wolf": 2})
    (root / "test" / "dog").mkdir()

    tested = create_dataset(root / "test", do_train=False)

    assert tested.labels == create_dataset(root / "train", True, batch_size=3).labels
    assert [labels.asnumpy().tolist() for _, labels in tested] == [[0, 2, 2]]


def test_what_is_left_out_of_a_folder_is_told(make_folder, caplog):
    root = make_folder({"test/cat": 2, "test/dog": 3})
    (root / "test" / "cat" / "copy.png").write_bytes((root / "test" / "cat" / "0.png").read_bytes())
    (root / "test" / "dog" / "cat.png").write_bytes((root / "test" / "cat" / "1.png").read_bytes())

    tested = create_dataset(root / "test", do_train=False)

    assert sum(len(labels) for _, labels in tested) == 4
    assert caplog.messages == [
        f"3 of the 7 files in {str(root / 'test')!r} are left out, such as 'cat/1.png': the same picture is "
        "labelled 'cat' and 'dog'. All of them: regraft dataset info photos-test:v1"
    ]


def test_classes_are_numbered_by_their_names_as_text(make_folder):
    pictures = create_dataset(make_folder({"1": 1, "2": 2, "10": 3}), do_train=False)

    [(_, numbers)] = pictures

    assert pictures.labels == ("1", "10", "2")
    assert sorted(numbers.asnumpy().tolist()) == [0, 1, 1, 1, 2, 2]
    rows = list(pictures.dataset)
    assert [pictures.labels[number] for number in numbers.asnumpy()] == [row.label for row in rows]


def test_a_model_takes_planned_rates_and_measures_what_it_learned(make_folder):
    pictures = create_dataset(make_folder({"cat": 4, "dog": 4}), do_train=True, batch_size=2)
    net, rates = classifier(), get_lr(global_step=0, **SEED)
    loss = SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    model = mshub.Model(net, loss, momentum(net, Tensor(rates)), metrics={"acc"})
    before = net.state_dict()["2.weight"].clone()

    model.train(1, pictures)

    assert [rates(step) for step in range(240)] == get_lr(global_step=0, steps_per_epoch=4, **SEED).tolist()
    assert not torch.equal(net.state_dict()["2.weight"].cpu(), before)
    assert model.eval(pictures)["acc"] in {count / 8 for count in range(9)}


def test_a_cell_may_stand_in_two_places(tmp_path):
    shared = nn.Dense(2, 2)

    save_checkpoint(nn.SequentialCell(shared, shared), tmp_path / "twice.ckpt")

    assert sorted(load_checkpoint(tmp_path / "twice.ckpt")) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_a_checkpoint_comes_back_by_name_to_the_same_outputs(tmp_path):
    net, other = classifier(), classifier(seed=1)
    path = tmp_path / "ckpt" / "epoch0.ckpt"
    pictures = torch.randn(2, 3, 16, 16)

    save_checkpoint(net, path)
    left = load_param_into_net(other, load_checkpoint(path))

    assert left == []
    assert torch.equal(other.set_train(False)(pictures), net.set_train(False)(pictures))


def test_a_checkpoint_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "epoch0.ckpt"
    save_checkpoint(classifier(), path)
    before = path.read_bytes()
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "swap.flush=ENOSPC@1")

    with pytest.raises(StorageError):
        save_checkpoint(classifier(seed=1), path)

    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["epoch0.ckpt"]


def test_what_of_a_checkpoint_does_not_fit_is_told(tmp_path, caplog):
    save_checkpoint(nn.SequentialCell(nn.Dense(4, 2), nn.Dense(2, 2)), tmp_path / "two.ckpt")
    found = load_checkpoint(tmp_path / "two.ckpt")
    del found["1.bias"]
    found["9.weight"] = torch.zeros(1)

    with caplog.at_level(logging.WARNING):
        left = load_param_into_net(nn.SequentialCell(nn.Dense(4, 2), nn.Dense(2, 2)), found)

    assert left == ["1.bias"]
    assert caplog.messages == [
        "3 tensors were loaded; 1 of the net are not in the checkpoint ('1.bias'), 1 of the checkpoint are "
        "not in the net ('9.weight')."
    ]


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (nn.Dense(4, 2), "0 of its 2 tensors do, 0 have another shape; they have '0.bias', '0.weight'."),
        (
            nn.SequentialCell(nn.Dense(4, 3)),
            "0 of its 2 tensors do, 2 have another shape; first 0.weight [2, 4] for [3, 4].",
        ),
    ],
)
def test_a_checkpoint_of_another_net_is_refused(tmp_path, net, says):
    save_checkpoint(nn.SequentialCell(nn.Dense(4, 2)), tmp_path / "one.ckpt")

    with pytest.raises(MismatchError) as caught:
        load_param_into_net(net, load_checkpoint(tmp_path / "one.ckpt"))

    assert str(caught.value) == f"The checkpoint does not fit the net: {says}"
    assert caught.value.hint.startswith("Build the net as it was when it was saved; it has ")


def test_a_checkpoint_that_is_not_there_or_is_none_is_refused(tmp_path):
    (tmp_path / "junk.ckpt").write_bytes(BytesIO(b"\x0a\x12backbone.weight").getvalue() * 4)

    with pytest.raises(NotFoundError):
        load_checkpoint(tmp_path / "epoch59.ckpt")
    with pytest.raises(InvalidError):
        load_checkpoint(tmp_path / "junk.ckpt")
