"""run.json: what a run is, written when it starts and compared when it is resumed."""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from labkit.data.cache import fingerprint
from labkit.data.dataset import Dataset
from labkit.errors import LabkitError
from labkit.models.detector import Detector
from labkit.models.registry import DEFAULT, detector_of_run, name_of
from labkit.training.checkpoints import save_run
from labkit.training.settings import TrainSettings
from labkit.weights.runs import WEIGHTS, latest_checkpoint, read_run

# What may change from one part of a run to the next: how often it saves and looks at itself.
FREE = {
    "checkpoint_every",
    "checkpoints_kept",
    "validate_every",
    "validate_losses_every",
    "best_by",
    "stop_after",
    "film",
}


def run_record(
    model: Detector, dataset: Dataset, settings: TrainSettings, validation: Dataset | None
) -> dict:
    """What run.json holds."""
    return {
        "detector": name_of(model.config),
        "config": model.config.to_dict(),
        "class_names": list(model.class_names),
        "category_ids": [int(i) for i in dataset.category_ids],
        "settings": settings.to_dict(),
        "images": len(dataset),
        "data": fingerprint(dataset, places=False),
        "validation": None
        if validation is None
        else {"images": len(validation), "class_names": list(validation.class_names)},
        "versions": {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def prepare_run(run_dir: Path, record: dict, resume: bool) -> None:
    """Make a new run's folder and run.json, or check those of a run that is resumed.

    Raises:
        LabkitError: the folder holds a run and resume is False, or it holds another run.
    """
    if (run_dir / "run.json").exists():
        if not resume and (latest_checkpoint(run_dir) or (run_dir / WEIGHTS).exists()):
            raise LabkitError(
                f"{run_dir} already holds a run: resume it (--resume, or resume=True), or choose "
                "another folder."
            )
        if resume:
            stored = read_run(run_dir)
            _check_same(stored, record, run_dir)
            _note_changed_data(stored, record, run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    save_run(run_dir, record)


def _check_same(stored: dict, record: dict, run_dir: Path) -> None:
    """A run is resumed with what it was started with; only how often it saves may change."""
    plain = _as_json(record)
    # A run of an older labkit lacks the fields that have come since: they have their defaults.
    settings = TrainSettings.from_dict(stored.get("settings", {})).to_dict()
    config, _ = detector_of_run(stored)
    stored = stored | {"settings": _as_json(settings), "config": _as_json(config.to_dict())}
    stored.setdefault("detector", DEFAULT)
    for part in ("detector", "config", "class_names", "settings", "images"):
        old, new = stored.get(part), plain[part]
        if isinstance(old, dict):
            for name in old:
                if name not in FREE and old[name] != new.get(name):
                    raise LabkitError(
                        f"{run_dir}/run.json: the run was started with {name} = {old[name]}, not "
                        f"{new.get(name)}: resume with the same value, or start another run, which "
                        f"may begin with this one's weights (--weights {run_dir})."
                    )
        elif old != new:
            raise LabkitError(
                f"{run_dir}/run.json: the run was started with {part} {old}, not {new}: resume "
                "with the same data, or start another run."
            )


def _note_changed_data(stored: dict, record: dict, run_dir: Path) -> None:
    """Say so where the data are other ones: that is allowed, somebody may have corrected a box."""
    if stored.get("data", record["data"]) != record["data"]:
        print(
            f"Note: the data are not what {run_dir} was started with (an annotation, a size or a "
            "name has changed, or this labkit reads them in another way). The run goes on with "
            "what they are now.",
            file=sys.stderr,
        )


def _as_json(value):
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {k: _as_json(v) for k, v in value.items()}
    return [_as_json(v) for v in value] if isinstance(value, list | tuple) else value
