"""The boundary in a net: below it nothing learns, so that what comes out of there is computed once for all.

Nothing need be known of an architecture. The net runs once over an example while it is watched, which tells
the last frozen module that ends before anything that learns begins: there is the boundary. Above it runs the
net itself, with stand-ins for what is frozen. They give not-a-number but for the last, so that a net that
looks past the boundary gives itself away, and has none.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import nn

from regraft.hub.freezing import Frozen
from regraft.hub.nets import Net

#: Of what a module gives for one picture.
Shape = tuple[int, ...]


class Boundary:
    """A net in two parts, which share its modules and parameters: who trains the upper part trains the net.

    It is for the net as it is: one that gets another head, or thaws, has to be split again.
    """

    def __init__(self, net: Net, passed: Mapping[str, Shape], example: torch.Tensor) -> None:
        self._net = net
        self._picture = example.shape[1:]
        #: Modules on the way to stand-ins, each with its copy in the upper part.
        self._ways: list[tuple[nn.Module, nn.Module]] = []
        #: Full name of the last module below.
        self.name = list(passed)[-1]
        #: Of the activation of one picture.
        self.shape = passed[self.name]
        self._upper = self._copied(net, "", passed)
        self._activations = example.new_empty(0)

    def lower(self, pictures: torch.Tensor) -> torch.Tensor:
        """Turn prepared pictures into activations at the boundary, as in eval mode and without gradients."""
        with torch.no_grad(), _unchanged(self._net):
            self._net.eval()
            return _run_to(self._net, self.name, pictures)

    def upper(self, activations: torch.Tensor) -> torch.Tensor:
        """Turn activations into logits, in the mode that the net is in."""
        for original, way in self._ways:
            way.training = original.training
        self._activations = activations
        logits: torch.Tensor = self._upper(self._nothing(self._picture))
        return logits

    def _nothing(self, shape: Shape) -> torch.Tensor:
        """Return not-a-number in a shape for each picture, in the memory of one number."""
        nothing = self._activations.new_full((), torch.nan)
        return nothing.expand(len(self._activations), *shape)

    def _copied(self, module: nn.Module, place: str, passed: Mapping[str, Shape]) -> nn.Module:
        """Return a copy of a module with stand-ins for what is passed by; it shares all the rest."""
        if not any(f"{name}.".startswith(place) for name in passed):
            return module
        copied = copy.copy(module)
        if (name := place.removesuffix(".")) in passed:
            vars(copied)["forward"] = self._stand_in(name, passed[name])
            return copied
        copied._modules = {
            name: None if child is None else self._copied(child, f"{place}{name}.", passed)
            for name, child in module._modules.items()
        }
        self._ways.append((module, copied))
        return copied

    def _stand_in(self, name: str, shape: Shape) -> Callable[..., torch.Tensor]:
        return lambda *_, **__: self._activations if name == self.name else self._nothing(shape)


def split(net: Net, frozen: Frozen, example: torch.Tensor) -> Boundary | None:
    """Split a net above what of it is frozen from the pictures upwards, however that was chosen.

    The example is two or three prepared pictures, on the net's device. Returns None where nothing is
    frozen, or not its statistics, and where the parts together would not be the net: in eval mode they have
    to give its very numbers, and in training nothing that learns, and no chance, may have a part in the
    lower one.
    """
    if not frozen.names or not frozen.stats:
        return None
    with torch.no_grad(), _unchanged(net):
        net.eval()
        passed, logits = _watch(net, frozen.names, example)
        if not passed:
            return None
        boundary = Boundary(net, passed, example)
        activations = boundary.lower(example)
        same = torch.equal(boundary.upper(activations), logits)
    return boundary if same and _stays(net, frozen, boundary.name, example, activations) else None


def _watch(net: Net, frozen: frozenset[str], example: torch.Tensor) -> tuple[dict[str, Shape], torch.Tensor]:
    """Run the net; return the frozen modules that ended before anything that learns began, and the logits.

    Those inside of others are left out, and those that run again later.
    """
    passed: dict[str, Shape] = {}
    calls = Counter[str]()
    learning = False

    def begin(*_: object) -> None:
        nonlocal learning
        learning = True

    def end(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        calls[name] += 1
        if not learning and isinstance(output, torch.Tensor) and output.shape[:1] == example.shape[:1]:
            for inner in [other for other in passed if other.startswith(f"{name}.")]:
                del passed[inner]
            passed[name] = tuple(output.shape[1:])

    with ExitStack() as hooks:
        for name, module in net.named_modules():
            own = {parameter for parameter, _ in module.named_parameters(name)}
            if own <= frozen:
                hooks.enter_context(module.register_forward_hook(partial(end, name)))
            elif not own & frozen:
                hooks.enter_context(module.register_forward_pre_hook(begin))
        logits: torch.Tensor = net(example)
    return {name: shape for name, shape in passed.items() if calls[name] == 1}, logits


def _stays(net: Net, frozen: Frozen, name: str, example: torch.Tensor, activations: torch.Tensor) -> bool:
    """Tell whether in training, too, the lower part gives those activations, and passes no gradient on."""
    with torch.enable_grad(), torch.random.fork_rng(), _unchanged(net):
        frozen.apply(net)
        frozen.train(net)
        again = _run_to(net, name, example)
    return not again.requires_grad and torch.equal(again, activations)


class _Reached(Exception):  # noqa: N818 (no error: it ends a forward pass)
    """A forward pass came to the boundary."""

    def __init__(self, activations: torch.Tensor) -> None:
        self.activations = activations


def _run_to(net: Net, name: str, pictures: torch.Tensor) -> torch.Tensor:
    """Return what a module inside of the net gives; nothing beyond it is computed."""

    def stop(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        raise _Reached(output)

    with net.get_submodule(name).register_forward_hook(stop):
        try:
            net(pictures)
        except _Reached as reached:
            return reached.activations
    raise AssertionError(f"{name} does not run")


@contextmanager
def _unchanged(net: Net) -> Iterator[None]:
    """Leave the net as it was found: modes, statistics, and what learns."""
    modes = [(module, module.training) for module in net.modules()]
    learning = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, learns in learning:
            parameter.requires_grad_(learns)
        for buffer, before in buffers:
            buffer.copy_(before)
