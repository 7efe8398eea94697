"""What becomes of freed memory: kept while tensors come and go, given back when the work is done."""

from __future__ import annotations

import contextlib
import ctypes
import platform


def keep_memory() -> bool:
    """Tell the C library to keep freed memory instead of giving it back at every step; glibc alone.

    Large tensors otherwise fault in their pages anew each time. Call it before the first tensor.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    # values of <malloc.h>: M_MMAP_MAX = -4, M_TRIM_THRESHOLD = -1, M_TOP_PAD = -2
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all([mallopt(-4, 0), mallopt(-1, 2**31 - 1), mallopt(-2, 64 * 2**20)])
    return False


def release_memory() -> None:
    """Give freed memory back to the system once, although it is kept otherwise; glibc alone."""
    if platform.libc_ver()[0] == "glibc":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
