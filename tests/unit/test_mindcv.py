"""MindCV's words: what they do here, number by number, and the traps that were repaired."""

import io
import logging
import math
import re
import struct
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

import regraft
from regraft.dialects.mindcv import (
    Callback,
    DownLoad,
    LossMonitor,
    Model,
    TimeMonitor,
    create_dataset,
    create_loader,
    create_loss,
    create_model,
    create_optimizer,
    create_scheduler,
    create_transforms,
    visualize_model,
)
from regraft.dialects.mindspore import Parameter, Tensor
from regraft.errors import (
    ConflictError,
    InvalidArchive,
    InvalidError,
    MismatchError,
    NotFoundError,
    OfflineError,
    RunDiverged,
)
from regraft.hub import nets
from regraft.records import InputSpec

from torchvision import transforms  # isort: skip (nets has made it importable)

pytest_plugins = ["tests.faults.web"]
pytestmark = pytest.mark.usefixtures("one_thread")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = create_transforms(image_resize=32)
AUGMENTED = create_transforms(image_resize=32, is_training=True)


@pytest.fixture
def canidae(tmp_path):
    """A folder of grey wolves and sandy dogs: 7 of each to learn from, 3 of each to measure on."""
    root = tmp_path / "Canidae"
    for split, label, count in (
        ("train", "dogs", 7),
        ("train", "wolves", 7),
        ("val", "dogs", 3),
        ("val", "wolves", 3),
    ):
        (root / split / label).mkdir(parents=True)
        for number in range(count):
            random = np.random.default_rng([number, label == "wolves", split == "val"])
            colour = (90, 95, 105) if label == "wolves" else (200, 160, 90)
            pixels = np.clip(random.normal(colour, 30, (40, 50, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / split / label / f"{number}.png")
    return root


@pytest.fixture
def loader(canidae):
    """Make a loader of the folder: `loader("train", AUGMENTED, batch_size=4)`."""

    def make(split="train", transform=SMALL, *, batch_size=4, shuffle=True, **words):
        dataset = create_dataset(root=canidae, split=split, shuffle=shuffle)
        return create_loader(dataset, batch_size, num_classes=2, transform=transform, **words)

    return make


@pytest.fixture
def weights(tmp_path):
    """Write random weights of a small net: `weights(classes)`."""

    def write(classes=5, name="weights.safetensors"):
        torch.manual_seed(classes)
        net = nets.build("test_resnet")
        state = {key: value.clone() for key, value in nets.original_state(net).items()}
        for part in ("weight", "bias"):
            state[f"fc.{part}"] = torch.randn_like(state[f"fc.{part}"][:classes])
        save_file(state, tmp_path / name)
        return tmp_path / name

    return write


def tuned(network, loader, *, epochs=1, lr=1e-2, **words):
    model = Model(
        network,
        loss_fn=create_loss("CE"),
        optimizer=create_optimizer(network.trainable_params(), lr=lr),
        metrics={"accuracy"},
        **words,
    )
    model.train(epochs, loader)
    return model


def frozen(network):
    for parameter in network.get_parameters():
        if parameter.name not in ("classifier.weight", "classifier.bias"):
            parameter.requires_grad = False
    return network


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(network, before):
    return {name for name, value in network.state_dict().items() if not value.equal(before[name])}


def test_a_split_is_the_pictures_of_its_folder_and_classes_are_numbered_by_name(canidae):
    train, val = (create_dataset(root=f"{canidae}/", split=split) for split in ("train", "val"))

    assert (len(train), val.get_dataset_size(), train.num_classes()) == (14, 6, 2)
    assert train.get_class_indexing() == val.get_class_indexing() == {"dogs": 0, "wolves": 1}
    assert {row.key.split("/")[0] for row in train.rows} == {"train"}


def test_a_split_that_stands_alone_is_taken_whole(make_folder):
    root = make_folder({"train/cat": 12, "train/dog": 12})

    dataset = create_dataset(root=root, split="train")

    assert len(dataset) == 24


def test_a_split_may_be_called_anything(make_folder):
    root = make_folder({"split1/cat": 3, "split1/dog": 2, "split2/cat": 1, "split2/dog": 1})

    dataset = create_dataset(root=root, split="split1")

    assert (len(dataset), dataset.get_class_indexing()) == (5, {"cat": 0, "dog": 1})


def test_what_is_left_out_of_a_split_is_told_and_its_class_keeps_its_number(make_folder, caplog):
    root = make_folder({"train/cat": 1, "train/dog": 3, "train/fox": 2, "val/dog": 1, "val/fox": 1})
    (root / "val" / "cat").mkdir()
    for name in ("train/fox/9.png", "val/cat/0.png"):
        (root / name).write_bytes((root / "train/dog/0.png").read_bytes())
    (root / "train/cat/0.png").write_bytes(b"no picture")

    train = create_dataset(root=root, split="train")
    [(_, numbers)] = create_loader(create_dataset(root=root, split="val"), 4, transform=SMALL)

    assert (len(train), train.get_class_indexing()) == (4, {"cat": 0, "dog": 1, "fox": 2})
    assert sorted(numbers.asnumpy().tolist()) == [1, 2]
    assert [message.partition(", such")[0] for message in caplog.messages] == [
        f"3 of the 7 files in {str(root / 'train')!r} are left out",
        f"1 of the 3 files in {str(root / 'val')!r} are left out",
    ]
    assert caplog.messages[1].endswith(f"regraft dataset info {train.dataset.version}")


def test_a_split_without_a_picture_makes_no_batch_and_says_so(make_folder):
    root = make_folder({"train/cat": 2, "train/dog": 2, "val/cat": 1})
    (root / "val/cat/0.png").write_bytes(b"no picture")

    with pytest.raises(InvalidError) as caught:
        create_loader(create_dataset(root=root, split="val"), 4, transform=SMALL)

    assert str(caught.value) == "There is no picture to make a batch of."
    assert "regraft dataset info NAME" in caught.value.hint


def test_folders_of_one_name_in_two_places_are_two_datasets_and_changes_are_seen(make_folder):
    make_folder({"a/data/train/cat": 2, "a/data/train/dog": 2, "b/data/train/fox": 3, "b/data/train/owl": 3})
    root = make_folder({})

    first, second = (create_dataset(root=root / name / "data") for name in "ab")
    for path in (root / "a/data/train/cat").iterdir():
        path.unlink()
    make_folder({"a/data/train/owl": 1})
    (root / "a/data/train/dog/0.png").unlink()
    (root / "a/data/train/dog/1.png").unlink()
    changed = create_dataset(root=root / "a/data")

    assert [str(each.dataset.version) for each in (first, second, changed)] == [
        "a-data:v1",
        "b-data:v1",
        "a-data:v2",
    ]
    assert [len(each) for each in (first, second, changed)] == [4, 6, 1]


def test_classes_are_numbered_by_their_names_as_text(make_folder):
    root = make_folder({f"{split}/{label}": 2 for split in ("train", "val") for label in ("1", "2", "10")})
    dataset = create_dataset(root=root, shuffle=False)
    loader = create_loader(dataset, 6, transform=SMALL, num_classes=3)
    mixed = create_loader(dataset, 6, transform=SMALL, is_training=True, mixup=1e-9, num_classes=3)

    [(_, numbers)], [(_, shares)] = loader, mixed

    assert dataset.get_class_indexing() == {"1": 0, "10": 1, "2": 2}
    assert [loader.labels[number] for number in numbers.asnumpy()] == [row.label for row in dataset.rows]
    assert np.bincount(shares.asnumpy().argmax(axis=1)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: create_dataset(num_aug_repeats=3), "num_aug_repeats"),
        (lambda: create_transforms(separate=True), "separate"),
        (lambda: create_loader(None, 4, target_transform=str), "target_transform"),
        (lambda: create_model("test_resnet", ema=True), "ema"),
        (lambda: create_model("test_resnet", auto_mapping=True), "auto_mapping"),
        (lambda: create_scheduler(3, num_cycles=2), "num_cycles"),
        (lambda: create_scheduler(3, cycle_decay=0.5), "cycle_decay"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_argument_that_means_nothing_here_is_refused_by_name(call, name):
    with pytest.raises(InvalidError) as caught:
        call()

    assert (str(caught.value), caught.value.where) == (f"There is no {name} here.", name)


def test_a_split_that_is_not_there_names_its_neighbour(canidae):
    with pytest.raises(NotFoundError) as caught:
        create_dataset(root=canidae, split="vall")

    assert str(caught.value) == f"There is no folder {str(canidae / 'vall')!r}."
    assert caught.value.hint == "Did you mean 'val'?"


def test_samples_and_shards_are_parts_that_do_not_change(canidae):
    def keys(**words):
        return [row.key for row in create_dataset(root=canidae, **words).rows]

    shards = [keys(num_shards=2, shard_id=number) for number in (0, 1)]

    assert len(keys(num_samples=5)) == 5
    assert keys(num_samples=5) == keys(num_samples=5)
    assert sorted([*shards[0], *shards[1]]) == sorted(keys())


def test_mnist_is_read_by_name_from_its_files_and_has_one_channel(tmp_path):
    for start, count in (("train", 4), ("t10k", 2)):
        pictures = np.arange(count * 784, dtype=np.uint8).reshape(count, 28, 28)
        for kind, array in (("images-idx3", pictures), ("labels-idx1", np.arange(count, dtype=np.uint8))):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (tmp_path / f"{start}-{kind}-ubyte").write_bytes(head + array.tobytes())

    dataset = create_dataset("mnist", root=tmp_path, split="test", shuffle=False)
    images, labels = next(iter(create_loader(dataset, 2, transform=create_transforms("mnist", 28))))

    expected = (np.arange(784, dtype=np.uint8).reshape(28, 28) / 255 - 0.1307) / 0.3081
    assert (images.shape, labels.asnumpy().tolist()) == ((2, 1, 28, 28), [0, 1])
    np.testing.assert_allclose(images[0, 0].asnumpy(), expected, atol=1e-5)


def test_a_set_that_is_not_known_names_its_neighbour(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        create_dataset("CIFAR11", root=tmp_path)

    assert (str(caught.value), caught.value.hint) == (
        "There is no data set 'cifar11'.",
        "Did you mean 'cifar10'?",
    )


def test_the_steps_for_imagenet_stand_in_mindcvs_order_with_its_defaults():
    plain = create_transforms("ImageNet", is_training=True)
    full = create_transforms(is_training=True, vflip=0.25, color_jitter=0.4, re_prob=0.1)
    spec = InputSpec(size=224, crop=0.875, mean=MEAN, std=STD, interpolation="bilinear")

    part = {
        "name": "random-resized-crop",
        "scale": (0.08, 1.0),
        "ratio": (0.75, 1.333),
        "interpolation": "bilinear",
    }
    assert (plain.augment, plain.spec) == ((part, {"name": "flip", "p": 0.5}), spec)
    assert full.augment[1:] == (
        {"name": "flip", "p": 0.5},
        {"name": "flip", "p": 0.25, "direction": "vertical"},
        {"name": "color-jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
        {"name": "erase", "p": 0.1, "scale": (0.02, 0.33), "ratio": (0.3, 3.3)},
    )
    assert (create_transforms().augment, create_transforms().spec) == ((), spec)


def test_mean_and_deviation_may_be_given_of_255():
    spec = create_transforms(mean=(127.5, 0.0, 255.0), std=(51.0, 51.0, 51.0)).spec

    assert (spec.mean, spec.std) == ((0.5, 0.0, 1.0), (0.2, 0.2, 0.2))


@pytest.mark.parametrize(
    ("words", "entry"),
    [
        ("randaug-m7-mstd0.5-n2", {"name": "randaugment", "num_ops": 2, "magnitude": 21, "std": 1.5}),
        ("augmix-m5-w4-d2", {"name": "augmix", "severity": 5, "width": 4, "depth": 2}),
        ("autoaug", "auto-augment"),
        ("trivialaugwide", "trivial-augment"),
    ],
)
def test_an_automatic_augmentation_takes_the_place_of_colours(loader, words, entry):
    steps = create_transforms(is_training=True, image_resize=32, auto_augment=words, color_jitter=0.4)

    images, _ = next(iter(loader("train", steps)))

    assert steps.augment[2:] == (entry,)
    assert images.shape == (4, 3, 32, 32)


def test_an_automatic_augmentation_that_is_not_there_is_refused():
    with pytest.raises(InvalidError) as caught:
        create_transforms(is_training=True, auto_augment="autoaugr")

    assert str(caught.value) == "There is no automatic augmentation 'autoaugr'."


def test_pictures_are_measured_as_torchvision_prepares_them(canidae):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (301, 450, 3), dtype=np.uint8))
    image.save(canidae / "val/dogs/0.png")
    steps = [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    expected = transforms.Compose(steps)(image)

    dataset = create_dataset(root=canidae, split="val", shuffle=False)
    images, _ = next(iter(create_loader(dataset, 1, transform=create_transforms())))

    torch.testing.assert_close(images[0].as_subclass(torch.Tensor), expected, atol=1e-5, rtol=0)


def test_a_part_is_scaled_mirrored_and_normalised_as_torchvision_does_it(canidae):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (36, 36, 3), dtype=np.uint8))
    image.save(canidae / "val/dogs/0.png")
    whole = create_transforms(is_training=True, image_resize=32, scale=(1, 1), ratio=(1, 1), hflip=1.0)
    steps = [
        transforms.RandomResizedCrop(32, (1, 1), (1, 1)),
        transforms.RandomHorizontalFlip(1.0),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    expected = transforms.Compose(steps)(image)

    dataset = create_dataset(root=canidae, split="val", shuffle=False)
    images, _ = next(iter(create_loader(dataset, 1, transform=whole)))

    # a rounding more or less of 255, divided by the deviation
    torch.testing.assert_close(images[0].as_subclass(torch.Tensor), expected, atol=1.01 / 255 / 0.224, rtol=0)


def test_a_batch_prints_and_answers_as_mindspores_does(loader):
    images, labels = next(loader(shuffle=False).create_tuple_iterator())

    assert (images.shape, str(labels), images[0].asnumpy().dtype) == ((4, 3, 32, 32), "[0 0 0 0]", np.float32)
    assert int(labels[0].asnumpy()) == 0


def test_epochs_differ_and_follow_from_the_seed(loader):
    first, again, other = (
        loader("train", AUGMENTED, seed=seed, num_parallel_workers=w) for seed, w in ((0, 0), (0, 8), (1, 2))
    )

    def seen(loader):
        return torch.cat([images.as_subclass(torch.Tensor) for images, _ in loader])

    one, two = seen(first), seen(first)
    assert not one.equal(two)
    assert (seen(again).equal(one), seen(again).equal(two)) == (True, True)
    assert not seen(other).equal(one)


def test_looking_at_a_batch_does_not_change_what_is_learned(loader, weights):
    path = weights()

    def learned(*, look):
        pictures = loader("train", AUGMENTED)
        if look:
            next(pictures.create_tuple_iterator())
        network = create_model("test_resnet", 2, checkpoint_path=path)
        tuned(network, pictures)
        return copied(network)

    plain, looked = learned(look=False), learned(look=True)

    assert all(value.equal(looked[name]) for name, value in plain.items())


def test_what_is_left_over_is_dropped_only_where_asked(loader):
    sizes = [[len(labels) for _, labels in loader(drop_remainder=drop)] for drop in (False, True)]

    assert sizes == [[4, 4, 4, 2], [4, 4, 4]]
    with pytest.raises(InvalidError) as caught:
        loader(batch_size=15, drop_remainder=True)
    assert str(caught.value) == "The 14 pictures are less than one batch of 15, and the rest is dropped."


def test_mixed_pictures_have_shares_of_classes(loader):
    images, shares = next(iter(loader(mixup=1.0, is_training=True)))
    _, numbers = next(iter(loader(mixup=1.0)))

    assert (images.shape, shares.shape, numbers.shape) == ((4, 3, 32, 32), (4, 2), (4,))
    np.testing.assert_allclose(shares.asnumpy().sum(axis=1), 1, atol=1e-6)


def test_more_classes_than_the_net_tells_apart_are_refused(canidae):
    with pytest.raises(MismatchError) as caught:
        create_loader(create_dataset(root=canidae), 4, num_classes=1)

    assert str(caught.value) == "The dataset has 2 classes, and num_classes is 1."
    assert caught.value.hint == "They are dogs, wolves. Say num_classes=2."


def test_transforms_for_training_on_a_split_that_measures_are_warned_about(loader, caplog):
    loader("val", AUGMENTED)

    assert caplog.messages == [
        "The pictures of 'val' are changed by chance: the transforms are for training."
    ]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "torchvision:squeezenet1_1"])
def test_the_head_is_called_classifier_whatever_the_net(name):
    network = create_model(name, num_classes=3)

    parameters = list(network.get_parameters())

    assert [p.name for p in parameters if p.name.startswith("classifier.")] == [
        "classifier.weight",
        "classifier.bias",
    ]
    assert parameters[-2].shape[0] == 3
    assert not any(p.name.startswith(("net.", "trunk.", "head.weight")) for p in parameters)


def test_weights_of_other_classes_keep_the_trunk_and_get_a_new_classifier_and_it_is_said(weights, caplog):
    path = weights(classes=5)

    network = create_model("test_resnet", num_classes=2, checkpoint_path=path)

    whole = create_model("test_resnet", 5, checkpoint_path=path)
    assert all(
        p.equal(q) for p, q in zip(network.net.trunk.parameters(), whole.net.trunk.parameters(), strict=True)
    )
    assert caplog.messages[0] == (
        "92 tensors of 'timm:test_resnet' are loaded; classifier.weight and classifier.bias are new, for 2 "
        "classes, because the weights know 5."
    )


def test_weights_of_as_many_classes_keep_their_classifier(weights, caplog):
    path = weights(classes=5)

    network = create_model("test_resnet", num_classes=5, checkpoint_path=path)

    torch.manual_seed(5)
    nets.build("test_resnet")
    assert network.net.head.weight.equal(torch.randn(5, network.net.num_features))
    assert caplog.messages == []


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        create_model("test_resnet", 2, checkpoint_path=tmp_path / "best.ckpt")

    assert str(caught.value) == f"There is no file {str(tmp_path / 'best.ckpt')!r}."
    assert caught.value.hint == "Look at checkpoint_path, or leave it out; no weights would have been loaded."


def test_without_a_network_the_file_and_its_place_are_named(monkeypatch):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")

    with pytest.raises(OfflineError) as caught:
        create_model("densenet121", 2, pretrained=True)

    assert "'densenet121-a639ec97.pth' is not on this machine" in str(caught.value)
    assert re.match(
        r"Take densenet121-a639ec97\.pth from https://\S+ and put it at \S+\.pth\. ", caught.value.hint
    )
    assert caught.value.hint.endswith("That is checkpoint_path=FILE of create_model.")


def test_a_net_that_is_not_known_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        create_model("densnet121")

    assert caught.value.hint == "Did you mean 'densenet121'?"


def test_a_file_stands_for_published_weights_in_regraft_load_too(weights):
    path = weights(classes=5)

    net = regraft.load("timm:test_resnet", weights=path)

    network = create_model("test_resnet", 5, checkpoint_path=path)
    assert all(p.equal(q) for p, q in zip(net.parameters(), network.net.parameters(), strict=True))


def test_a_net_with_random_weights_takes_none_from_a_file(weights):
    with pytest.raises(InvalidError) as caught:
        regraft.load("timm:test_resnet", pretrained=False, weights=weights())

    assert str(caught.value) == "A net without pretrained weights takes none from a file."


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_are_those_of_torch(smoothing):
    logits, targets = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 1, 2, 2, 1, 0]),
    )
    shares = functional.one_hot(targets, 3) * (1 - smoothing) + smoothing / 3

    ce = create_loss("CE", weight=[1.0, 2.0, 3.0], label_smoothing=smoothing)(logits, targets)
    bce = create_loss("BCE", label_smoothing=smoothing)(logits, targets)

    weight = torch.tensor([1.0, 2.0, 3.0])
    assert ce.equal(functional.cross_entropy(logits, targets, weight=weight, label_smoothing=smoothing))
    assert bce.equal(functional.binary_cross_entropy_with_logits(logits, shares))


