"""What pays on a GPU, as far as the processor can stand in for one: pictures that stay, and compiling."""

import subprocess
import sys
from math import isfinite

import pytest
import torch
from safetensors.torch import save_file

import regraft
from regraft import suggest
from regraft.engine import device
from regraft.hub import nets
from regraft.jobs import acceleration, tune
from regraft.jobs.fetch import fetch
from regraft.jobs.session import Session
from regraft.progress import silent
from regraft.recipe import read
from regraft.records import ModelVersion
from regraft.refs import parse
from regraft.store.opening import open_store

#: Lets memory go after it was used, and prints what the process holds in pages before and after.
LETTING_GO = """
import torch
from regraft.engine import memory
held = lambda: int(open("/proc/self/statm").read().split()[1])
kept = memory.keep_memory()
used = [torch.ones(2**18) for _ in range(200)]
last = torch.ones(2**18)
del used
before = held()
memory.release_memory()
print(int(kept), before - held())
"""


@pytest.fixture
def session(tmp_path, make_folder):
    """Put the training of a small net together: `session(settings...)`."""
    store = open_store(tmp_path / "workspace")
    photos = make_folder({"train/cat": 6, "train/dog": 5, "test/cat": 1, "test/dog": 1})
    dataset = regraft.open(tmp_path / "workspace").datasets.add("photos", photos).version
    torch.manual_seed(0)
    state = nets.original_state(nets.build("test_resnet"))
    save_file({name: value.clone() for name, value in state.items()}, tmp_path / "random.safetensors")
    weights = str(tmp_path / "random.safetensors")
    model = fetch(store, parse("timm:test_resnet"), weights=weights, progress=silent)

    def make(*settings):
        words = (
            "train.strategy=full",
            "train.epochs=1",
            "train.batch_size=4",
            "train.precision=float32",
            "eval.precision=float32",
            "eval.holdout=0",
            "data.size=32",
        )
        recipe = suggest.resolve(
            read(None, (*words, *settings)),
            training=None,
            inference=None,
            smallest_class=5,
            input=model.read(ModelVersion).input,
        )
        run = store.journal.create("finetune", inputs={}, recipe={})
        return Session(tune.describe(store, run, model, dataset, recipe, split="test", progress=silent))

    return make


def test_a_net_learns_from_pictures_that_stay_on_the_device_what_it_learns_from_others(session):
    here = session()
    before, learned = here.batches, here.pixels.size
    usual = list(before.epoch(0))

    acceleration.accelerate(here, room=2 * learned)
    batches = list(here.batches.epoch(0))
    tune.begin(here)
    tune.train(here)

    assert here.batches is not before
    assert [b.positions.tolist() for b in batches] == [b.positions.tolist() for b in usual]
    assert [b.targets.tolist() for b in batches] == [b.targets.tolist() for b in usual]
    for one, other in zip(batches, usual, strict=True):
        assert (one.images.int() - other.images.int()).abs().float().mean() < 1
    assert isfinite(here.state.epochs[0].train_loss)


def test_pictures_that_would_take_most_of_the_room_stay_where_they_are(session):
    here = session()
    before = here.batches

    acceleration.accelerate(here, room=int(1.6 * here.pixels.size))

    assert here.batches is before


# torch's compiler imports what torch calls deprecated
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_a_net_is_compiled_where_the_recipe_says_so(session):
    usual, asked = session(), session("train.compile=true")

    for each in (usual, asked):
        acceleration.accelerate(each, room=0)

    assert usual.state.runner is usual.net
    assert asked.state.runner is not asked.net


@pytest.mark.parametrize(
    ("asked", "kind", "steps", "compiled"),
    [
        ("auto", "cuda", 500, True),
        ("auto", "cuda", 499, False),
        ("auto", "cpu", 100_000, False),
        ("auto", "mps", 100_000, False),
        ("true", "cpu", 1, True),
        ("false", "cuda", 100_000, False),
    ],
)
def test_a_net_is_compiled_where_it_pays_back(asked, kind, steps, compiled):
    recipe = read(None, [f"train.compile={asked}" if asked != "auto" else "train.seed=0"])

    assert acceleration.compiles(recipe, kind=kind, steps=steps) == compiled


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_what_has_no_memory_of_its_own_has_no_room(kind):
    assert device.find_room(kind) == 0


def test_memory_that_was_kept_can_be_let_go():
    child = subprocess.run([sys.executable, "-c", LETTING_GO], capture_output=True, text=True, check=True)

    kept, pages = map(int, child.stdout.split())

    if not kept:
        pytest.skip("this C library decides by itself")
    assert pages * 4096 > 100 * 2**20
