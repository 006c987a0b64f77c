"""Checkpoints that are whole or not there, and models read back from a run.

    runs/mine/run.json                        config, class names, settings, versions
    runs/mine/checkpoints/step-00000400/      model.weights.h5, optimizer.npz, state.json, and
                                              average.weights.h5 where an average is kept
    runs/mine/model.weights.h5                when the run is complete
    runs/mine/best.weights.h5, best.json      the best so far, where validation measured it

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
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training.averages import averaged, keeps_average

WEIGHTS = "model.weights.h5"
AVERAGE = "average.weights.h5"
BEST_WEIGHTS, BEST = "best.weights.h5", "best.json"


def save_checkpoint(model: MaskRCNN, run_dir: Path, step: int, keep: int, stage: int = 1) -> Path:
    """Write everything needed to go on from `step`; older checkpoints beyond `keep` are removed."""
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
    for old in _checkpoints(run_dir)[:-keep]:
        _remove(old)
    return folder


def _remove(folder: Path) -> None:
    """Away at once, under another name: to delete file by file takes time to be killed in."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists():
        move(folder, gone)
        shutil.rmtree(gone)


def save_weights(model: MaskRCNN, path: Path) -> None:
    """Write a file of weights, whole or not at all."""
    with whole_file(path) as draft:
        model.save_weights(draft)


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    found = _checkpoints(Path(run_dir))
    return found[-1] if found else None


def step_of(checkpoint: Path) -> int:
    """How many steps a checkpoint has behind it."""
    return json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["step"]


def restore_optimizer(model: MaskRCNN, folder: Path) -> None:
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


def read_run(run_dir: Path) -> dict:
    """run.json as a dict. Raises LabkitError where it is missing or broken."""
    path = Path(run_dir) / "run.json"
    if Path(run_dir).is_file():
        raise LabkitError(f"{run_dir} is a file; give the folder that a training run wrote.")
    if not path.exists():
        raise LabkitError(f"{path} does not exist: give the folder that a training run wrote.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record | {"config": record["config"], "class_names": record["class_names"]}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise LabkitError(f"{path} is not a run's description ({error!r}): train again.") from error


def load_model(path: str | Path, which: str = "last") -> MaskRCNN:
    """The model of a run, ready to detect.

    path: a run's folder, or one of its checkpoint folders. which: of a run, its "last" weights (the
    final ones, or its newest checkpoint while there are none) or its "best", by the metric that
    TrainSettings.best_by names. Raises LabkitError where there is nothing to load.
    """
    folder = run_of(path)
    record, weights = read_run(folder), weights_of(path, which)
    model = MaskRCNN(Config.from_dict(record["config"]), record["class_names"])
    model.category_ids = tuple(record.get("category_ids") or range(1, len(model.class_names) + 1))
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise LabkitError(f"{weights} does not fit {folder / 'run.json'}: {error}") from error
    return model


def run_of(path: str | Path) -> Path:
    """The run's folder of a run, or of one of its checkpoints."""
    path = Path(path)
    return path.parent.parent if (path / "state.json").exists() else path


def weights_of(path: str | Path, which: str = "last") -> Path:
    """The file of weights of a run or a checkpoint, averaged ones first; which: see `load_model`.

    Raises LabkitError where there is none yet.
    """
    if which not in ("last", "best"):
        raise LabkitError(f"load_model: which must be 'last' or 'best', got {which!r}.")
    if which == "best":
        if (Path(path) / BEST_WEIGHTS).exists():
            return Path(path) / BEST_WEIGHTS
        raise LabkitError(
            f"{path} holds no {BEST_WEIGHTS}: a run keeps it where it has validation pictures and "
            "validate_every (or validate_losses_every) says when to look at them."
        )
    for folder in (Path(path), latest_checkpoint(Path(path))):
        for name in (AVERAGE, WEIGHTS):
            if folder is not None and (folder / name).exists():
                return folder / name
    raise LabkitError(f"{path} holds no weights and no checkpoint yet: let the run go on.")


def _checkpoints(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "checkpoints").glob("step-*"))
