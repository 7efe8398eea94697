"""Fine-tunings that can be killed: workspaces to begin with, and what is left of them at the end."""

import json
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from regraft.hub import nets

#: A run of 3 epochs of 4 steps, the last of which is small; chance and averages have their part in it.
SETTINGS = (
    "train.strategy=full",
    "train.epochs=3",
    "train.batch_size=16",
    "train.precision=float32+channels_last",
    "train.ema=0.9",
    "train.mixup=0.2",
    "eval.precision=float32",
    "model.dropout=0.2",
    "model.norm_eval=false",
    "optim.lr=0.001",
    "data.size=32",
)
#: How often the state is kept: after each step, or after each epoch alone.
EACH_STEP, EACH_EPOCH = "train.checkpoint_seconds=0", "train.checkpoint_seconds=1000"
STEPS, PER_EPOCH = 12, 4

_COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    status: int
    out: str
    err: str


class Begun:
    """A command line that is being executed."""

    def __init__(self, ask, process, folder):
        self._ask, self.process, self._folder = ask, process, folder

    def await_step(self):
        """Wait until it has come to the step at which it waits."""
        until = time.monotonic() + 60
        while not (self._folder / "reached").exists():
            assert time.monotonic() < until, self._read("err")
            time.sleep(0.01)

    def end(self):
        """Wait for its end."""
        status = self._ask({"wait": self.process})["status"]
        return Ended(status, self._read("out"), self._read("err"))

    def _read(self, name):
        return (self._folder / name).read_text()


class Place:
    """A workspace, and the command line that is used on it."""

    def __init__(self, ask, path):
        self._ask, self.path = ask, path
        self._numbers = count()

    def begin(self, *words, failpoints="", step=0, do=""):
        """Execute `regraft WORDS`, perhaps with something against it: see tuner.py."""
        folder = self.path.parent / f"{self.path.name}-{next(self._numbers)}"
        folder.mkdir()
        request = {
            "words": [*map(str, words), "--workspace", str(self.path)],
            "failpoints": failpoints,
            "step": step,
            "do": do,
            "folder": str(folder),
        }
        return Begun(self._ask, self._ask(request)["process"], folder)

    def run(self, *words, **against):
        """Execute it to its end."""
        return self.begin(*words, **against).end()

    @property
    def folder(self):
        """The folder of the latest run."""
        return max((self.path / "runs").iterdir())

    @property
    def record(self):
        """What is known of the latest run."""
        return json.loads((self.folder / "run.json").read_bytes())

    @property
    def checkpoints(self):
        """What the checkpoints of the latest run are called: steps, which is the best, and digests of all."""
        return sorted(path.name for path in (self.folder / "checkpoints").iterdir())

    @property
    def model(self):
        """The manifest of the only version of the tuned model."""
        (file,) = (self.path / "models" / "photos").glob("v*.json")
        return json.loads(file.read_bytes())

    @property
    def outcome(self):
        """All that the latest run gave, but for times."""
        record = self.record
        return {
            "status": record["status"],
            "outputs": record["outputs"],
            "checkpoints": self.checkpoints,
            "model": self.model,
            "report": (self.folder / "report.json").read_bytes(),
        }


class Tuning:
    """Workspaces in which the pictures are added, the net is known, and nothing has to be measured."""

    def __init__(self, ask, top):
        self._ask, self._top = ask, top
        self._numbers = count()

    def copy(self, place=None):
        """Return a copy of a workspace; without one, of one in which nothing was trained."""
        path = self._top / f"copy-{next(self._numbers)}"
        shutil.copytree((place or self._ready).path, path)
        return Place(self._ask, path)

    def finetune(self, place, *settings, **against):
        """Fine-tune the pictures in a workspace."""
        return self.begin(place, *settings, **against).end()

    def begin(self, place, *settings, **against):
        """Begin to do so."""
        said = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
        return place.begin("finetune", "photos", "--model", "test_resnet", *said, **against)

    @cached_property
    def whole(self):
        """A workspace with a run that nothing has happened to."""
        place = Place(self._ask, self._top / "whole")
        ended = place.run("dataset", "add", "photos", _photos(self._top / "photos"))
        assert ended.status == 0, ended.err
        weights = f"model.weights={_weights(self._top / 'net.safetensors')}"
        first = self._first(place, weights)
        assert first.status == 0, first.err
        for gone in ("runs", "reports"):  # a report says how many there were before it
            shutil.rmtree(place.path / gone)
        ended = self.finetune(place, EACH_STEP)
        assert ended.status == 0, ended.err
        return place

    @cached_property
    def _ready(self):
        """The same without the run, its model and its report."""
        place = Place(self._ask, self._top / "ready")
        shutil.copytree(self.whole.path, place.path)
        for gone in ("runs", "models/photos", "reports", "tags"):
            shutil.rmtree(place.path / gone, ignore_errors=True)
        return place

    def _first(self, place, weights):
        """Let the net be known, by a run that is taken away again."""
        words = [word for setting in (*SETTINGS, weights, "train.epochs=1") for word in ("--set", setting)]
        return place.run("finetune", "photos", "--model", "timm:test_resnet", "--name", "first", *words)


def _photos(folder):
    random = np.random.default_rng(0)
    for split, number in (("train", 20), ("test", 6)):
        for label, colour in _COLOURS.items():
            (folder / split / label).mkdir(parents=True)
            for index in range(number):
                pixels = random.integers(0, 120, (12, 16, 3)) + np.array(colour) // 2
                picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                picture.resize((64, 48), Image.Resampling.NEAREST).save(
                    folder / split / label / f"{index}.png"
                )
    return folder


def _weights(path):
    torch.manual_seed(0)
    state = nets.original_state(nets.build("test_resnet"))
    save_file({name: value.contiguous() for name, value in state.items()}, Path(path))
    return path
