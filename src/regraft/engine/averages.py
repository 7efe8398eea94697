"""Averages of weights: along the way of one training, and over its best checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


class Ema:
    """The exponential moving average of a net's tensors; those that are not floats are the net's latest."""

    def __init__(self, net_state: Mapping[str, Tensor], decay: float) -> None:
        """Begin with a net's state; `decay` is what the average keeps of itself at a step, such as 0.999."""
        self.decay = decay
        self._tensors = {name: tensor.detach().clone() for name, tensor in net_state.items()}

    def update(self, net: nn.Module, step: int) -> None:
        """Take in the net after an optimiser step, counted from 0.

        Early on the average keeps less: (1 + step) / (10 + step), so that it does not dwell on how the
        training began.
        """
        keep = min(self.decay, (1 + step) / (10 + step))
        state = net.state_dict()
        pairs = [(own, state[name].detach()) for name, own in self._tensors.items()]
        floats = [(own, new) for own, new in pairs if own.is_floating_point()]
        with torch.no_grad():
            if floats:
                torch._foreach_lerp_([own for own, _ in floats], [new for _, new in floats], 1 - keep)
            for own, new in pairs:
                if not own.is_floating_point():
                    own.copy_(new)

    def state_dict(self) -> Tensors:
        """Return the averaged tensors by the net's names; they change with the next update."""
        return dict(self._tensors)

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from averages that were written down; tensors that are not among them stay as they are."""
        with torch.no_grad():
            for name, tensor in tensors.items():
                self._tensors[name].copy_(tensor)


def soup(
    states: Sequence[Mapping[str, Tensor]], score: Callable[[Tensors], float]
) -> tuple[Tensors, list[int]]:
    """Return the greedy soup of states, the best of which comes first, and which of them are in it.

    A state is stirred in where the mean with it scores at least as high as without (Wortsman et al., 2022).
    Tensors that are not floats are those of the first state.
    """
    best: Tensors = dict(states[0])
    used, height = [0], score(best)
    for index in range(1, len(states)):
        mixed = _mean([states[number] for number in (*used, index)])
        if (reached := score(mixed)) >= height:
            best, height = mixed, reached
            used.append(index)
    return best, used


def _mean(states: Sequence[Mapping[str, Tensor]]) -> Tensors:
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
