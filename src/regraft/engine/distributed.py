"""Several processes that train one net, each on its share of every batch; one process is a world of one.

Gradients are added up after the last pass of a step, all in one message for each type, so that a process may
also have no share at all of a small last batch. Running statistics of norm layers are averaged with them:
every process holds the same net after every step.

What lies in main memory goes over gloo, and on a GPU over nccl: who asks whether the run should end waits for
no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import torch
from torch import distributed, nn

from regraft.engine.device import find_kind

#: The tensors of a norm layer that follow from the pictures that it has seen.
_STATISTICS = ("running_mean", "running_var")


def most() -> int | None:
    """Return how many processes can train here: one for each GPU; None where the processor computes."""
    kind = find_kind()
    if kind == "cuda":
        return torch.cuda.device_count()
    return None if kind == "cpu" else 1


def join() -> None:
    """Become one of several processes; who started them says in the environment which.

    Where there are GPUs each takes the one that has its number.
    """
    kind = find_kind()
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo")


def leave() -> None:
    """Be a process of its own again."""
    distributed.destroy_process_group()


def world() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if active() else 1


def rank() -> int:
    """Return which of them this is; the first, 0, is the one that writes."""
    return distributed.get_rank() if active() else 0


def active() -> bool:
    """Tell whether there are several processes."""
    return distributed.is_available() and distributed.is_initialized()


def wait() -> None:
    """Wait until every process has come here."""
    add(torch.zeros(1))


def add(values: torch.Tensor) -> torch.Tensor:
    """Add up a tensor over all processes, in place; return it."""
    if active():
        distributed.all_reduce(values)
    return values


def any_of(asked: bool) -> bool:
    """Tell whether any process says yes; all of them have to call this."""
    return bool(add(torch.tensor(float(asked)))) if active() else asked


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients of all processes.

    One without a share gives zeros; what no process has a gradient of still has none afterwards, so that
    optimisers pass it by.
    """
    if not active():
        return
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    if not learning:
        return
    here = [parameter.grad is not None for parameter in learning]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    counts = torch.tensor(here, dtype=learning[0].dtype, device=learning[0].device)
    _exchange([counts, *(parameter.grad for parameter in learning if parameter.grad is not None)])
    if not all(here):
        for parameter, count in zip(learning, counts.tolist(), strict=True):
            if not count:
                parameter.grad = None


def share_statistics(net: nn.Module) -> None:
    """Let every process have the average of the running statistics of all; those that are frozen stay."""
    if not active():
        return
    moving = list(_moving(net))
    _exchange(moving)
    for buffer in moving:
        buffer.div_(world())


def share_batches(net: nn.Module) -> None:
    """Let batch-norm layers below a net see the whole batch, in place of each process's share; on GPUs alone.

    Every process needs as many passes as the others, each with a picture or more.
    """
    from timm.layers.norm_act import convert_sync_batchnorm  # knows timm's norm layers with activations too

    convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]  # timm does not declare it


def _moving(net: nn.Module) -> Iterator[torch.Tensor]:
    for module in net.modules():
        if module.training:
            found = (getattr(module, name, None) for name in _STATISTICS)
            yield from (buffer for buffer in found if isinstance(buffer, torch.Tensor))


def _exchange(tensors: list[torch.Tensor]) -> None:
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = add(torch.cat([tensor.detach().reshape(-1) for tensor in alike]))
        parts = torch.split(flat, [tensor.numel() for tensor in alike])
        with torch.no_grad():
            for tensor, values in zip(alike, parts, strict=True):
                tensor.copy_(values.view(tensor.shape))
