"""Which device a training runs on, and whether it leaves a GPU of this machine unused.

TensorFlow computes on the CPU where NVIDIA's libraries are missing, and says so only in notes that
labkit hides with all the others (`labkit.quiet`). A training of an hour then takes a day.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

# Linux: there where NVIDIA's driver has found a GPU.
NVIDIA_FILES = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia/gpus"))


def announce_device(precision: str = "float32", replicas: int = 1) -> None:
    """Print the device that a training runs on, and on stderr a warning if a GPU is left unused.

    Args:
        precision: what layers compute in, as in `TrainSettings.precision`.
        replicas: the number of devices of this machine that the model is on.
    """
    print(f"Training on {describe_devices(replicas)} ({precision}).", flush=True)
    if complaint := unusable_gpu():
        print(f"Warning: {complaint}", file=sys.stderr, flush=True)


def describe_devices(replicas: int | None = None) -> str:
    """What TensorFlow computes on: "2 CPU cores", "GPU: NVIDIA H100" or "2 GPUs: NVIDIA H100".

    Args:
        replicas: the number of devices that a model is on; None for all that there are.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        cores = _cpu_cores()
        return f"{cores} CPU core{'s' if cores > 1 else ''}"
    used = gpus[:replicas]
    details = [tf.config.experimental.get_device_details(gpu) for gpu in used]
    names = ", ".join(sorted({one.get("device_name", "unknown model") for one in details}))
    idle = f" ({len(gpus) - len(used)} more idle: see make_strategy)" if used != gpus else ""
    return f"{'GPU' if len(used) == 1 else f'{len(used)} GPUs'}: {names}{idle}"


def unusable_gpu() -> str | None:
    """What to do about an NVIDIA GPU that TensorFlow cannot use; None where there is no such."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")  # somebody wants the CPU
    if hidden or tf.config.list_physical_devices("GPU") or not _has_nvidia_gpu():
        return None
    problem = "this machine has an NVIDIA GPU that TensorFlow cannot use; the CPU is far slower."
    if sys.platform == "win32":
        return f"{problem} TensorFlow has no GPU support on Windows: run labkit under WSL2."
    return (
        f'{problem} Install NVIDIA\'s libraries with `pip install "labkit[gpu]"`, which brings '
        "tensorflow[and-cuda] (with make: `EXTRAS=lab,dev,gpu make ...`); if they are installed, "
        "update the GPU's driver."
    )


def gpu_gibibytes() -> float | None:
    """The memory of the smallest GPU that TensorFlow uses, in GiB; None if it uses none.

    TensorFlow does not say, so NVIDIA's own program is asked. 8 where it does not answer.
    """
    if not tf.config.get_visible_devices("GPU"):
        return None
    answer = _nvidia_smi("--query-gpu=memory.total", "--format=csv,noheader,nounits")
    try:
        return min(float(line) for line in answer.splitlines()) / 1024
    except ValueError:
        return 8.0


def _has_nvidia_gpu() -> bool:
    if any(path.exists() for path in NVIDIA_FILES):
        return True
    return _nvidia_smi("-L").startswith("GPU ")


def _nvidia_smi(*options: str) -> str:
    """What NVIDIA's program prints; "" where it is missing or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, *options]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _cpu_cores() -> int:
    """The cores that this process may use, or all of the machine where no system call says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
