"""`train`: from a model and a data set to a run on disk that can be stopped and resumed."""

import contextlib
import functools
from collections import Counter
from pathlib import Path

import keras
import tensorflow as tf
from threadpoolctl import ThreadpoolController

from labkit.data.dataset import Dataset
from labkit.data.pipeline import BatchPlan
from labkit.data.quick_look import check_before_training
from labkit.errors import LabkitError
from labkit.evaluation import evaluate
from labkit.io.history import TABLES, History
from labkit.models.detector import Detector
from labkit.training.callbacks import (
    BROKEN,
    Checkpointer,
    LeftOut,
    Plateau,
    Recorder,
    left_out_by_reason,
)
from labkit.training.checkpoints import restore_optimizer, save_weights, step_of
from labkit.training.device import announce_device
from labkit.training.distribution import Team, fit
from labkit.training.film import Camera, cut_film
from labkit.training.loggers import make_logger
from labkit.training.precision import computing_in
from labkit.training.progress import Progress
from labkit.training.record import prepare_run, run_record
from labkit.training.schedules import make_optimizer
from labkit.training.settings import AP_METRICS, TrainSettings
from labkit.training.stages import PARTS, Leg, check_stages, legs, parts_of, training_only
from labkit.training.validation import (
    KeepBest,
    Validation,
    ValidationLosses,
    forget_best,
    has_stalled,
)
from labkit.training.watched_batches import WatchedBatches
from labkit.weights.runs import WEIGHTS


def train(
    model: Detector,
    dataset: Dataset,
    run_dir: str | Path,
    settings: TrainSettings | None = None,
    *,
    stages=None,
    validation: Dataset | None = None,
    resume: bool = False,
    callbacks=(),
    log=(),
    cache: str | Path | None = None,
    verbose: bool = True,
) -> History:
    """Train `model` on `dataset`; leave weights, checkpoints and history in `run_dir`.

    Args:
        model: it trains on all the devices of the `tf.distribute` scope it was made in, if it was
            made in one; see `labkit.training.distribution`.
        dataset: the training images.
        run_dir: a folder for everything the run leaves; made if it does not exist.
        settings: how to train; by default `TrainSettings()`.
        stages: short for settings.replace(stages=...); see `labkit.training.stages`.
        validation: images that are measured every settings.validate_every steps (AP) and
            validate_losses_every steps (losses).
        resume: continue from the newest checkpoint in run_dir, or start if there is none. The run
            does what it would have done without the interruption: batches, samples and learning
            rates depend on the seed and the step alone.
        callbacks: any Keras callbacks; they see every stage as a training of its own. If there are
            several workers, each runs them.
        log: names of `labkit.training.loggers`, "tensorboard" or "wandb". If there are several
            workers, only the chief logs, validates and writes.
        cache: a folder for decoded images that do not fit into memory; see `labkit.data.cache`.
        verbose: print stages and progress.

    Returns:
        What was written down of every step and every validation.

    Raises:
        LabkitError: run_dir holds a run and resume is False, or it holds another run; a picture
            is missing or broken, or there is no object to learn from.
        NonFiniteLoss: a loss became NaN or infinite.
    """
    settings, run_dir = TrainSettings() if settings is None else settings, Path(run_dir)
    if not isinstance(settings, TrainSettings):
        raise LabkitError(
            f"train: settings is a {type(settings).__name__}; give TrainSettings(steps=300, ...)."
        )
    if stages is not None:
        settings = settings.replace(stages=tuple(stages))
    settings = settings.planned(len(dataset))
    _check(model, dataset, validation, settings)
    check_before_training(dataset, validation)
    model.category_ids = dataset.category_ids  # so that what it finds has the data's ids
    team = Team(model)
    team.check(settings)
    record = run_record(model, dataset, settings, validation) | team.record()
    stages = legs(settings)
    record["peak_rates"] = [leg.settings.peak_rate for leg in stages]
    team.agree(record)
    opened = team.by_chief(lambda: _open(run_dir, record, resume))
    _seed(model.config.seed, settings.deterministic)
    checkpoint, start, history = opened["checkpoint"], opened["step"], History(**opened["tables"])
    if checkpoint and team.chief:
        model.load_weights(Path(checkpoint) / WEIGHTS)
    team.share(model.weights)
    if team.chief:
        _cut_after(run_dir, start, settings.steps)
    plan = BatchPlan(
        settings.batch_size,
        settings.canvas,
        settings.augment,
        seed=model.config.seed,
        buckets=settings.buckets,
        shard=(team.number, team.workers),
    )
    batches = WatchedBatches(dataset, model.config, plan, cache)
    run = _Run(model, team, batches, run_dir, history)
    logger = make_logger(log if team.chief else (), run_dir, history, record)
    verbose = verbose and team.chief
    watchers = [*_validators(run, settings, validation, verbose), logger] if team.chief else []
    if verbose:
        announce_device(settings.precision, team.here)
    if verbose and settings.peak_rate != settings.learning_rate:
        print(
            f"Learning rates are for batches of {settings.rate_for_batch}; for these, "
            f"{settings.learning_rate:g} becomes {settings.peak_rate:g}."
        )
    try:
        # NumPy's own threads would spin for the cores that TensorFlow computes on.
        with (
            ThreadpoolController().limit(limits=1, user_api="blas"),
            computing_in(model, settings.precision),
        ):
            for leg in stages:
                if leg.last > start and not team.by_chief(lambda: has_stalled(history, settings)):
                    run.take(leg, checkpoint, [*watchers, *callbacks], settings.steps, verbose)
    finally:
        logger.close()
    if team.chief:
        save_weights(model, run_dir / WEIGHTS)
    left_out = sum(map(Counter, team.gather(batches.left_out)), Counter())
    if verbose and left_out:
        print(f"Left out of {len(history) - start} batches: {left_out_by_reason(left_out)}.")
    history.left_out = dict(left_out)
    return history


