"""Batches that threads make ahead: in order, not too many, and whatever goes wrong arrives."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from labkit.data.feeder import AHEAD, THREADS, Feeder
from labkit.errors import LabkitError


def running() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "labkit-feeder"]


def settled(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_batches_come_in_their_order_however_long_each_takes():
    pauses = np.random.default_rng(0).uniform(0, 0.01, 40)

    def make(step):
        time.sleep(pauses[step])
        return step * step

    feeder = Feeder(make, 5, 40)
    assert list(feeder) == [step * step for step in range(5, 40)]
    assert settled(lambda: not running())


def test_it_is_ahead_but_not_by_more_than_it_says_and_waits_without_threads():
    made = []
    feeder = Feeder(lambda step: made.append(step), 0, 100)
    feeder.take(0)
    assert settled(lambda: sorted(made) == list(range(AHEAD + 1)))
    assert settled(lambda: not running())  # a feeder that is left alone is not in the way
    feeder.take(1)
    assert settled(lambda: sorted(made) == list(range(AHEAD + 2)))


def test_no_more_threads_than_it_says():
    most, lock = [0, 0], threading.Lock()

    def make(step):
        with lock:
            most[0] += 1
            most[1] = max(most)
        time.sleep(0.002)
        with lock:
            most[0] -= 1

    list(Feeder(make, 0, 30))
    assert most[1] == THREADS


def test_it_can_begin_again_or_elsewhere():
    """Keras asks for the first batch to look at its shape, and then for all."""
    feeder = Feeder(lambda step: step, 0, 30)
    asked = [0, 0, 1, 2, 20, 21, 3, 29]
    assert [feeder.take(step) for step in asked] == asked


def test_an_error_waits_for_its_turn_and_is_the_one_that_was_raised():
    def make(step):
        if step == 3:
            raise LabkitError("three.png is broken")
        return step

    feeder = Feeder(make, 0, 9)
    assert [feeder.take(step) for step in range(3)] == [0, 1, 2]
    for look in (feeder.peek, feeder.peek, feeder.take):
        with pytest.raises(LabkitError, match=r"^three\.png is broken$"):
            look(3)
    assert feeder.take(4) == 4


def test_waiting_has_an_end():
    free = threading.Event()
    feeder = Feeder(lambda step: free.wait(), 0, 3)
    assert not feeder.wait(0, 0.05)
    free.set()
    assert feeder.wait(0, 10) and feeder.take(0)


def test_after_its_end_nothing_more_is_made():
    made, free = [], threading.Event()

    def make(step):
        made.append(step)
        free.wait()

    feeder = Feeder(make, 0, 9)
    feeder.wait(0, 0.05)
    feeder.close(0.05)  # does not wait for ever for what is not answered
    free.set()
    feeder.close()
    assert len(made) <= THREADS and settled(lambda: not running())


HANGS = """
import threading
from labkit.data.feeder import Feeder

feeder = Feeder(lambda step: threading.Event().wait(), 0, 9)
feeder.wait(0, 0.1)
print("the end")
"""


def test_a_read_that_never_returns_does_not_keep_the_process():
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr
