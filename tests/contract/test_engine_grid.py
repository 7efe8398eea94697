"""Small nets, strategies and optimisers: two steps of each, what they move, and what they leave alone.

Every net meets every strategy, and every optimiser meets every net and every strategy.
"""

from itertools import product
from math import isfinite

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import regraft
from regraft import suggest
from regraft.engine.device import count_cores
from regraft.errors import RunDiverged
from regraft.hub import freezing, nets
from regraft.jobs import tune
from regraft.jobs.fetch import fetch
from regraft.jobs.session import Session
from regraft.progress import silent
from regraft.recipe import read
from regraft.records import ModelVersion
from regraft.refs import parse
from regraft.store.opening import open_store

#: The side of what each net sees.
NETS = {
    "timm:test_resnet": 32,
    "timm:test_vit": 32,
    "timm:test_convnext": 32,
    "timm:test_efficientnet": 32,
    "torchvision:squeezenet1_1": 64,
}
#: With rates at which two steps move everything.
OPTIMIZERS = {"sgd": 0.1, "adamw": 0.01, "lamb": 0.1}
STRATEGIES = ("full", "partial", "lp-ft", "gradual", "adapters", "scratch")
GRID = [
    (net, strategy, [*OPTIMIZERS][(i + j) % 3])
    for (i, net), (j, strategy) in product(enumerate(NETS), enumerate(STRATEGIES))
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads that wait for each other cost nets of this size more than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("lab"))


class Lab:
    """A workspace with a dataset of twelve train pictures, and nets of it."""

    def __init__(self, top):
        self.top = top
        self.store = open_store(top / "workspace")
        self._models = {}

    def add(self, folder):
        workspace = regraft.open(self.top / "workspace")
        return workspace.datasets.add("photos", folder).version

    def model(self, ref):
        """Return a pretrained model, with weights by chance."""
        if ref not in self._models:
            architecture = ref.removeprefix("timm:")
            torch.manual_seed(0)
            state = nets.original_state(nets.build(architecture))
            for name, value in state.items():  # a norm that begins at zero lets no gradient pass
                if name.endswith("weight") and not value.any():
                    value.fill_(1)
            path = self.top / f"{len(self._models)}.safetensors"
            save_file({name: value.clone().contiguous() for name, value in state.items()}, path)
            self._models[ref] = fetch(self.store, parse(ref), weights=str(path), progress=silent)
        return self._models[ref]


@pytest.fixture
def session(lab, make_folder):
    """Put a training together: `session(net, strategy, settings...)`."""
    counts = {"train/cat": 6, "train/dog": 6, "val/cat": 2, "val/dog": 2, "test/cat": 2, "test/dog": 2}
    dataset = lab.add(make_folder(counts))

    def make(ref, strategy, *settings):
        model = lab.model(ref)
        words = (
            f"train.strategy={strategy}",
            "train.epochs=1",
            "train.batch_size=8",
            "train.precision=float32+channels_last",
            "train.checkpoint_seconds=0",
            "train.keep=3",
            "eval.precision=float32",
            "optim.warmup_epochs=0",
            "optim.schedule=constant",
            "data.workers=0",
            f"data.size={NETS[ref]}",
        )
        recipe = suggest.resolve(
            read(None, (*words, *settings)),
            training=None,
            inference=None,
            smallest_class=6,
            input=model.read(ModelVersion).input,
        )
        run = lab.store.journal.create("finetune", inputs={}, recipe={})
        task = tune.describe(lab.store, run, model, dataset, recipe, split="test", progress=silent)
        return Session(task)

    return make


def rates(optimizer):
    return (f"optim.optimizer={optimizer}", f"optim.lr={OPTIMIZERS[optimizer]}")