def test_a_loss_that_is_not_there_is_refused():
    with pytest.raises(NotFoundError) as caught:
        create_loss("asl_single_label")

    assert (str(caught.value), caught.value.hint) == (
        "There is no loss 'asl_single_label'.",
        "There is CE and BCE.",
    )


@pytest.mark.parametrize(
    ("chosen", "spared"),
    [
        ("disable", set()),
        ("auto", {"bn1.weight", "bn1.bias"}),
        ("norm_and_bias", {"bn1.weight", "bn1.bias", "fc.bias"}),
    ],
)
def test_the_filter_says_what_does_not_decay(chosen, spared):
    shapes = {
        "conv1.weight": (4, 3, 3, 3),
        "bn1.weight": (4,),
        "bn1.bias": (4,),
        "fc.weight": (2, 4),
        "fc.bias": (2,),
    }
    found = {name: Parameter(name, torch.nn.Parameter(torch.ones(shape))) for name, shape in shapes.items()}

    optimizer = create_optimizer(found.values(), weight_decay=0.1, weight_decay_filter=chosen)

    decays = {
        id(p): group["weight_decay"] for group in optimizer.wrapped.param_groups for p in group["params"]
    }
    assert {name for name, p in found.items() if decays[id(p.value)] == 0} == spared
    assert set(decays.values()) <= {0.0, 0.1}


