"""What this machine is, as far as it can change a result; read without importing any library."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

#: Libraries whose version can change the numbers.
LIBRARIES = ("numpy", "pillow", "safetensors", "scikit-learn", "scipy", "timm", "torch")


def environment() -> dict[str, str]:
    """Return the versions of Python and of the libraries that compute, and the processor."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
        **libraries(*LIBRARIES),
    }


def libraries(*names: str) -> dict[str, str]:
    """Return the installed versions of some libraries."""
    return {name: version(name) for name in names}


def processor() -> str:
    """Return what computes: the system's name of its processor, and of the GPUs that may be used."""
    return ", ".join([_processor(), *accelerators()])


def accelerators() -> list[str]:
    """Return the names of the NVIDIA GPUs that this process may use; read without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    found = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with suppress(OSError):
            lines = file.read_text().splitlines()
            found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return found


def accelerated() -> bool:
    """Tell whether the torch that is installed can use an NVIDIA GPU of this machine; read without it."""
    return "+cpu" not in version("torch") and Path("/dev/nvidiactl").exists() and bool(accelerators())


def _processor() -> str:
    """Return what the system calls its processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
