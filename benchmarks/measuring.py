"""Measure what a function costs: wall-clock time, processor time and memory. And processes."""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def measured(work: Callable[[], Any]) -> tuple[Any, dict]:
    """Call a function and measure it.

    Returns:
        What it returns, and a dict of its "seconds", its "processor_seconds", and the peak memory
        of this process so far, "peak_mib".
    """
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    return result, {
        "seconds": round(seconds, 2),
        "processor_seconds": round(worked, 2),
        "peak_mib": peak_mib(),
    }


def seconds(work: Callable[[], Any], times: int) -> tuple[float, float]:
    """Seconds that the first call of `work` takes, and the median of `times` more calls."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken[0], statistics.median(taken[1:])


def peak_mib() -> int:
    """The peak memory of this process, in MiB (on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def in_own_process(python: str, script: str, arguments: list[str], part: str) -> dict:
    """What a script prints last, as JSON, when it is run with --only and the name of a part.

    Each part has a process of its own, so that its memory and its threads are its own, too.
    """
    command = [python, script, *arguments, "--only", part]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{part} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
