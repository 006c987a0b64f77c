"""Batches made ahead of time by Python threads, and handed out in order.

Why not by tf.data's own threads? They would call Python for every batch. When the interpreter ends
while one of them waits for Python's lock (GIL), TensorFlow waits for that thread, which waits for
the lock: the process never ends. Here tf.data only takes what is ready, in the thread that asks.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

AHEAD = 6  # batches that are made before they are asked for
THREADS = 2  # enough to keep ahead of a model, and the cores are left to it

_in_use: weakref.WeakSet[Feeder] = weakref.WeakSet()


class Feeder:
    """Makes the batches `start` .. `end - 1` in the background; `take(step)` hands one out.

    Threads run only while there is something to make, so a feeder that is dropped costs nothing.
    They are daemons: a read that never returns (a network drive that is gone) does not keep the
    process from ending.

    Args:
        make: makes the batch of a number. It is called from several threads at once.
        start: number of the first batch.
        end: number after the last one.

    Attributes:
        steps: their numbers.
    """

    def __init__(self, make: Callable[[int], Any], start: int, end: int):
        self.steps = range(start, end)
        self._make = make
        self._changed = threading.Condition()
        self._window = range(0)  # what is wanted now: the rest of these attributes is about these
        self._waiting: deque[int] = deque()
        self._being_made: set[int] = set()
        self._made: dict[int, tuple[Any, BaseException | None]] = {}
        self._threads: set[threading.Thread] = set()
        _in_use.add(self)

    def __iter__(self) -> Iterator[Any]:
        return (self.take(step) for step in self.steps)

    def take(self, step: int) -> Any:
        """The batch of a number; those that follow are made meanwhile.

        Raises:
            Whatever `make` raised for this batch: a LabkitError names the picture.
        """
        while not self.wait(step):
            pass
        with self._changed:
            batch, error = self._made.pop(step)
            self._look_ahead(step + 1)
        if error is not None:
            raise error
        return batch

    def wait(self, step: int, seconds: float = 0.5) -> bool:
        """Wait for a batch, at most so long: whether `take` has it (or its error) at once.

        Unlike TensorFlow's waiting, this can be interrupted by a signal.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            self._look_ahead(step)
            while step not in self._made and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return step in self._made

    def peek(self, step: int) -> None:
        """Wait until a batch is there for `take`. Raises what `make` raised for it."""
        while not self.wait(step):
            pass
        with self._changed:
            _, error = self._made[step]
        if error is not None:
            raise error

    def close(self, seconds: float = 2.0) -> None:
        """Make nothing more, and wait for the threads to end, at most so long."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._window = range(0)
            self._waiting.clear()
            self._made.clear()
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _look_ahead(self, step: int) -> None:
        """From now on `step` and those after it are wanted. The lock is held."""
        self._window = range(step, min(step + AHEAD, self.steps.stop))
        self._made = {s: made for s, made in self._made.items() if s in self._window}
        known = self._being_made | self._made.keys()
        self._waiting = deque(s for s in self._window if s not in known)
        for _ in range(min(THREADS - len(self._threads), len(self._waiting))):
            thread = threading.Thread(target=self._work, name="labkit-feeder", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads.discard(threading.current_thread())
                    return
                step = self._waiting.popleft()
                self._being_made.add(step)
            outcome = self._outcome(step)
            with self._changed:
                self._being_made.discard(step)
                if step in self._window:
                    self._made[step] = outcome
                self._changed.notify_all()

    def _outcome(self, step: int) -> tuple[Any, BaseException | None]:
        try:
            return self._make(step), None
        except BaseException as error:  # raised again by `take`, where somebody can act on it
            return None, error


@atexit.register
def _close_all() -> None:
    for feeder in list(_in_use):
        feeder.close()