@pytest.mark.parametrize(
    "name",
    ["sgd", "momentum", "nesterov", "adam", "adamw", "lion", "nadam", "adan", "rmsprop", "adagrad", "lamb"],
)
def test_every_optimizer_lowers_the_loss(timm_can_be_imported, name):
    value = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = create_optimizer([Parameter("fc.weight", value)], opt=name, lr=0.01)

    for _ in range(3):
        value.square().sum().backward()
        optimizer.step()

    assert float(value.detach().square().sum()) < 4


def test_an_optimizer_that_is_not_known_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        create_optimizer([Parameter("fc.weight", torch.nn.Parameter(torch.ones(1)))], opt="adamq")

    assert caught.value.hint == "Did you mean 'adam'?"


def test_each_layer_learns_slower_than_the_one_above_it():
    network = create_model("test_resnet", 2)

    optimizer = create_optimizer(network, lr=1.0, layer_decay=0.5)

    scales = {id(p): group["lr_scale"] for group in optimizer.wrapped.param_groups for p in group["params"]}
    named = {p.name: scales[id(p.value)] for p in network.get_parameters()}
    assert (named["classifier.weight"], named["layer4.0.conv1.weight"]) == (1.0, 0.5)
    assert named["conv1.0.weight"] < named["layer1.0.conv1.weight"] < named["layer4.0.conv1.weight"]
    assert len(scales) == len(list(network.get_parameters()))


