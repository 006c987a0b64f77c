"""`train`: from a model and a data set to a run on disk that can be stopped and resumed."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from threadpoolctl import ThreadpoolController

from labkit.data.dataset import Dataset
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.evaluation import evaluate
from labkit.model import MaskRCNN
from labkit.training.callbacks import Checkpointer, LeftOut, Progress, Recorder, Validation, said
from labkit.training.checkpoints import (
    WEIGHTS,
    latest_checkpoint,
    read_run,
    restore_optimizer,
    save_run,
)
from labkit.training.history import History
from labkit.training.schedules import make_optimizer
from labkit.training.settings import TrainSettings


def train(
    model: MaskRCNN,
    dataset: Dataset,
    run_dir: str | Path,
    settings: TrainSettings | None = None,
    *,
    validation: Dataset | None = None,
    resume: bool = False,
    callbacks=(),
    cache: str | Path | None = None,
    verbose: bool = True,
) -> History:
    """Train `model` on `dataset`; leave weights, checkpoints and history in `run_dir`.

    resume: go on from the newest checkpoint in run_dir (or start, where there is none). What the
    run would have done without the interruption, it does: batches, samples and learning rates
    depend on the seed and the step alone.
    validation: measured every settings.validate_every steps. callbacks: any Keras callbacks.
    cache: a folder for decoded images, where they do not fit into memory; see `labkit.data.cache`.
    Raises LabkitError if run_dir holds a run and resume is False, or another run than this one;
    NonFiniteLoss if a loss breaks.
    """
    settings, run_dir = settings or TrainSettings(), Path(run_dir)
    if dataset.class_names != model.class_names:
        raise LabkitError(
            f"The model knows the classes {list(model.class_names)}, the data set has "
            f"{list(dataset.class_names)}: make the model with the data set's class names."
        )
    record = _record(model, dataset, settings)
    checkpoint, history = _prepare(run_dir, record, resume)
    _seed(model.config.seed, settings.deterministic)
    start = 0
    if checkpoint:
        model.load_weights(checkpoint / WEIGHTS)
    model.compile(optimizer=make_optimizer(settings))
    if checkpoint:
        start = restore_optimizer(model, checkpoint)
        history = history.cut_after(start)
    plan = BatchPlan(settings.batch_size, settings.canvas, settings.augment, seed=model.config.seed,
                     buckets=settings.buckets)  # fmt: skip
    batches = Batches(dataset, model.config, plan, cache)
    if start < settings.steps:
        watchers = [Recorder(history, start, _namer(dataset))]
        if settings.validate_every and validation is not None:
            watchers.append(Validation(validation, history, settings.validate_every, evaluate))
        if verbose:
            watchers += [LeftOut(batches, history, start),
                         Progress(history, start, settings.steps)]  # fmt: skip
        watchers.append(Checkpointer(run_dir, history, settings.checkpoint_every,
                                     settings.checkpoints_kept, settings.steps))  # fmt: skip
        left = settings.steps - start
        # NumPy's own threads would spin for the cores that TensorFlow computes on.
        with ThreadpoolController().limit(limits=1, user_api="blas"):
            model.fit(batches.tf_dataset(left, start), steps_per_epoch=left, epochs=1, verbose=0,
                      shuffle=False, callbacks=[*watchers, *callbacks])  # fmt: skip
    _save_weights(model, run_dir)
    if verbose and batches.left_out:
        print(f"Left out of {settings.steps} batches: {said(batches.left_out)}.")
    history.left_out = dict(batches.left_out)
    return history


def _record(model: MaskRCNN, dataset: Dataset, settings: TrainSettings) -> dict:
    return {
        "config": model.config.to_dict(),
        "class_names": list(model.class_names),
        "category_ids": [int(i) for i in dataset.category_ids],
        "settings": settings.to_dict(),
        "images": len(dataset),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__,
                     "numpy": np.__version__},
    }  # fmt: skip


def _prepare(run_dir: Path, record: dict, resume: bool) -> tuple[Path | None, History]:
    """(checkpoint to go on from, history so far); a new run gets its folder and run.json."""
    checkpoint = latest_checkpoint(run_dir)
    if (run_dir / "run.json").exists():
        if not resume and (checkpoint or (run_dir / WEIGHTS).exists()):
            raise LabkitError(
                f"{run_dir} already holds a run: resume it (--resume, or resume=True), or choose "
                "another folder."
            )
        if resume:
            _check_same(read_run(run_dir), record, run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    save_run(run_dir, record)
    return checkpoint, History.load(run_dir) if checkpoint else History()


def _check_same(stored: dict, record: dict, run_dir: Path) -> None:
    """A run goes on with what it was started with; how often it saves may change."""
    free = {"checkpoint_every", "checkpoints_kept", "validate_every"}
    plain = _as_json(record)
    # A run of an older labkit lacks the fields that have come since: they have their defaults.
    settings = TrainSettings.from_dict(stored.get("settings", {})).to_dict()
    stored = stored | {"settings": _as_json(settings)}
    for part in ("config", "class_names", "settings", "images"):
        old, new = stored.get(part), plain[part]
        if isinstance(old, dict):
            for name in old:
                if name not in free and old[name] != new.get(name):
                    raise LabkitError(
                        f"{run_dir}/run.json: the run was started with {name} = {old[name]}, not "
                        f"{new.get(name)}: resume with the same value, or start another run."
                    )
        elif old != new:
            raise LabkitError(
                f"{run_dir}/run.json: the run was started with {part} {old}, not {new}: resume "
                "with the same data, or start another run."
            )


def _as_json(value):
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {k: _as_json(v) for k, v in value.items()}
    return [_as_json(v) for v in value] if isinstance(value, list | tuple) else value


def _seed(seed: int, deterministic: bool) -> None:
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _namer(dataset: Dataset):
    """A function from image id to the image's name, for messages; made when it is needed."""

    def name_of(image_id: int) -> str:
        for i in range(len(dataset)):
            info = dataset.image_info(i)
            if info["id"] == image_id:
                return repr(info["file_name"])
        return f"id {image_id}"

    return name_of


def _save_weights(model: MaskRCNN, run_dir: Path) -> None:
    draft = run_dir / f"draft.{WEIGHTS}"  # Keras wants the name to end in .weights.h5
    model.save_weights(draft)
    draft.replace(run_dir / WEIGHTS)