class _Run:
    """What all stages of a run share: the model, its workers, its batches, its folder."""

    def __init__(
        self, model: Detector, team: Team, batches: WatchedBatches, run_dir: Path, history: History
    ):
        self.model, self.team, self.batches = model, team, batches
        self.run_dir, self.history = run_dir, history

    def take(self, leg: Leg, checkpoint: str, callbacks, last: int, verbose: bool) -> None:
        """Run a stage to its end, from its beginning or from the checkpoint that is within it."""
        model, team, history = self.model, self.team, self.history
        start = max(leg.first, history.rows[-1]["step"] if history.rows else 0)
        if verbose and (leg.settings.steps < last or leg.trains not in PARTS):
            parts = ", ".join(parts_of(model, leg.trains))
            print(
                f"Stage {leg.number}: {leg.trains} (of {parts}), to step {leg.last} of {last}.",
                flush=True,
            )
        folder = self.run_dir if team.chief else None
        watchers = [Recorder(history, leg, start, self.batches, self._name_of, folder)]
        if leg.settings.schedule == "plateau":
            watchers.append(Plateau(history, leg))
        watchers += callbacks
        if verbose and team.workers == 1:  # with several, the sum is printed at the end
            watchers.append(LeftOut(self.batches, history, start))
        progress = Progress(history, start, last, verbose)
        watchers.append(progress)
        if team.chief:
            watchers.append(Checkpointer(self.run_dir, history, leg, self.batches))
        left = leg.last - start
        with (
            training_only(model, leg.trains),
            _weighing(model, leg.loss_weights),
            contextlib.closing(progress),
        ):
            model.steps_done.assign(start)
            with team.scope():
                model.compile(optimizer=make_optimizer(leg.settings))
                if start > leg.first and team.chief:
                    restore_optimizer(model, Path(checkpoint))
            batches = self.batches.tf_dataset(left, start)
            if team.alone:
                model.fit(
                    batches,
                    steps_per_epoch=left,
                    epochs=1,
                    verbose=0,
                    shuffle=False,
                    callbacks=watchers,
                )
            else:
                fit(model, team, batches, watchers)

    def _name_of(self, image_id: int) -> str:
        """The image's name for a message, looked up when it is needed."""
        dataset = self.batches.dataset
        for i in range(len(dataset)):
            info = dataset.image_info(i)
            if info["id"] == image_id:
                return repr(info["file_name"])
        return f"id {image_id}"