def test_tables_of_parameters_have_rates_and_decays_of_their_own():
    one, two = (Parameter(name, torch.nn.Parameter(torch.ones(2, 2))) for name in ("a.weight", "b.weight"))

    tables = [
        {"params": [one], "lr": 0.1, "weight_decay": 0.2},
        {"params": [two]},
        {"order_params": [one, two]},
    ]
    optimizer = create_optimizer(tables, opt="sgd", lr=0.01, weight_decay=0.3)

    found = [(group["lr_scale"], group["weight_decay"]) for group in optimizer.wrapped.param_groups]
    assert found == [(pytest.approx(10), 0.2), (1.0, 0.3)]


def test_a_list_of_rates_is_one_for_each_step():
    value = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = create_optimizer(
        [Parameter("fc.weight", value)], opt="sgd", lr=[0.0, 0.5, 0.25], momentum=0.0
    )
    places = []

    for _ in range(4):
        value.sum().backward()
        optimizer.step()
        places.append(float(value.detach()[0, 0]))

    assert places == [0.0, -0.5, -0.75, -1.0]


def cosine(step, total, low=0.001, high=0.1):
    return low + (high - low) * (1 + math.cos(math.pi * min(step / total, 1))) / 2


@pytest.mark.parametrize(
    ("words", "after"),
    [
        ({"scheduler": "constant"}, lambda step: 0.1),
        ({"scheduler": "cosine_decay", "min_lr": 0.001, "decay_epochs": 4}, lambda step: cosine(step, 12)),
        ({"scheduler": "cosine_decay", "min_lr": 0.001, "decay_epochs": 2}, lambda step: cosine(step, 6)),
        (
            {"scheduler": "step_decay", "decay_epochs": 2, "decay_rate": 0.5},
            lambda step: 0.1 * 0.5 ** (step // 6),
        ),
        ({"scheduler": "exponential_decay", "decay_rate": 0.8}, lambda step: 0.1 * 0.8 ** (step / 3)),
        ({"scheduler": "polynomial_decay", "decay_rate": 2.0}, lambda step: 0.1 * (1 - step / 12) ** 2),
        (
            {"scheduler": "multi_step_decay", "milestones": [1, 3], "decay_rate": 0.1},
            lambda step: 0.1 * 0.1 ** ((step >= 3) + (step >= 9)),
        ),
    ],
    ids=lambda value: value["scheduler"] if isinstance(value, dict) else "",
)
def test_a_scheduler_lists_the_rate_of_every_step(words, after):
    rates = create_scheduler(3, lr=0.1, warmup_epochs=2, warmup_factor=0.0, num_epochs=6, **words)

    expected = [*(0.1 * step / 6 for step in range(6)), *(after(step) for step in range(12))]
    assert rates == pytest.approx(expected)


def test_a_stair_keeps_the_rate_within_an_epoch():
    rates = create_scheduler(
        2,
        "cosine_decay",
        lr=0.1,
        min_lr=0.001,
        warmup_epochs=2,
        decay_epochs=2,
        num_epochs=4,
        lr_epoch_stair=True,
    )

    assert rates == pytest.approx([0.0, 0.0, 0.05, 0.05, 0.1, 0.1, cosine(1, 2), cosine(1, 2)])


def test_a_rate_of_nothing_stays_and_is_nothing_to_fall_from():
    rates = create_scheduler(2, "constant", lr=0, warmup_epochs=1, num_epochs=2)

    assert rates == [0, 0, 0, 0]
    for words in ({"scheduler": "cosine_decay", "lr": 0}, {"lr": -1}):
        with pytest.raises(InvalidError, match="is none to begin with"):
            create_scheduler(2, **words)


def test_a_warm_up_may_end_within_an_epoch():
    rates = create_scheduler(4, "constant", lr=0.6, warmup_epochs=1.5, num_epochs=3)

    assert rates == pytest.approx([0.1 * step for step in range(6)] + [0.6] * 6)


def test_a_scheduler_that_is_not_known_names_its_neighbour():
    with pytest.raises(NotFoundError) as caught:
        create_scheduler(3, "cosine_deca")

    assert caught.value.hint == "Did you mean 'cosine_decay'?"


def test_the_monitors_print_lines_of_the_shape_that_people_know(loader, capsys):
    network = create_model("test_resnet", 2)
    model = Model(network, create_loss(), create_optimizer(network.trainable_params()), {"accuracy"})

    model.train(2, loader(), callbacks=[LossMonitor(3), TimeMonitor(3)], dataset_sink_mode=False)

    lines = capsys.readouterr().out.splitlines()
    time = r"Train epoch time: +\d+\.\d{3} ms, per step time: +\d+\.\d{3} ms"
    loss = r"loss is \d\.\d+"
    patterns = [rf"epoch: 1 step: 3, {loss}", time, rf"epoch: 2 step: 2, {loss}", time]
    assert [bool(re.fullmatch(p, line)) for p, line in zip(patterns, lines, strict=True)] == [True] * 4


def test_a_net_learns_and_is_measured(loader):
    model = tuned(create_model("test_resnet", 2), loader(), epochs=8)

    result = model.eval(loader("val", batch_size=5))

    assert str(result) == "{'accuracy': 1.0}"


def test_metrics_are_measured_by_name_or_by_ones_own(loader):
    class Count:
        def clear(self):
            self.seen = 0

        def update(self, logits, targets):
            self.seen += len(targets.asnumpy()) * logits.shape[1]

        def eval(self):
            return self.seen

    network = create_model("test_resnet", 2)
    names = {"acc": "accuracy", "five": "top_5_accuracy", "loss": "loss", "seen": Count()}

    result = Model(network, create_loss(), metrics=names).eval(loader("val"))

    assert {key: result[key] for key in ("five", "seen")} == {"five": 1.0, "seen": 12}
    assert (result["acc"], result["loss"]) == (0.5, pytest.approx(math.log(2)))


def test_mixed_pictures_count_as_the_class_with_the_greater_share():
    class Known(torch.nn.Module):
        def forward(self, images):
            return torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])

    shares = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9]])

    found = Model(Known(), metrics={"accuracy"}).eval([(torch.zeros(3, 1), shares)])

    assert found == {"accuracy": pytest.approx(2 / 3)}


