"""Checkpoints in MindSpore's words: the tensors of a cell by their names, as safetensors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from regraft import durable
from regraft.errors import MismatchError
from regraft.hub import fitting
from regraft.hub.weights import read_weights

log = logging.getLogger(__name__)


def save_checkpoint(save_obj: nn.Module, ckpt_file_name: str | Path) -> None:
    """Write the tensors of a cell by their names, as safetensors; the file is whole, or is not there."""
    # copies: safetensors takes no tensor twice, and a cell may stand in two places
    tensors = {
        name: value.detach().cpu().clone().contiguous() for name, value in save_obj.state_dict().items()
    }
    durable.swap(Path(ckpt_file_name), save(tensors))


def load_checkpoint(ckpt_file_name: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint by their names.

    Files of torch are read, too, as tensors alone. Raises NotFoundError, and InvalidError for what cannot be
    read, such as a checkpoint of MindSpore itself.
    """
    return read_weights(Path(ckpt_file_name))


def load_param_into_net(net: nn.Module, parameter_dict: Mapping[str, torch.Tensor]) -> list[str]:
    """Copy tensors into a cell by their names; return the names in the cell that got nothing.

    What is left over on either side is a warning. Raises MismatchError where nothing fits, and where a tensor
    has another shape.
    """
    own = net.state_dict()
    fit = fitting.compare(parameter_dict, own, classifier="")
    if fit.mismatched or not fit.fitting:
        theirs = _some(sorted(parameter_dict))  # a file has them in an order of its own
        some = f"first {fit.mismatched[0]}" if fit.mismatched else f"they have {theirs}"
        raise MismatchError(
            f"The checkpoint does not fit the net: {len(fit.fitting)} of its {len(parameter_dict)} tensors "
            f"do, {len(fit.mismatched)} have another shape; {some}.",
            hint=f"Build the net as it was when it was saved; it has {_some(own)}.",
        )
    if fit.missing or fit.unexpected:
        log.warning(
            "%d tensors were loaded; %d of the net are not in the checkpoint (%s), %d of the checkpoint are "
            "not in the net (%s).",
            len(fit.fitting),
            len(fit.missing),
            _some(fit.missing),
            len(fit.unexpected),
            _some(fit.unexpected),
        )
    with torch.no_grad():
        for name in fit.fitting:
            own[name].copy_(parameter_dict[name])
    return list(fit.missing)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(map(repr, listed[:2])) + (", ..." if len(listed) > 2 else "") or "none"
