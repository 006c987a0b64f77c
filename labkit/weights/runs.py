"""A run's folder as its readers see it: what it is of, and which weights it has.

    runs/mine/run.json                        detector, config, class names, settings, versions
    runs/mine/checkpoints/step-00000400/      model.weights.h5, optimizer.npz, state.json, and
                                              average.weights.h5 where an average is kept
    runs/mine/model.weights.h5                when the run is complete
    runs/mine/best.weights.h5, best.json      the best so far, where validation measured it

`labkit.training.checkpoints` writes it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import LabkitError
from labkit.models.registry import DETECTORS, detector_of_run

if TYPE_CHECKING:  # TensorFlow takes seconds to import; `labkit info --pretrained` does without
    from labkit.models.detector import Detector

WEIGHTS = "model.weights.h5"
AVERAGE = "average.weights.h5"
OPTIMIZER, STATE = "optimizer.npz", "state.json"  # of a checkpoint
BEST_WEIGHTS, BEST = "best.weights.h5", "best.json"


def load_model(path: str | Path, which: str = "last") -> Detector:
    """The model of a run, ready to detect.

    Args:
        path: a run's folder, or one of its checkpoint folders; or the .keras file that `model.save`
            wrote.
        which: of a run, its "last" weights (the final ones, or its newest checkpoint while there
            are none) or its "best", by the metric that TrainSettings.best_by names.

    Raises:
        LabkitError: there is nothing to load, or it does not fit.
    """
    if Path(path).suffix == ".keras":
        return _load_keras(path)
    folder = run_of(path)
    record, weights = read_run(folder), weights_of(path, which)
    config, detector = detector_of_run(record)
    model = detector(config, record["class_names"])
    model.category_ids = record.get("category_ids") or None
    try:
        model.load_weights(weights)
    except OSError as error:
        raise LabkitError(
            f"{weights} is damaged or incomplete ({error}): take a checkpoint of the run, or "
            "train again."
        ) from error
    except (ValueError, KeyError) as error:
        raise LabkitError(f"{weights} does not fit {folder / 'run.json'}: {error}") from error
    return model


def _load_keras(path: str | Path) -> Detector:
    """The detector in a .keras file. No code in the file is run: Keras refuses it."""
    import keras

    from labkit.models.detector import Detector

    _ = [entry.model_class for entry in DETECTORS.values()]  # imported, so that Keras knows them
    try:
        model = keras.saving.load_model(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LabkitError(f"{path} cannot be read as a Keras model: {error}") from error
    if not isinstance(model, Detector):
        raise LabkitError(f"{path} holds a {type(model).__name__}, not a detector of labkit.")
    return model


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


def run_of(path: str | Path) -> Path:
    """The run's folder of a run, or of one of its checkpoints."""
    path = Path(path)
    return path.parent.parent if (path / STATE).exists() else path


def weights_of(path: str | Path, which: str = "last") -> Path:
    """The file of weights of a run or a checkpoint, averaged ones first.

    Args:
        path: as in `load_model`.
        which: as in `load_model`.

    Raises:
        LabkitError: there are none yet, or every checkpoint is damaged.
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
    for name in (AVERAGE, WEIGHTS):
        if (Path(path) / name).exists():
            return Path(path) / name
    if checkpoints_of(path):
        folder = intact_checkpoint(path)
        return next(folder / name for name in (AVERAGE, WEIGHTS) if (folder / name).exists())
    raise LabkitError(f"{path} holds no weights and no checkpoint yet: let the run go on.")


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint of a run, or None; `intact_checkpoint` looks at what is in it."""
    found = checkpoints_of(run_dir)
    return found[-1] if found else None


def checkpoints_of(run_dir: Path) -> list[Path]:
    """All whole checkpoints of a run, the newest last."""
    return sorted((Path(run_dir) / "checkpoints").glob("step-*"))


def intact_checkpoint(run_dir: str | Path) -> Path | None:
    """The newest checkpoint of a run that is not damaged, or None where there is none at all.

    What is wrong with newer ones is said on stderr.

    Raises:
        LabkitError: all of them are damaged.
    """
    damaged = []
    for checkpoint in reversed(checkpoints_of(run_dir)):
        damage = damage_of(checkpoint)
        if damage is None:
            for sentence in damaged:
                print(f"{sentence}; {checkpoint.name} is used instead.", file=sys.stderr)
            return checkpoint
        damaged.append(damage)
    if damaged:
        raise LabkitError(
            f"{damaged[0]}, and no older checkpoint is intact: copy one back into "
            f"{Path(run_dir) / 'checkpoints'}, or start another run."
        )
    return None


def damage_of(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None: its files must be those that were written.

    Checkpoints of an older labkit hold no checksums. Of those, what is truncated is found.
    """
    try:
        state = state_of(checkpoint)
    except LabkitError as error:
        return str(error).removesuffix(".")
    for name in state.get("sha256") or (WEIGHTS, OPTIMIZER):
        path = checkpoint / name
        if not path.is_file():
            return f"{path} is missing"
        with path.open("rb") as file:
            written = state.get("sha256", {}).get(name)
            if written and hashlib.file_digest(file, "sha256").hexdigest() != written:
                return f"{path} is damaged: it is not what was written"
        if not written and not _opens(path):
            return f"{path} is damaged: it is truncated, or something else"
    return None


def state_of(checkpoint: Path) -> dict:
    """state.json of a checkpoint: the "step" after which it was written, and more.

    Raises:
        LabkitError: the file is damaged.
    """
    path = checkpoint / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(state["step"], int) or not isinstance(state.get("sha256", {}), dict):
            raise TypeError("step")
    except (OSError, ValueError, KeyError, TypeError):
        raise LabkitError(f"{path} is damaged: it does not say of which step it is.") from None
    return state


def _opens(path: Path) -> bool:
    """Whether an HDF5 file or a zip archive is whole, as far as its directory tells."""
    if path.name == OPTIMIZER:
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        except (OSError, zipfile.BadZipFile):
            return False
    import h5py  # not needed by what only asks which checkpoints there are

    try:
        with h5py.File(path, "r"):
            return True
    except OSError:
        return False
