"""One process at a time trains a run: two would overwrite each other's checkpoints."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from labkit.errors import LabkitError, opening

LOCK = ".lock"  # in a run's folder; the system frees it when its process ends, however that is


@contextlib.contextmanager
def only_one(run_dir: Path) -> Iterator[None]:
    """Within the block, no other process may train the run in this folder, which is made.

    Raises:
        LabkitError: another one does already.
    """
    with opening(run_dir, "folder"):
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(run_dir / LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise LabkitError(
                f"{run_dir} is being trained by another process: wait until that ends, or choose "
                "another folder."
            ) from None
    try:
        yield
    finally:
        lock.release()
