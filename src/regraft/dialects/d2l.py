"""The words of Dive into Deep Learning's chapter on fine-tuning: its code runs here, repaired where it broke.

`from regraft.dialects import d2l` takes the place of `from d2l import torch as d2l`. With
`from regraft.dialects.d2l import *` come `d2l`, `nn`, `os`, `torch` and `torchvision` as well, which notes of
that chapter use without importing them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

import regraft
from regraft.data.pictures import decode, read_file
from regraft.data.sources.named import SETS
from regraft.data.sources.unpacking import keep_unpacked, unpack
from regraft.dialects.d2l_training import (
    Accumulator,
    Animator,
    Timer,
    accuracy,
    cache,
    evaluate_accuracy_gpu,
    say,
    train_batch_ch13,
    train_ch13,
    try_all_gpus,
    try_gpu,
)
from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.hub import builders, freezing, labels, nets
from regraft.progress import Progress
from regraft.reports import sheet
from regraft.reports.figure import Figure, present
from regraft.reports.live_curve import LiveCurve
from regraft.store.fetch import Downloads, remote

import torchvision  # isort: skip (builders has made it importable beside any build of torch)

__all__ = [
    "DATA_HUB",
    "DATA_URL",
    "Accumulator",
    "Animator",
    "Timer",
    "accuracy",
    "d2l",
    "download",
    "download_extract",
    "evaluate_accuracy_gpu",
    "extract",
    "freeze",
    "nn",
    "os",
    "pretrained",
    "reuse_labels",
    "show_images",
    "torch",
    "torchvision",
    "train_batch_ch13",
    "train_ch13",
    "train_fine_tuning",
    "try_all_gpus",
    "try_gpu",
]

#: This module, for code that was written after `from d2l import torch as d2l`.
d2l = sys.modules[__name__]

#: Where the book's files lie.
DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"
#: URL and sha1 of the files that go by a name; code may add some.
DATA_HUB: dict[str, tuple[str, str]] = {"hotdog": (DATA_URL + "hotdog.zip", SETS["hotdog"].files[0].sha1)}

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
#: Pixels of an inch of a screen.
_INCH = 96


def download(url: str, folder: str | None = None, sha1_hash: str | None = None) -> str:
    """Return where a file lies on this machine, fetched where it is not there yet; `url` may be a name.

    Its sha1 is verified each time, after a download and when it is there already. It lies below `folder`, by
    default in the workspace's cache; a right copy that somebody put there is used. Raises NotFoundError for
    an unknown name, IntegrityError, and FetchError, which says what to put where by hand.
    """
    if "://" not in url:
        if url not in DATA_HUB:
            near = did_you_mean(url, DATA_HUB, otherwise=f"DATA_HUB has {', '.join(DATA_HUB)}.")
            raise NotFoundError(f"DATA_HUB has no file {url!r}.", hint=near)
        url, sha1_hash = DATA_HUB[url]
    file = remote(url, sha1=sha1_hash or "")
    return str(Downloads(Path(folder) if folder else cache("downloads")).fetch(file, _tell()))


def extract(filename: str, folder: str | None = None) -> str:
    """Unpack a zip or a tar archive, member by member, as a new folder; return that folder.

    By default it is one of the workspace's cache, which is compared with the archive each time, and unpacked
    again where anything differs. Raises InvalidArchive, and ConflictError where `folder` holds other things.
    """
    path = Path(filename)
    if not path.is_file():
        raise NotFoundError(f"There is no archive {filename!r}.", hint="d2l.download(...) returns its path.")
    return str(
        unpack(path, Path(folder), _tell()) if folder else keep_unpacked(path, cache("unpacked"), _tell())
    )


def download_extract(name: str, folder: str | None = None) -> str:
    """Fetch an archive of DATA_HUB, unpack it, and return the folder that it holds.

    That is the one called `folder`, or else like the archive. Raises NotFoundError with those that there are.
    """
    archive = Path(download(name))
    unpacked = Path(extract(str(archive)))
    wanted = unpacked / (folder or archive.name.partition(".")[0])
    if not wanted.is_dir():
        found = sorted(path.name for path in unpacked.iterdir() if path.is_dir())
        raise NotFoundError(
            f"{archive.name!r} holds no folder {wanted.name!r}.",
            hint=f"It holds {', '.join(found) or 'none'}.",
        )
    return str(wanted)


def show_images(
    imgs: Sequence[Any], num_rows: int, num_cols: int, titles: Sequence[str] | None = None, scale: float = 1.5
) -> Figure:
    """Draw pictures in rows and columns, each `scale` inches wide; a notebook shows them below the cell.

    They are PIL pictures, or arrays or tensors [h, w], [h, w, 3] or [3, h, w] of bytes, or of numbers from 0
    to 1; what lies outside of that is cut off. `.write(path)` makes an SVG file of it.
    """
    named = zip(imgs, titles or [""] * len(imgs), strict=False)
    tiles = [sheet.Tile(image=_picture(img), title=str(title)) for img, title in named][: num_rows * num_cols]
    return present(sheet.draw(tiles, columns=num_cols, side=round(scale * _INCH)))


def pretrained(name: str) -> nn.Module:
    """Return a net of torchvision, as torchvision builds it, with the weights that are published for it.

    It is `torchvision.models.resnet18(pretrained=True)` by Regraft's own download: resumed, verified, kept.
    """
    net = cast(nets.Net, regraft.load(f"torchvision:{name}"))
    plain = builders.build(net.architecture, in_channels=3, drop_path=0.0).net
    plain.load_state_dict(nets.original_state(net))
    return plain


def reuse_labels(net: nn.Module, old: nn.Module, classes: Sequence[str]) -> dict[str, str]:
    """Begin the output rows of classes that ImageNet has with the rows of a net that knows it, by name.

    Returns the name that was found for each class; the others' rows stay. Raises NotFoundError where none is
    found, MismatchError where the layers do not fit.
    """
    known = builders.label_names("torchvision:resnet18", 1000)
    matched = labels.matches(known, classes)
    if not matched:
        raise NotFoundError(
            f"ImageNet has none of the classes {list(classes)!r}.", hint="Spell one as it does: 'hotdog'."
        )
    labels.reuse(_output_of(net), _output_of(old), matched)
    return {classes[row]: known[index] for row, index in matched.items()}


def freeze(net: nn.Module, *patterns: str) -> int:
    """Freeze the parameters that patterns name, such as "layer1.*", and let all others learn; count them.

    Without a pattern all but the output layer is frozen. `train_ch13` leaves the batch-norm statistics of
    what is frozen alone, too. Raises InvalidRecipe for a pattern that matches nothing, and where nothing
    is left that learns.
    """
    output = {*_output_of(net).parameters()} if not patterns else ()
    below = [name for name, parameter in net.named_parameters() if parameter not in output]
    frozen = freezing.by_name(net, patterns or below)
    frozen.apply(net)
    return len(frozen.names)


def train_fine_tuning(
    net: nn.Module,
    learning_rate: float,
    batch_size: int = 128,
    num_epochs: int = 5,
    param_group: bool = True,
    *,
    data_dir: str | None = None,
    curve: str | None = None,
) -> LiveCurve:
    """Fine-tune a net on the folders `train` and `test` of `data_dir`, by default those of `hotdog`.

    With `param_group` the output layer, the net's last linear one, learns ten times as fast as the rest.
    """
    transforms = torchvision.transforms
    finish = [transforms.ToTensor(), transforms.Normalize(_MEAN, _STD)]
    part = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *finish]
    middle = [transforms.Resize(256), transforms.CenterCrop(224), *finish]
    home = Path(data_dir or download_extract("hotdog"))
    train_iter, test_iter = (
        torch.utils.data.DataLoader(
            torchvision.datasets.ImageFolder(home / split, transforms.Compose(steps), loader=_open),
            batch_size=batch_size,
            shuffle=split == "train",
        )
        for split, steps in (("train", part), ("test", middle))
    )
    groups: list[dict[str, Any]] = [{"params": [*net.parameters()]}]
    if param_group:
        output = {*_output_of(net).parameters()}  # tensors are equal to themselves alone, as keys
        others = [parameter for parameter in net.parameters() if parameter not in output]
        groups = [{"params": others}, {"params": [*output], "lr": learning_rate * 10}]
    trainer = torch.optim.SGD(groups, lr=learning_rate, weight_decay=0.001)
    loss = nn.CrossEntropyLoss(reduction="none")
    return train_ch13(net, train_iter, test_iter, loss, trainer, num_epochs, try_all_gpus(), curve=curve)


def _output_of(net: nn.Module) -> nn.Linear:
    found = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not found:
        raise InvalidError("The net has no linear layer to be its output.", hint="Give it one: net.fc = ...")
    return found[-1]


def _picture(img: Any) -> Image.Image:
    if isinstance(img, Image.Image):
        return img
    return sheet.picture_of(np.asarray(img.detach().cpu() if isinstance(img, torch.Tensor) else img))


def _open(path: str) -> Image.Image:
    return decode(read_file(Path(path)))


def _tell() -> Progress:
    """Return what says once of each download and unpacking that it has begun."""
    said = {""}

    def tell(task: str, done: int, total: int) -> None:  # noqa: ARG001 (as a Progress is called)
        if task not in said and not task.startswith("Checking"):
            say(f"{task} ...")
        said.add(task)

    return tell