def _validators(
    run: _Run, settings: TrainSettings, validation: Dataset | None, verbose: bool
) -> list:
    """The callbacks that look at the validation images."""
    if validation is None:
        return []
    found, history = [], run.history
    if settings.validate_losses_every:
        found.append(ValidationLosses(validation, history, settings, run.model.config))
    if settings.validate_every:
        camera = Camera(run.run_dir, validation, settings.film) if settings.film else None
        look = functools.partial(evaluate, progress=verbose)
        found.append(Validation(validation, history, settings.validate_every, look, camera))
    return [*found, KeepBest(run.run_dir, history, settings)] if found else []


@contextlib.contextmanager
def _weighing(model: Detector, loss_weights: dict[str, float]):
    """Within the block the losses have a stage's weights."""
    model.loss_weights = loss_weights
    try:
        yield
    finally:
        model.loss_weights = model.config.loss_weights


def _check(model, dataset, validation, settings: TrainSettings) -> None:
    """Refuse now what would break later, perhaps after hours."""
    if dataset.class_names != model.class_names:
        raise LabkitError(
            f"The model knows the classes {list(model.class_names)}, the data set has "
            f"{list(dataset.class_names)}: make the model with the data set's class names."
        )
    check_stages(model, legs(settings))
    if validation is not None:
        unknown = [name for name in validation.class_names if name not in model.class_names]
        if unknown and settings.validate_every:
            raise LabkitError(
                f"The validation data have classes that the training data do not: {unknown[0]!r}. "
                "Give both the same classes, or leave those out (keep_classes)."
            )
        if settings.validate_losses_every and validation.class_names != model.class_names:
            raise LabkitError(
                f"validate_losses_every: the validation data have {list(validation.class_names)}, "
                f"the model {list(model.class_names)}; losses want the same classes in order."
            )
    if settings.best_by not in (*AP_METRICS, "total", *model.LOSSES):
        raise LabkitError(
            f"best_by: the model has no loss '{settings.best_by}'; there are: "
            f"{', '.join(model.LOSSES)}."
        )
    every = "validate_every" if settings.best_by in AP_METRICS else "validate_losses_every"
    if settings.stop_after and (validation is None or not getattr(settings, every)):
        raise LabkitError(
            f"stop_after: {settings.best_by} is never measured; give validation pictures and "
            f"{every}, or leave stop_after at 0."
        )


def _open(run_dir: Path, record: dict, resume: bool) -> dict:
    """Make or find the run's folder.

    Returns:
        A dict: the checkpoint to continue from ("" for none), the steps that are behind it, and
        the tables of the history so far.
    """
    checkpoint, history = prepare_run(run_dir, record, resume)
    step = step_of(checkpoint) if checkpoint else 0
    history = history.cut_after(step)
    return {
        "checkpoint": str(checkpoint or ""),
        "step": step,
        "tables": {name: getattr(history, name) for name in TABLES},
    }


def _cut_after(run_dir: Path, step: int, last: int) -> None:
    """Of what an interrupted run left, forget what lies beyond its last checkpoint."""
    if step == 0:
        forget_best(run_dir)
    if step < last:  # final weights there are again when the run is complete again
        (run_dir / WEIGHTS).unlink(missing_ok=True)
    cut_film(run_dir, step)
    (run_dir / BROKEN).unlink(missing_ok=True)


def _seed(seed: int, deterministic: bool) -> None:
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
