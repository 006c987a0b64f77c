"""Calls a function that may crash, print, change its arguments or never return."""

import contextlib
import copy
import ctypes
import io
import threading
import traceback
from dataclasses import dataclass

AGAIN = 0.5  # seconds between two attempts to end a function that swallows exceptions


class _Timeout(BaseException):
    """Raised inside a function that takes too long; no `except Exception` catches it."""


@dataclass(frozen=True)
class Outcome:
    """The result of a call: its value, or in `error` one sentence about why there is none."""

    value: object = None
    error: str = ""


def call(function, args: tuple, seconds: float = 10.0) -> Outcome:
    """Calls function(*args) with a copy of args, for at most `seconds`; its prints are not shown.

    An exception is raised in a function that takes too long, from another thread. (Not by a signal:
    a process in the background may ignore those.) It ends Python code, but not one long call in C.
    """
    given = copy.deepcopy(args)
    ended, deciding = threading.Event(), threading.Lock()
    caller = threading.get_ident()
    options = (caller, seconds, ended, deciding)
    watcher = threading.Thread(target=_end_late, args=options, daemon=True)
    try:
        watcher.start()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                value = function(*given)
        finally:
            with deciding:  # from here on nothing is raised: it would hit other code
                ended.set()
                _raise_in(caller, None)
        return Outcome(value)
    except _Timeout:
        return Outcome(
            error=f"it had not finished after {seconds:g} seconds: is there a loop that never ends?"
        )
    except Exception as error:  # whatever a learner's code may raise
        return Outcome(error=f"it stopped with {type(error).__name__}: {error}{_line(error)}")
    except SystemExit:
        return Outcome(error="it called exit(), which would end the notebook's Python")
    finally:
        ended.set()  # also if the time was up just before the end


def _end_late(caller: int, seconds: float, ended: threading.Event, deciding) -> None:
    """Raises _Timeout in the thread `caller` after `seconds`, and again until it has ended."""
    while not ended.wait(seconds):
        with deciding:
            if not ended.is_set():
                _raise_in(caller, _Timeout)
        seconds = AGAIN


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Raises an exception in a thread at its next step; None cancels one that is still pending."""
    kind = ctypes.py_object(exception) if exception is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)


def _line(error: Exception) -> str:
    """The line of the innermost frame in a notebook's cell, as " (in your line `x = y`)"."""
    frames = [f for f in traceback.extract_tb(error.__traceback__)[1:] if f.line]
    own = [f for f in frames if "ipykernel" in f.filename or f.filename.startswith("<ipython")]
    return f" (in your line `{own[-1].line.strip()}`)" if own else ""