def test_a_metric_that_is_not_known_is_refused():
    with pytest.raises(NotFoundError) as caught:
        Model(create_model("test_resnet", 2), metrics={"acuracy"})

    assert (str(caught.value), caught.value.hint) == (
        "There is no metric 'acuracy'.",
        "Did you mean 'accuracy'?",
    )


def test_a_model_without_a_loss_cannot_learn(loader):
    with pytest.raises(InvalidError) as caught:
        Model(create_model("test_resnet", 2)).train(1, loader())

    assert str(caught.value) == "The model has no loss or no optimizer, and cannot learn."


def test_a_rate_that_is_far_too_high_ends_with_words(loader):
    with pytest.raises(RunDiverged):
        tuned(create_model("test_resnet", 2), loader(), epochs=5, lr=1e30)


def test_what_is_frozen_by_name_stays_with_its_statistics(loader, weights):
    network = frozen(create_model("test_resnet", 2, checkpoint_path=weights()))
    before = copied(network)

    tuned(network, loader())

    assert [p.name for p in network.trainable_params()] == ["classifier.weight", "classifier.bias"]
    assert changed(network, before) == {"net.head.weight", "net.head.bias"}


def test_the_statistics_of_what_is_frozen_move_where_that_is_asked_for(loader, weights):
    network = frozen(create_model("test_resnet", 2, checkpoint_path=weights()))
    before = copied(network)

    tuned(network, loader(), freeze_stats=False)

    moved = changed(network, before) - {"net.head.weight", "net.head.bias"}
    assert {name.rpartition(".")[2] for name in moved} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_a_second_part_goes_on_from_the_tuned_net_and_says_so(loader, weights, caplog):
    network = create_model("test_resnet", 5, checkpoint_path=weights(classes=5))
    tuned(network, loader(), epochs=3)
    after = copied(network)

    tuned(frozen(network), loader())

    assert caplog.messages == [
        "The network has learned for 3 epochs already, and goes on from there. Build it anew to begin from "
        "the weights that it began with."
    ]
    assert changed(network, after) == {"net.head.weight", "net.head.bias"}


