"""What a piece of work costs: seconds of the clock and of the processor, and memory."""

import resource
import time
from collections.abc import Callable
from typing import Any


def measured(work: Callable[[], Any]) -> tuple[Any, dict]:
    """What `work` returns, and what it took: seconds, and this process's peak so far in MiB."""
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    return result, {
        "seconds": round(seconds, 2),
        "processor_seconds": round(worked, 2),
        "peak_mib": peak_mib(),
    }


def peak_mib() -> int:
    """The most memory this process has held, in MiB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
