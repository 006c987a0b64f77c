"""Files that are there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Within the block, a path to write to; at its end what was written is renamed to `path`.

    A rename happens entirely or not at all: a writer that is stopped half-way leaves what was there
    before, and whoever reads at the same time sees the old content or the new. `path`'s folder is
    made. The draft has the same name, which some writers insist on (Keras wants `.weights.h5`), in
    a folder of its own, whose name holds the process: two of them may write the same file.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part") / path.name
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        draft.replace(path)
    finally:
        shutil.rmtree(draft.parent, ignore_errors=True)
