"""Files that are there whole or not at all, on Windows too."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

WAITS = (0.1, 0.2, 0.4, 0.8)  # seconds between the tries of a rename


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Within the block, a path to write to; at its end what was written is renamed to `path`.

    A rename happens entirely or not at all. A writer that is stopped half-way leaves the old file,
    and another process that reads meanwhile sees the old content or the new. The draft has the name
    of `path`, because some writers ask for an ending (Keras: `.weights.h5`). It is in a folder of
    its own that is named after the process, so that two processes may write the same file.

    Args:
        path: the file to write. Its folder is made.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part") / path.name
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        move(draft, path)
    finally:
        shutil.rmtree(draft.parent, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Rename a file, in place of another one if there is one, or a folder.

    Windows refuses that while anybody has one of the files open, as virus scanners do for a moment
    with every new file, so it is tried again for a second and a half.
    """
    for seconds in WAITS:
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(seconds)
    source.replace(target)


def flush_to_disk(path: Path) -> None:
    """Wait until the content of a file, or the list of the files in a folder, is on the disk."""
    if not path.is_dir():
        with path.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
