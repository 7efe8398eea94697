"""Several processes that train one net do what one does."""

import pytest
import torch
from safetensors.torch import load, save_file
from torch import distributed as torch_distributed
from torch import nn

import regraft
from regraft.engine import distributed
from regraft.errors import InvalidError, InvalidRecipe, RunDiverged
from regraft.hub import nets
from regraft.records import ModelVersion
from regraft.refs import parse
from regraft.store.opening import open_store

#: 17 pictures to learn from, 7 to choose by and 6 to measure on: nothing of it can be halved.
COUNTS = {
    "train/cat": 9, "train/dog": 8, "val/cat": 4, "val/dog": 3, "test/cat": 3, "test/dog": 3,
}  # fmt: skip
TUNE = (
    "train.strategy=full",
    "train.epochs=2",
    "train.batch_size=8",
    "train.precision=exact",
    "eval.precision=exact",
    "data.workers=0",
)


@pytest.fixture
def finetune(tmp_path, make_folder):
    """Fine-tune a tiny net in a workspace of its own; return the workspace and the result."""
    photos = make_folder(COUNTS)

    def call(architecture, *settings, devices, progress=lambda *_: None):
        torch.manual_seed(0)
        weights = tmp_path / f"{architecture}.safetensors"
        save_file(nets.original_state(nets.build(architecture)), weights)
        workspace = regraft.open(tmp_path / f"{architecture}-{devices}", progress=progress)
        settings = (*TUNE, f"model.weights={weights}", *settings)
        return workspace, workspace.finetune(
            photos, model=f"timm:{architecture}", settings=settings, devices=devices
        )

    return call


def tensors(workspace, result):
    store = open_store(workspace.path)
    record = store.catalog.find("models", parse(result.model)).read(ModelVersion)
    return load(store.blobs.get(record.trunk)) | load(store.blobs.get(record.head)), record.training


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("test_convnext", ("data.size=32",)),
        (
            "test_vit",
            (
                "train.micro_batch=3",
                "train.mixup=0.4",
                "train.balance=sampler",
                "train.ema=0.9",
                "optim.clip=1.0",
                "optim.optimizer=sgd",
            ),
        ),
    ],
)
def test_two_processes_come_to_the_weights_and_the_numbers_of_one(finetune, architecture, settings):
    told = []

    alone, alone_result = finetune(architecture, *settings, devices=1)
    both, both_result = finetune(
        architecture, *settings, devices=2, progress=lambda *words: told.append(words)
    )

    weights, training = tensors(alone, alone_result)
    shared, shared_training = tensors(both, both_result)
    losses, accuracies = zip(*((epoch.loss, epoch.accuracy) for epoch in training.epochs), strict=True)
    assert {name: value.shape for name, value in shared.items()} == {
        name: value.shape for name, value in weights.items()
    }
    assert max(float((shared[name] - weights[name]).abs().max()) for name in weights) < 1e-6
    assert shared_training.steps == training.steps == 6
    assert [epoch.loss for epoch in shared_training.epochs] == pytest.approx(losses, abs=1e-6)
    assert [epoch.accuracy for epoch in shared_training.epochs] == list(accuracies)
    assert both_result.report.metrics.accuracy == alone_result.report.metrics.accuracy
    assert {("Epoch 1 of 2", 3, 3), ("Epoch 2 of 2", 3, 3)} <= set(told)
    assert both_result.run.inputs["devices"] == "2"
    assert sorted(path.name for path in both_result.page.parent.glob("workers*")) == []


def test_running_statistics_are_the_average_of_those_of_all_processes(finetune):
    settings = ("train.epochs=1", "train.batch_size=16", "eval.holdout=0", "optim.lr=1e-12", "data.size=32")

    alone, alone_result = finetune("test_resnet", *settings, devices=1)
    both, both_result = finetune("test_resnet", *settings, devices=2)

    weights, _ = tensors(alone, alone_result)
    shared, _ = tensors(both, both_result)
    assert torch.allclose(shared["bn1.running_mean"], weights["bn1.running_mean"], atol=1e-6)


def test_an_error_in_the_processes_is_raised_as_what_it_is(finetune):
    with pytest.raises(RunDiverged) as caught:
        finetune("test_convnext", "data.size=32", "optim.lr=1e30", "optim.warmup_epochs=0", devices=2)

    expected = "The loss is not a number any more in epoch 1, step 2. The batch: 'train/"
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("settings", "devices", "kind", "message", "where"),
    [
        ((), 0, InvalidError, "A net cannot be trained on 0 devices.", ""),
        (
            (),
            2,
            InvalidError,
            "The strategy 'auto' works in one process: there is nothing for several devices to share.",
            "devices",
        ),
        (
            ("train.strategy=probe",),
            2,
            InvalidError,
            "A probe does not train the net, so that there is nothing for several devices to share.",
            "devices",
        ),
        (
            ("train.strategy=full", "train.batch_size=2"),
            3,
            InvalidError,
            "3 devices cannot share batches of 2.",
            "devices",
        ),
        (
            ("train.strategy=full", "train.sync_batchnorm=true"),
            2,
            InvalidRecipe,
            "Batch-norm statistics can be shared between GPUs only, and this machine has none.",
            "train.sync_batchnorm",
        ),
    ],
    ids=["none", "auto", "probe", "small batches", "shared batch-norm"],
)
def test_devices_that_do_not_suit_are_refused_before_anything_is_spent(
    workspace, make_folder, monkeypatch, settings, devices, kind, message, where
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    with pytest.raises(kind) as caught:
        workspace.finetune(make_folder({"cat": 3, "dog": 3}), settings=settings, devices=devices)

    assert (str(caught.value), caught.value.where) == (message, where)
    assert (workspace.datasets.list(), workspace.runs.list()) == ([], [])


@pytest.fixture
def world_of_one():
    """Let this process be all of several ones."""
    torch_distributed.init_process_group("gloo", store=torch_distributed.HashStore(), rank=0, world_size=1)
    yield
    torch_distributed.destroy_process_group()


def test_what_has_no_gradient_anywhere_has_none_after_the_exchange(world_of_one):
    used, unused, frozen = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(False)
    used(torch.ones(4, 3)).sum().backward()
    before = used.weight.grad.clone()

    distributed.add_gradients([*used.parameters(), *unused.parameters(), *frozen.parameters()])

    assert torch.equal(used.weight.grad, before)
    assert [p.grad for p in (*unused.parameters(), *frozen.parameters())] == [None] * 4
