"""MindCV's words on torch: the notebooks' code runs here, with its imports changed and its traps repaired.

    from regraft.dialects.mindcv import create_dataset, create_transforms, create_loader, create_model, ...

docs/guides/mindcv.md says what was repaired.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

import regraft
from regraft.dialects.mindcv_data import DownLoad, create_dataset, create_loader
from regraft.dialects.mindcv_missing import refuse
from regraft.dialects.mindcv_training import Network, create_loss, create_optimizer, create_scheduler
from regraft.dialects.mindcv_transforms import create_transforms
from regraft.dialects.mindspore import Callback, LossMonitor, Model, Tensor, TimeMonitor
from regraft.dialects.mindspore_data import Loader
from regraft.errors import FetchError, NotFoundError
from regraft.hub import nets
from regraft.hub.nets import Net
from regraft.records import ModelVersion
from regraft.refs import parse
from regraft.reports import sheet
from regraft.reports.figure import Figure, present

__all__ = [
    "Callback",
    "DownLoad",
    "LossMonitor",
    "Model",
    "Tensor",
    "TimeMonitor",
    "create_dataset",
    "create_loader",
    "create_loss",
    "create_model",
    "create_optimizer",
    "create_scheduler",
    "create_transforms",
    "visualize_model",
]

log = logging.getLogger(__name__)

#: Nets that timm and torchvision call otherwise.
_NAMES = {
    "mobilenet_v2_100": "mobilenetv2_100",
    "mobilenet_v3_large_100": "mobilenetv3_large_100",
    "mobilenet_v3_small_100": "mobilenetv3_small_100",
    "vit_b_16_224": "vit_base_patch16_224",
    "vit_b_32_224": "vit_base_patch32_224",
    "vit_l_16_224": "vit_large_patch16_224",
    "swin_tiny": "swin_tiny_patch4_window7_224",
}
#: Where nobody says how many classes there are, those of ImageNet.
_IMAGENET = 1000


def create_model(
    model_name: str,
    num_classes: int = _IMAGENET,
    pretrained: bool = False,
    in_channels: int = 3,
    checkpoint_path: str | Path = "",
    ema: bool = False,
    auto_mapping: bool = False,
    *,
    workspace: regraft.Workspace | None = None,
) -> Network:
    """Return a net of torchvision or else of timm, called so or by a ref such as `timm:resnet18`.

    Weights come from where they are published where it is `pretrained`, or from a file of torch or
    safetensors. A classifier of another number of classes gives way to a new one, which begins at zero. Each
    call builds the net anew. Raises NotFoundError where there is no such net or file, FetchError, which says
    what to put where by hand, MismatchError, and InvalidError where `ema` or `auto_mapping` is wanted.
    """
    refuse("ema", ema, False)
    refuse("auto_mapping", auto_mapping, False)
    place = workspace or regraft.open()
    if checkpoint_path and not Path(checkpoint_path).expanduser().is_file():
        raise NotFoundError(
            f"There is no file {str(checkpoint_path)!r}.",
            hint="Look at checkpoint_path, or leave it out; no weights would have been loaded.",
        )
    ref = _find(model_name)
    if not (pretrained or checkpoint_path):
        classes = None if num_classes == _IMAGENET else num_classes
        net = place.models.load(ref, pretrained=False, num_classes=classes, in_channels=in_channels)
        return Network(_learning(net))
    weights = str(checkpoint_path)
    try:
        record = place.models.get(ref, weights=weights).read(ModelVersion)
    except FetchError as error:
        raise type(error)(
            str(error), hint=f"{error.hint} That is checkpoint_path=FILE of create_model."
        ) from error
    known = len(record.labels)
    net = place.models.load(
        ref,
        weights=weights,
        num_classes=None if known == num_classes else num_classes,
        in_channels=in_channels,
    )
    if known != num_classes:
        log.warning(
            "%d tensors of %r are loaded; classifier.weight and classifier.bias are new, for %d classes, "
            "because the weights know %d.",
            record.load_report.loaded,
            ref,
            num_classes,
            known,
        )
    return Network(_learning(net))


def _find(name: str) -> str:
    """Return the ref of a net by MindCV's name; raises NotFoundError."""
    if ":" in name:
        return str(parse(name))
    plain = _NAMES.get(name, name)
    try:
        nets.outline(f"torchvision:{plain}")
    except NotFoundError:
        nets.outline(plain)
        return f"timm:{plain}"
    return f"torchvision:{plain}"


def _learning(net: nn.Module) -> Net:
    if not isinstance(net, Net):
        raise TypeError(f"{type(net).__name__} is no net of the hub")
    net.requires_grad_(True)
    return net


def visualize_model(
    model: Model,
    val_dl: Loader,
    num_classes: int | None = None,  # noqa: ARG001 (the notebook's, which does not look at it)
    *,
    class_name: Mapping[int, str] | Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw the first pictures of a loader with what a model takes them for: blue is right, red is wrong.

    A notebook shows the drawing below the cell; with a `path` it is also written there as an SVG file.
    """
    images, labels = next(iter(val_dl))
    named = model.predict(images).asnumpy().argmax(axis=1).tolist()
    names = val_dl.labels if class_name is None else class_name
    tiles = [
        sheet.Tile(
            image=picture, title=f"predict:{names[number]}", tone="right" if number == label else "wrong"
        )
        for picture, number, label in zip(
            val_dl.pictures(images), named, labels.asnumpy().tolist(), strict=True
        )
    ]
    figure = sheet.draw(tiles, columns=6)
    if path is not None:
        figure.write(Path(path))
    return present(figure)
