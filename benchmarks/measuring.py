"""Measure what a function costs: wall-clock time, processor time and memory."""

import resource
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


def peak_mib() -> int:
    """The peak memory of this process, in MiB (on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
