"""Ctrl-C and SIGTERM: a training finishes its step and saves a checkpoint before it ends.

The first signal is a request, which the training looks at between steps; SIGTERM is what systems
send before they kill a process (`kill`, a job queue at its time limit, a machine that shuts down).
The second one ends the process at once.
"""

from __future__ import annotations

import builtins
import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from labkit.errors import Stopped

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class _Broken(BaseException):
    """Ends what `StopRequest.unless_stopped` runs; not an Exception, so nothing else catches it."""


class StopRequest:
    """Hears the first Ctrl-C or SIGTERM within `with StopRequest() as stop:`.

    Attributes:
        signal: the number of the signal that was sent, or None.
    """

    def __init__(self):
        self.signal: int | None = None
        self._before: dict[int, Any] = {}
        self._breakable = False

    def __enter__(self) -> StopRequest:
        # Python hears signals in the main thread alone. What the shell ignores (nohup) stays so.
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def __bool__(self) -> bool:
        return self.signal is not None

    def stopped(self, what: str) -> Stopped:
        """The error to raise: "Stopped by Ctrl-C" and `what` was done before."""
        return Stopped(f"Stopped by {NAMES[self.signal]} {what}", 128 + self.signal)

    def unless_stopped(self, work: Callable[[], Any]) -> Any:
        """What `work()` returns, or None if the end was asked for before or meanwhile.

        For work that can be left half done: a signal breaks it off at once.
        """
        try:
            try:
                self._breakable = True
                return None if self else work()
            finally:
                self._breakable = False
        except _Broken:
            return None

    def _hear(self, number: int, frame) -> None:
        self.signal = number
        for heard, handler in self._before.items():
            signal.signal(heard, _at_once(handler))
        if self._breakable:
            raise _Broken
        with contextlib.suppress(RuntimeError, OSError):  # it interrupted another print
            print(
                f"\n{NAMES[number]}: the step is finished and a checkpoint is saved; again, and it "
                "ends at once.",
                file=sys.stderr,
                flush=True,
            )


def _at_once(handler):
    """What a second signal does: what it did before, but without waiting for TensorFlow.

    Python's own handler would raise KeyboardInterrupt after the step, which may take a minute.
    A notebook's process must survive; there Python's handler stays.
    """
    notebook = hasattr(builtins, "__IPYTHON__") or hasattr(sys, "ps1")
    if handler is None or (handler is signal.default_int_handler and not notebook):
        return signal.SIG_DFL
    return handler