def test_a_second_part_on_a_net_that_is_built_anew_begins_with_the_pretrained_weights(
    loader, weights, caplog
):
    path = weights(classes=2)
    began = copied(create_model("test_resnet", 2, checkpoint_path=path))
    tuned(create_model("test_resnet", 2, checkpoint_path=path), loader())

    network = frozen(create_model("test_resnet", 2, checkpoint_path=path))
    anew = changed(network, began)
    tuned(network, loader())

    assert (anew, changed(network, began)) == (set(), {"net.head.weight", "net.head.bias"})
    assert caplog.messages == []


def test_training_goes_on_where_it_stopped(loader, weights):
    path = weights()
    whole, parts = (create_model("test_resnet", 2, checkpoint_path=path) for _ in range(2))
    tuned(whole, loader("train", AUGMENTED), epochs=3)

    tuned(parts, loader("train", AUGMENTED), epochs=1).train(2, loader("train", AUGMENTED))

    assert changed(parts, copied(whole)) == set()


def test_a_callback_may_end_training(loader):
    class Enough(Callback):
        steps = 0

        def step_end(self, run_context):
            facts = run_context.original_args()
            self.steps = facts.cur_step_num
            assert float(facts.net_outputs.asnumpy()) > 0
            if facts.cur_epoch_num == 2:
                run_context.request_stop()

    network = create_model("test_resnet", 2)
    watching = Enough()

    Model(network, create_loss(), create_optimizer(network.trainable_params())).train(9, loader(), watching)

    assert watching.steps == 5


