"""Whether the process that wrote something down is still alive."""

from __future__ import annotations

import os
from pathlib import Path


def alive(process: int, began: str) -> bool:
    """Tell whether a process lives and began then; one that only waits to be reaped does not live."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and belongs to somebody else
    if _ended(process):
        return False
    now = started(process)
    return not now or now == began


def started(process: int) -> str:
    """Return when a process began: the boot and the clock ticks since then; empty where it is not said."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ticks = _facts(process)[19]
    except OSError:
        return ""
    return f"{boot} {ticks}"


def _ended(process: int) -> bool:
    try:
        return _facts(process)[0] in ("Z", "X")
    except OSError:
        return False  # the system does not say


def _facts(process: int) -> list[str]:
    """Return what Linux says of a process after its name: its state first."""
    return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].decode().split()
