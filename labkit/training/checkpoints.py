"""Checkpoints that are whole or not there; `labkit.weights.runs` lists what a run's folder holds.

A checkpoint is written into a folder of another name, flushed to the disk, and then renamed: a
rename happens entirely or not at all, so a run killed at any moment leaves no half checkpoint.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError
from labkit.io.data_files import write_json
from labkit.io.whole_file import flush_to_disk, move, whole_file
from labkit.models.detector import Detector
from labkit.training.averages import averaged, keeps_average
from labkit.weights.runs import AVERAGE, WEIGHTS, checkpoints_of


def save_checkpoint(model: Detector, run_dir: Path, step: int, keep: int, stage: int = 1) -> Path:
    """Write everything needed to continue after `step`; only the newest `keep` checkpoints stay."""
    folder = run_dir / "checkpoints" / f"step-{step:08d}"
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    model.save_weights(draft / WEIGHTS)
    if keeps_average(model):
        with averaged(model):
            model.save_weights(draft / AVERAGE)
    variables = {f"{i:05d}": np.asarray(v) for i, v in enumerate(model.optimizer.variables)}
    np.savez(draft / "optimizer.npz", **variables)
    state = {
        "step": step,
        "stage": stage,
        "seed": model.config.seed,
        "optimizer": type(model.optimizer).__name__,
    }
    (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for file in (*draft.iterdir(), draft):
        flush_to_disk(file)
    _remove(folder)  # the same step again
    move(draft, folder)
    flush_to_disk(folder.parent)
    for old in checkpoints_of(run_dir)[:-keep]:
        _remove(old)
    return folder


def _remove(folder: Path) -> None:
    """Remove a folder by renaming it first, so that a killed process leaves no half checkpoint."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists():
        move(folder, gone)
        shutil.rmtree(gone)


def save_weights(model: Detector, path: Path) -> None:
    """Write a file of weights, whole or not at all."""
    with whole_file(path) as draft:
        model.save_weights(draft)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["step"]


def restore_optimizer(model: Detector, folder: Path) -> None:
    """Put the optimizer of a compiled model back as it was."""
    model.optimizer.build(model.trainable_variables)
    with np.load(folder / "optimizer.npz", allow_pickle=False) as stored:
        variables = model.optimizer.variables
        if len(stored.files) != len(variables):
            raise LabkitError(
                f"{folder / 'optimizer.npz'} holds {len(stored.files)} variables, this optimizer "
                f"has {len(variables)}: resume with the settings the run was started with."
            )
        for variable, name in zip(variables, sorted(stored.files), strict=True):
            variable.assign(stored[name])


def save_run(run_dir: Path, record: dict) -> None:
    """Write run.json, whole or not at all."""
    write_json(run_dir / "run.json", record, indent=2)