def test_batches_of_torch_are_learned_from_too(weights):
    images, labels = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 0, 1, 0, 1])
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=3)
    network = create_model("test_resnet", 2)
    before = copied(network)

    model = tuned(network, batches)

    assert "net.head.weight" in changed(network, before)
    assert set(model.eval(batches)) == {"accuracy"}


def test_a_prediction_is_a_tensor_with_asnumpy(loader):
    network = create_model("test_resnet", 2)
    images, _ = next(loader("val").create_tuple_iterator())

    output = Model(network).predict(images)

    assert (type(output), output.asnumpy().shape, output.requires_grad) == (Tensor, (4, 2), False)


def test_predictions_are_drawn_in_blue_and_red(loader, tmp_path):
    network = create_model("test_resnet", 2)  # its classifier is zero: everything is the first class
    pictures = loader("val", batch_size=6, shuffle=False)

    figure = visualize_model(Model(network), pictures, path=tmp_path / "shown.svg")

    svg = (tmp_path / "shown.svg").read_text()
    assert figure.svg == svg
    assert re.findall(r'<text class="(\w+)"[^>]*>([^<]*)', svg) == [
        *[("right", "predict:dogs")] * 3,
        *[("wrong", "predict:dogs")] * 3,
    ]


def test_the_drawn_pictures_are_those_that_were_prepared(loader, canidae):
    pictures = loader("val", batch_size=1, shuffle=False)
    whole = Image.open(canidae / "val/dogs/0.png")
    expected = transforms.Compose([transforms.Resize(36), transforms.CenterCrop(32)])(whole)

    images, _ = next(iter(pictures))

    assert np.array_equal(np.asarray(pictures.pictures(images)[0]), np.asarray(expected))


