"""Read one `.pth` file and write its tensors to standard output as safetensors: the child process's program.

A `.pth` file is a pickle, which can carry code. It is read here alone: in a process of its own, with torch's
restricted unpickler and no fallback, and only tensors leave. The process gets no more memory than a file of
its size can need.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

#: Memory that reading a file may take, in bytes: a part that torch itself needs, and so many times the file,
#: whose tensors are in memory as they were read, apart from each other, and written.
MEMORY = 4 * 2**30
TIMES = 16

#: Keys under which training tools keep the weights of a net, the best first, and those of averaged weights,
#: which are taken where there are no others.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "module")
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")

_GLOBAL = re.compile(r"Unsupported (?:global|class)\W+(?:GLOBAL )?([\w.]+)")
_DAMAGED = "it is damaged, or torch did not write it"


def main(path: str) -> int:
    """Write the tensors of a file to standard output; on refusal, write the reason to standard error."""
    limit = MEMORY + TIMES * Path(path).stat().st_size
    _limit_memory(limit)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        tensors, said = _tensors(content)
        body = save(tensors, metadata=said) if tensors else b""
    except Exception as error:  # whatever torch raises over a bad file, the file is refused
        sys.stderr.write(_reason(error, limit))
        return 1
    if not tensors:
        names = ", ".join(map(repr, list(content)[:5])) if isinstance(content, Mapping) else ""
        sys.stderr.write("it holds no tensors by name" + (f", but {names}" if names else ""))
        return 1
    sys.stdout.buffer.write(body)
    return 0


def _limit_memory(limit: int) -> None:
    """Let the system refuse memory beyond a limit; where the limit is lower already it stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def _tensors(content: object) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors by name, and under which key of averaged weights they stood if they did."""
    said: dict[str, str] = {}
    while isinstance(content, Mapping):
        keys = [key for key in (*_WRAPPERS, *_AVERAGED) if isinstance(content.get(key), Mapping)]
        if not keys:
            # a copy each: safetensors refuses tensors that share memory
            return {
                str(k): v.detach().clone().contiguous()
                for k, v in content.items()
                if isinstance(v, torch.Tensor)
            }, said
        if keys[0] in _AVERAGED:
            said = {"averaged": keys[0]}
        content = content[keys[0]]
    return {}, said


def _reason(error: Exception, limit: int) -> str:
    """Say why a file was not read; torch advises to read it without its safeguard, and that is not ours."""
    words = str(error)
    if "legacy .tar format" in words:
        return "it is a tar archive, and torch writes none"
    if "Weights only load failed" in words or "weights_only" in words:
        if named := _GLOBAL.search(words):
            return f"it holds more than tensors: {named[1]}"
        return _DAMAGED
    if isinstance(error, MemoryError) or "can't allocate memory" in words:
        return f"it takes more than {limit:,} bytes of memory"
    if isinstance(error, OSError | EOFError):
        return _DAMAGED
    return words.partition("\n")[0].rstrip(".") or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