def snapshot(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def begin_and_train(session):
    """Train two steps; return all tensors of the net before and after."""
    tune.begin(session)
    before = snapshot(session.net)
    tune.train(session)
    return before, snapshot(session.net)


def learning(net, strategy):
    """Return the names of the parameters that should learn in the first epoch."""
    names = {name for name, _ in net.named_parameters()}
    if strategy == "partial":
        return names - freezing.find(net, 1).names
    if strategy == "gradual":
        return {name for name in names if name.startswith("head.")}
    if strategy == "adapters":
        return {name for name in names if name.startswith("head.") or ".lora_" in name}
    return names


def statistics(net):
    """Return the names of what each batch-norm counts and averages."""
    return {
        name: [f"{name}.{buffer}" for buffer, _ in module.named_buffers()]
        for name, module in net.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }


@pytest.mark.parametrize(("net", "strategy", "optimizer"), GRID)
def test_what_learns_moves_and_what_is_frozen_stays_bit_for_bit(session, net, strategy, optimizer):
    freeze = ("model.freeze=1",) if strategy == "partial" else ()
    trained = session(net, strategy, *rates(optimizer), *freeze)

    before, after = begin_and_train(trained)

    expected = learning(trained.net, strategy)
    parameters = {name for name, _ in trained.net.named_parameters()}
    moved = {name for name in parameters if not torch.equal(before[name], after[name])}
    assert moved <= expected
    assert len(moved) >= (0.7 if strategy == "scratch" else 0.9) * len(expected)  # some norms begin at zero
    assert {name for name in expected if name.startswith("head.")} <= moved
    (epoch,) = trained.state.epochs
    assert isfinite(epoch.train_loss)
    assert isfinite(epoch.loss)
    assert trained.state.at.step == 2


@pytest.mark.parametrize(("net", "strategy", "optimizer"), GRID)
def test_a_training_that_goes_on_from_its_first_step_ends_the_same(session, net, strategy, optimizer):
    settings = (*rates(optimizer), "train.ema=0.5", "model.dropout=0.2")
    whole, resumed = session(net, strategy, *settings), session(net, strategy, *settings)
    begin_and_train(whole)
    (middle,) = [found for found in whole.task.run.checkpoints().list() if found.step == 1]
    resumed.task.run.checkpoints().put(1, middle.path.read_bytes())

    tune.train(resumed)

    assert resumed.state.pack() == whole.state.pack()


@pytest.mark.parametrize("net", ["timm:test_resnet", "timm:test_efficientnet"])
@pytest.mark.parametrize(
    ("strategy", "settings", "moving"),
    [
        ("full", (), "none"),
        ("full", ("model.norm_eval=false",), "all"),
        ("scratch", (), "all"),
        ("partial", ("model.freeze=1", "model.norm_eval=false"), "those that learn"),
        ("partial", ("model.freeze=1", "model.norm_eval=false", "model.freeze_stats=false"), "all"),
        ("gradual", ("model.norm_eval=false",), "none"),
        ("adapters", ("model.norm_eval=false",), "none"),
    ],
)
def test_statistics_of_batch_norms_move_where_they_should_and_nowhere_else(
    session, net, strategy, settings, moving
):
    trained = session(net, strategy, *settings)

    before, after = begin_and_train(trained)

    norms = statistics(trained.net)
    learns = learning(trained.net, strategy)
    kinds = {
        "none": set(),
        "all": set(norms),
        "those that learn": {n for n in norms if f"{n}.weight" in learns},
    }
    moved = {n: {not torch.equal(before[name], after[name]) for name in names} for n, names in norms.items()}
    assert norms
    assert moved == {name: {name in kinds[moving]} for name in norms}


def test_the_number_of_pictures_at_once_is_the_recipes(session):
    whole, bit_by_bit = (session("timm:test_vit", "full", f"train.micro_batch={size}") for size in (0, 3))

    _, expected = begin_and_train(whole)
    _, found = begin_and_train(bit_by_bit)

    assert bit_by_bit.state.at.micro_batch == 3
    assert all(torch.allclose(found[name], value, atol=1e-4) for name, value in expected.items())


def test_a_longer_gradual_training_takes_up_one_that_ended_before_all_of_the_net_learned(session):
    short, longer = (session("timm:test_resnet", "gradual", f"train.epochs={epochs}") for epochs in (1, 3))
    _, reached = begin_and_train(short)
    ended = short.task.run.checkpoints()
    longer.task.run.checkpoints().adopt(ended)

    tune.train(longer)

    after = snapshot(longer.net)
    moved = {name.split(".")[1] for name, value in after.items() if not torch.equal(value, reached[name])}
    assert longer.state.at.epoch == 3
    assert moved == {"weight", "bias", "layer3", "layer4"}  # of the head, and of the last two stages


def test_the_same_training_again_computes_with_as_many_threads_as_before(session, lab):
    first, again = (session("timm:test_resnet", "partial", "model.freeze=3") for _ in range(2))
    before = set(lab.store.machines.iterdir())
    tune.begin(first)
    (known,) = set(lab.store.machines.iterdir()) - before
    known.chmod(0o644)

    known.write_bytes(b'{"threads": 7}')
    tune.begin(again)

    assert first.state.at.threads in range(1, 1 + count_cores())
    assert again.state.at.threads == 7


def test_a_net_whose_validation_is_never_a_number_gives_no_model(session):
    lost = session(
        "timm:test_resnet", "full", "train.batch_size=64", "optim.lr=1e30", "model.norm_eval=false"
    )

    with pytest.raises(RunDiverged) as caught:
        tune.tune(lost.task, lost.task.base)

    assert str(caught.value) == "The validation loss was not a number after any epoch."
