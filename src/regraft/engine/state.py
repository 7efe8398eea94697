"""Everything that training changes, as one value that can be written down and taken up again exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from regraft.engine.averages import Ema
from regraft.records import Epoch

Tensors = dict[str, torch.Tensor]

#: The part of the name of a tensor in a checkpoint that says what it belongs to.
_NET, _OPTIMIZER, _GROUP, _AVERAGE = "net.", "optimizer.", "group.", "average."


@dataclass(kw_only=True)
class Counters:
    """How far training is: plain numbers, which a checkpoint holds as JSON."""

    #: Finished epochs, finished batches of the epoch under way, and steps in all.
    epoch: int = 0
    batch: int = 0
    step: int = 0
    #: Epochs that there shall be in all, and those that there were when that was said.
    planned: int = 0
    began: int = 0
    #: Sum of the losses of the epoch's pictures so far, and how many they are.
    loss_sum: float = 0.0
    seen: int = 0
    #: Validation losses of the finished epochs, where there is something to validate on.
    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    #: The epoch with the best validation loss, and the loss; 0 is the beginning.
    best: int = 0
    best_loss: float | None = None
    #: Pictures that a device takes at once; halved where memory runs out.
    micro_batch: int = 0
    #: Whether what is frozen is kept and not computed again.
    kept: bool = False
    #: Threads that compute: another number of them rounds otherwise.
    threads: int = 0
    #: Why training ended before the last epoch.
    ended: str = ""


class State:
    """A net in training, its optimiser, its moving average, and how far they are."""

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        average: Ema | None = None,
        scaler: torch.amp.GradScaler | None = None,
        constant: frozenset[str] = frozenset(),
    ) -> None:
        """Take what training changes; tensors named in `constant` never do, and are not written down."""
        self.net = net
        #: What is called in place of the net: the net itself, or what a compiler made of it.
        self.runner: Callable[[torch.Tensor], torch.Tensor] = net
        self.optimizer = optimizer
        self.average = average
        self.scaler = scaler
        self.at = Counters()
        self._constant = constant
        self._names = {parameter: name for name, parameter in net.named_parameters()}

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """The finished epochs."""
        return tuple(Epoch.model_validate(epoch) for epoch in self.at.epochs)

    def weights(self) -> Tensors:
        """Return the net's tensors that training may change: averaged where there is an average."""
        found = self._tensors() if self.average is None else self.average.state_dict()
        return {name: tensor for name, tensor in found.items() if name not in self._constant}

    def restart_average(self) -> None:
        """Let the average begin anew with the weights as they are now."""
        if self.average is not None:
            self.average.load_state_dict(self._tensors())

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the net have its averaged weights for a while, where there is an average."""
        if self.average is None:
            yield
            return
        own = {name: value.clone() for name, value in self._tensors().items()}
        self.put_weights(self.weights())
        try:
            yield
        finally:
            self.put_weights(own)

    def pack(self) -> bytes:
        """Return the whole state as one safetensors document; equal states give equal bytes."""
        tensors = {f"{_NET}{name}": tensor for name, tensor in self._tensors().items()}
        numbers: dict[str, Any] = {"progress": asdict(self.at), "groups": self._group_numbers(), "values": {}}
        for parameter, name in self._names.items():
            values = self.optimizer.state.get(parameter, {})
            for key, value in values.items():
                place = f"{name}|{key}"
                if isinstance(value, torch.Tensor):
                    tensors[_OPTIMIZER + place] = value
                else:
                    numbers["values"][place] = value
        for group in self.optimizer.param_groups:
            counted = {key: value for key, value in group.items() if isinstance(value, torch.Tensor)}
            tensors |= {f"{_GROUP}{group['name']}|{key}": value for key, value in counted.items()}
        if self.average is not None:
            tensors |= {f"{_AVERAGE}{name}": tensor for name, tensor in self.weights().items()}
        if self.scaler is not None:
            numbers["scaler"] = self.scaler.state_dict()
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        return save(plain, metadata={"state": json.dumps(numbers, sort_keys=True)})

    def unpack(self, data: bytes) -> None:
        """Take up a state that was written down; the net and the optimiser must be built alike."""
        tensors, numbers = load(data), _numbers(data)
        self.put_weights(part(tensors, _NET))
        self._unpack_groups(part(tensors, _GROUP), numbers["groups"])
        self._unpack_optimizer(part(tensors, _OPTIMIZER), numbers["values"])
        if self.average is not None:
            self.average.load_state_dict(part(tensors, _AVERAGE))
        if self.scaler is not None:
            self.scaler.load_state_dict(numbers["scaler"])
        known = {item.name for item in fields(Counters)}
        self.at = Counters(**{key: value for key, value in numbers["progress"].items() if key in known})

    def put_weights(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy tensors into the net, in the memory layout that it has."""
        own = self.net.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)

    def _tensors(self) -> Tensors:
        return {name: value for name, value in self.net.state_dict().items() if name not in self._constant}

    def _group_numbers(self) -> list[dict[str, Any]]:
        """Return what an optimiser counts for whole groups, as some do, where it is no tensor."""
        return [
            {key: value for key, value in group.items() if isinstance(value, int | float | str | None)}
            for group in self.optimizer.param_groups
        ]

    def _unpack_groups(self, tensors: Tensors, numbers: Sequence[Mapping[str, Any]]) -> None:
        """Give each group what was written of it: nothing of one that has begun to learn since then."""
        written = {values["name"]: dict(values) for values in numbers}
        for place, value in tensors.items():
            name, _, key = place.rpartition("|")
            written[name][key] = value
        for group in self.optimizer.param_groups:
            group.update(written.get(group["name"], {}))

    def _unpack_optimizer(self, tensors: Tensors, numbers: Mapping[str, Any]) -> None:
        parameters = {name: parameter for parameter, name in self._names.items()}
        self.optimizer.state.clear()
        for place, value in [*tensors.items(), *numbers.items()]:
            name, _, key = place.partition("|")
            parameter = parameters[name]
            own = _beside(value, parameter) if isinstance(value, torch.Tensor) else value
            self.optimizer.state[parameter][key] = own


def part(tensors: Mapping[str, torch.Tensor], prefix: str) -> Tensors:
    """Return the tensors below a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def weights_of(data: bytes) -> Tensors:
    """Return the weights that a written state would be used with: the averaged ones where there are any."""
    tensors = load(data)
    return part(tensors, _AVERAGE) or part(tensors, _NET)


def _beside(value: torch.Tensor, parameter: nn.Parameter) -> torch.Tensor:
    """Return what an optimiser keeps of a parameter where that is, and laid out in memory as it was."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    # like its parameter: another order could round otherwise
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value).detach()


def _numbers(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    document: dict[str, Any] = json.loads(data[8 : 8 + length])
    numbers: dict[str, Any] = json.loads(document["__metadata__"]["state"])
    return numbers
