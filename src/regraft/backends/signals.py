"""Signals while a run is executed: the first waits for work that saves itself, the second does not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from regraft.errors import Terminated
from regraft.store.stopping import Stoppable

#: What is replaced: a handler that somebody else has set stays.
_DEFAULTS: dict[int, Callable[..., object] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


@contextmanager
def heard(run: Stoppable) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a run so that it can be resumed.

    Outside of the main thread nothing changes: Python hears signals there only.
    """

    def hear(number: int, _: FrameType | None) -> None:
        if run.polling and run.signal is None:
            run.signal = number
            return
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    replaced = []
    try:
        if threading.current_thread() is threading.main_thread():
            for number, default in _DEFAULTS.items():
                if signal.getsignal(number) == default:
                    replaced.append(number)
                    signal.signal(number, hear)
        yield
    finally:
        for number in replaced:
            signal.signal(number, _DEFAULTS[number])
