"""Read one `.pth` file and write its tensors to standard output as safetensors: the child process's program.

A `.pth` file is a pickle, which can carry code. It is read here alone: in a process of its own, with torch's
restricted unpickler and no fallback, and only tensors leave.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch
from safetensors.torch import save

#: Keys under which training tools keep the weights of a net.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")


def main(path: str) -> int:
    """Write the tensors of a file to standard output; on refusal, write the reason to standard error."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch raises over a bad file, the file is refused
        reason = str(error).partition("\n")[0] or type(error).__name__
        # torch's own advice is to read the file without its safeguard, and that is not ours
        code = "weights_only" in str(error) or "Weights only load failed" in str(error)
        sys.stderr.write("it holds more than tensors" if code else reason)
        return 1
    tensors = _tensors(content)
    if not tensors:
        sys.stderr.write("it holds no tensors by name")
        return 1
    sys.stdout.buffer.write(save(tensors))
    return 0


def _tensors(content: object) -> dict[str, torch.Tensor]:
    while isinstance(content, Mapping):
        wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is None:
            # a copy each: safetensors refuses tensors that share memory
            return {
                str(k): v.detach().clone().contiguous()
                for k, v in content.items()
                if isinstance(v, torch.Tensor)
            }
        content = content[wrapper]
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
