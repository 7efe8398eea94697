"""Weights on their way into a net: read safely, renamed, checked against the net, reported."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load

from regraft import durable
from regraft.errors import InvalidError, MismatchError, NotFoundError
from regraft.hub import fitting, heads, layouts, nets
from regraft.hub.fitting import Fit
from regraft.hub.layouts import State
from regraft.hub.nets import MapHead, Net
from regraft.records import LoadReport

log = logging.getLogger(__name__)

#: Reading a `.pth` file may take this long, in seconds; `convert` says how much memory it may take.
TIMEOUT = 300


def read_weights(path: Path) -> State:
    """Return the tensors of a file by name: safetensors, or a `.pth`, `.pt`, `.th`, `.pth.tar` or `.bin`.

    Raises NotFoundError, or InvalidError where the file is damaged or holds more than tensors.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no weights file {str(path)!r}.")
    try:
        body = path.read_bytes() if _is_safetensors(path) else _convert(path)
    except OSError as error:
        raise durable.unreadable(error, path) from error
    try:
        state: State = load(body)
    except SafetensorError as error:
        raise _unreadable(path, str(error)) from None
    if key := _metadata(body).get("averaged"):
        log.warning("%s holds averaged weights alone, under %r: they are taken.", path.name, key)
    return state


def load_into(net: Net, state: State, *, prefix: str = "", partial: bool = False) -> LoadReport:
    """Copy the tensors into the net, in place, and report what became of each.

    The net's classifier gets as many classes as that of the weights, and none where they have none. With
    a prefix only the tensors below it are taken. Raises MismatchError where nothing fits, and, unless a
    part is enough, where a tensor of the trunk is missing, of another shape, or unknown.
    """
    wanted = nets.original_state(net)
    renamed, converted = layouts.translate(state, wanted, classifier=net.classifier, prefix=prefix)
    fit = fitting.compare(renamed, wanted, classifier=net.classifier)
    _check(fit, net, renamed, partial=partial)
    found = {name: renamed[name] for name in fit.fitting}
    if broken := next((name for name in found if not found[name].isfinite().all()), None):
        raise InvalidError(
            f"The weights hold numbers that are not finite, the first in {broken!r}.",
            hint="They come from a training that failed; get others.",
            where=broken,
        )
    replaced = _fit_classifier(net, fit, found)
    nets.load_original(net, {name: value for name, value in found.items() if name not in replaced})
    return LoadReport(
        loaded=len(set(found) - set(replaced)),
        converted=converted,
        missing=fit.missing,
        unexpected=fit.unexpected,
        replaced=replaced,
        mismatched=fit.mismatched,
        prefix=prefix,
        partial=partial and not fit.whole,
    )


def _check(fit: Fit, net: Net, state: State, *, partial: bool) -> None:
    """Raise MismatchError where weights fit a net too little."""
    if not any(state[name].ndim for name in set(fit.fitting) - set(_head(net, fit.fitting))):
        raise MismatchError(
            f"None of the {len(state):,} tensors fits the net {net.architecture!r}: they are called "
            f"{_some(state)}, and the net's {_some(nets.original_state(net))}.",
            hint="Choose the architecture that the weights were made for (model.architecture), or say what "
            "stands before its names (model.weights_prefix).",
        )
    if fit.whole or partial:
        return
    strange = [name for name in fit.unexpected if not fitting.needless(name)]
    first = (
        fit.mismatched[0]
        if fit.mismatched
        else f"{fit.missing[0]!r} is missing"
        if fit.missing
        else f"{strange[0]!r} is unknown"
    )
    raise MismatchError(
        f"The weights do not fit the net {net.architecture!r}: {len(fit.missing)} tensors are missing, "
        f"{len(fit.mismatched)} have another shape, {len(strange)} are unknown; the first: {first}.",
        hint="Choose the architecture that the weights were made for (model.architecture), or what of the "
        "file is meant (model.weights_prefix), or take what fits: --set model.partial=true.",
    )


def _fit_classifier(net: Net, fit: Fit, found: State) -> tuple[str, ...]:
    """Give the net a classifier with the classes of the weights; return the names that they do not give."""
    names = _head(net, nets.original_state(net))
    native = {found[name].shape == nets.original_state(net)[name].shape for name in names if name in found}
    if native == {True} and not fit.headless:
        return ()
    resizable = fit.classes and not isinstance(net.head, MapHead)
    nets.replace_head(net, heads.Linear(net.num_features, fit.classes if resizable else 0))
    return fit.headless if resizable else names


def _head(net: Net, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name.startswith(f"{net.classifier}."))


def _some(names: Iterable[str]) -> str:
    return ", ".join([repr(name) for name in names][:2]) + ", ..."


def _is_safetensors(path: Path) -> bool:
    """Tell by its name or by its head what a file is; a download may have any name."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _metadata(body: bytes) -> dict[str, str]:
    """Return what a safetensors file says of itself."""
    length = int.from_bytes(body[:8], "little")
    said: dict[str, str] = json.loads(body[8 : 8 + length]).get("__metadata__", {})
    return said


def _convert(path: Path) -> bytes:
    """Read a file in a child process; return its tensors as safetensors."""
    # -P: no module of the current folder is imported in place of an installed one
    command = [sys.executable, "-P", "-W", "ignore", "-m", "regraft.hub.convert", str(path)]
    try:
        child = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise _unreadable(path, f"it took longer than {TIMEOUT} s") from None
    if child.returncode:
        reason = child.stderr.decode(errors="replace").strip()
        raise _unreadable(path, reason or f"the reader ended with {child.returncode}")
    return child.stdout


def _unreadable(path: Path, reason: str) -> InvalidError:
    return InvalidError(
        f"The weights file {str(path)!r} ({path.stat().st_size:,} bytes) cannot be read: {reason}.",
        hint="Get the file again: it may be incomplete. Only files that hold nothing but tensors are read.",
        where=str(path),
    )
