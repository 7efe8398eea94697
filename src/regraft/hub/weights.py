"""Weights on their way into a net: read safely, renamed, checked against the net, reported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from regraft.errors import InvalidError, MismatchError, NotFoundError
from regraft.hub import layouts
from regraft.hub.layouts import State
from regraft.records import LoadReport

#: Reading a `.pth` file may take this long, in seconds.
TIMEOUT = 300


def read_weights(path: Path) -> State:
    """Return the tensors of a .safetensors or .pth file by name.

    Raises NotFoundError, or InvalidError where the file is damaged or holds more than tensors.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no weights file {str(path)!r}.")
    if path.suffix == ".safetensors":
        body = path.read_bytes()
    else:
        # -P: no module of the current folder is imported in place of an installed one
        command = [sys.executable, "-P", "-W", "ignore", "-m", "regraft.hub.convert", str(path)]
        try:
            child = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise _unreadable(path, f"it took longer than {TIMEOUT} s") from None
        if child.returncode:
            reason = (
                child.stderr.decode(errors="replace").strip() or f"the reader ended with {child.returncode}"
            )
            raise _unreadable(path, reason)
        body = child.stdout
    try:
        state: State = load(body)
    except SafetensorError as error:
        raise _unreadable(path, str(error)) from None
    return state


def load_into(net: nn.Module, state: State) -> LoadReport:
    """Copy the tensors into the net and report what became of each.

    Raises MismatchError unless every tensor of the net is there with its shape.
    """
    wanted = net.state_dict()
    renamed, converted = layouts.to_timm(state, wanted)
    missing = tuple(
        name for name in wanted if name not in renamed and not name.endswith("num_batches_tracked")
    )
    unexpected = tuple(name for name in renamed if name not in wanted)
    wrong = [
        f"{name} is {list(renamed[name].shape)} and should be {list(wanted[name].shape)}"
        for name in wanted
        if name in renamed and renamed[name].shape != wanted[name].shape
    ]
    if missing or wrong:
        first = wrong[0] if wrong else f"{missing[0]!r} is missing"
        raise MismatchError(
            f"The weights do not fit the net: {len(missing)} tensors are missing, "
            f"{len(wrong)} have another shape, {len(unexpected)} are unknown; the first: {first}.",
            hint="Choose the architecture that the weights were made for.",
        )
    if broken := [name for name in wanted if name in renamed and not renamed[name].isfinite().all()]:
        raise InvalidError(
            f"The weights hold numbers that are not finite, the first in {broken[0]!r}.",
            hint="They come from a training that failed; get others.",
            where=broken[0],
        )
    net.load_state_dict(renamed, strict=False)
    return LoadReport(
        loaded=len(wanted) - len(missing), converted=converted, missing=missing, unexpected=unexpected
    )


def _unreadable(path: Path, reason: str) -> InvalidError:
    return InvalidError(
        f"The weights file {str(path)!r} ({path.stat().st_size:,} bytes) cannot be read: {reason}.",
        hint="Get the file again: it may be incomplete. Only files that hold nothing but tensors are read.",
        where=str(path),
    )