def packed(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def test_an_archive_is_unpacked_where_other_things_are_and_nothing_is_replaced(web, tmp_path):
    url = web.serve(
        "/Canidae_data.zip", packed({"data/Canidae/train/dogs/1.jpg": b"1", "data/readme.txt": b"hello"})
    )
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data/mine.txt").write_text("mine")

    DownLoad().download_and_extract_archive(url, home)
    DownLoad().download_and_extract_archive(url, home)

    found = {
        path.relative_to(home).as_posix(): path.read_text() for path in home.rglob("*") if path.is_file()
    }
    assert found == {
        "data/Canidae/train/dogs/1.jpg": "1",
        "data/readme.txt": "hello",
        "data/mine.txt": "mine",
    }


def test_a_file_that_stands_in_the_way_of_an_archive_stays_and_nothing_is_unpacked(web, tmp_path):
    url = web.serve("/data.zip", packed({"a/1.jpg": b"1", "b.txt": b"theirs"}))
    (tmp_path / "b.txt").write_text("mine")

    with pytest.raises(ConflictError) as caught:
        DownLoad().download_and_extract_archive(url, tmp_path)

    assert (
        str(caught.value)
        == f"{str(tmp_path / 'b.txt')!r} is there already, and is not what the archive holds."
    )
    assert ((tmp_path / "b.txt").read_text(), (tmp_path / "a").exists()) == ("mine", False)


def test_an_archive_is_unpacked_again_where_its_cache_was_touched(web, tmp_path):
    url = web.serve("/data.zip", packed({"a/1.jpg": b"1"}))
    DownLoad().download_and_extract_archive(url, tmp_path / "first")
    for path in (regraft.open().path / "cache" / "unpacked").rglob("1.jpg"):
        path.write_bytes(b"2")

    DownLoad().download_and_extract_archive(url, tmp_path / "second")

    assert (tmp_path / "second/a/1.jpg").read_bytes() == b"1"


def test_an_archive_with_a_name_that_leads_out_of_it_is_refused(web, tmp_path):
    url = web.serve("/evil.zip", packed({"../evil.txt": b"1"}))

    with pytest.raises(InvalidArchive):
        DownLoad().download_and_extract_archive(url, tmp_path / "home")

    assert not (tmp_path / "evil.txt").exists()


def test_a_download_is_verified_where_its_digest_is_given(web, tmp_path):
    url = web.serve("/data.zip", packed({"a.txt": b"1"}))

    with pytest.raises(Exception, match="it has md5") as caught:
        DownLoad().download_and_extract_archive(url, tmp_path, md5="0" * 32)

    assert type(caught.value).__name__ == "IntegrityError"
    assert not (tmp_path / "a.txt").exists()


def test_nothing_but_warnings_is_logged_above_info(loader, caplog):
    caplog.set_level(logging.WARNING)

    tuned(create_model("test_resnet", 2), loader("train", AUGMENTED))

    assert caplog.messages == []
