"""Checkpoints that are whole or not there; `labkit.weights.runs` lists what a run's folder holds.

A checkpoint is written into a folder of another name, flushed to the disk, and then renamed: a
rename happens entirely or not at all, so a run killed at any moment leaves no half checkpoint. What
a disk does to it later, the checksums in its state.json tell.
"""

import contextlib
import errno
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError
from labkit.io.data_files import write_json
from labkit.io.whole_file import flush_to_disk, move, whole_file
from labkit.models.detector import Detector
from labkit.training.averages import averaged, keeps_average
from labkit.weights.own_file import weights_as_bytes
from labkit.weights.runs import AVERAGE, OPTIMIZER, STATE, WEIGHTS, checkpoints_of


def save_checkpoint(model: Detector, run_dir: Path, step: int, keep: int, stage: int = 1) -> Path:
    """Write everything needed to continue after `step`; only the newest `keep` checkpoints stay."""
    folder = run_dir / "checkpoints" / f"step-{step:08d}"
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        _write(model, draft, {"step": step, "stage": stage})
        remove_checkpoint(folder)  # the same step again
        move(draft, folder)
    except BaseException:  # on a full disk, what is half written would keep it full
        shutil.rmtree(draft, ignore_errors=True)
        raise
    flush_to_disk(folder.parent)
    for old in checkpoints_of(run_dir)[:-keep]:
        remove_checkpoint(old)
    return folder


def _write(model: Detector, folder: Path, state: dict) -> None:
    folder.mkdir(parents=True)
    state |= {
        "seed": model.config.seed,
        "optimizer": type(model.optimizer).__name__,
        "sha256": {},
    }
    for name, content in _contents(model):
        (folder / name).write_bytes(content)
        state["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")
    for file in (*folder.iterdir(), folder):
        flush_to_disk(file)


def _contents(model: Detector) -> Iterator[tuple[str, bytes]]:
    """The files of a checkpoint, each with what is in it."""
    yield WEIGHTS, weights_as_bytes(model)
    if keeps_average(model):
        with averaged(model):
            yield AVERAGE, weights_as_bytes(model)
    memory = io.BytesIO()
    variables = {f"{i:05d}": np.asarray(v) for i, v in enumerate(model.optimizer.variables)}
    np.savez(memory, **variables)
    yield OPTIMIZER, memory.getvalue()


def remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint, renamed first, so that a killed process leaves no half of one."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists():
        move(folder, gone)
        shutil.rmtree(gone)


def remove_leftovers(run_dir: Path) -> None:
    """Remove what a killed process had half written or half removed."""
    leftovers = [*run_dir.glob(".*.part"), *(run_dir / "checkpoints").glob(".step-*")]
    for folder in leftovers:
        shutil.rmtree(folder, ignore_errors=True)


def save_weights(model: Detector, path: Path) -> None:
    """Write a file of weights, whole or not at all."""
    with whole_file(path) as draft:
        draft.write_bytes(weights_as_bytes(model))
        flush_to_disk(draft)


def restore_optimizer(model: Detector, folder: Path) -> None:
    """Put the optimizer of a compiled model back as it was."""
    model.optimizer.build(model.trainable_variables)
    with np.load(folder / OPTIMIZER, allow_pickle=False) as stored:
        variables = model.optimizer.variables
        if len(stored.files) != len(variables):
            raise LabkitError(
                f"{folder / OPTIMIZER} holds {len(stored.files)} variables, this optimizer "
                f"has {len(variables)}: resume with the settings the run was started with."
            )
        for variable, name in zip(variables, sorted(stored.files), strict=True):
            variable.assign(stored[name])


def save_run(run_dir: Path, record: dict) -> None:
    """Write run.json, whole or not at all."""
    write_json(run_dir / "run.json", record, indent=2)


@contextlib.contextmanager
def full_disk_is_a_sentence(run_dir: Path) -> Iterator[None]:
    """Within the block, a disk without room is a LabkitError that says how to go on."""
    try:
        yield
    except OSError as error:
        if isinstance(error, LabkitError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise LabkitError(
            f"{run_dir}: no room is left on its disk ({error.strerror}). The last checkpoint is "
            "intact: make room, then resume (--resume, or resume=True)."
        ) from error
