"""`train`: from a model and a data set to a run on disk that can be stopped and resumed."""

import contextlib
import functools
from collections import Counter
from pathlib import Path

import keras
import tensorflow as tf
from threadpoolctl import ThreadpoolController

from labkit.data.dataset import Dataset
from labkit.data.feeder import Feeder
from labkit.data.pipeline import BatchPlan
from labkit.data.quick_look import check_before_training
from labkit.errors import LabkitError
from labkit.evaluation import evaluate
from labkit.io.history import History
from labkit.models.detector import Detector
from labkit.training.agreement import check_together
from labkit.training.callbacks import (
    Checkpointer,
    LeftOut,
    Plateau,
    Recorder,
    left_out_by_reason,
)
from labkit.training.checkpoints import full_disk_is_a_sentence, restore_optimizer, save_weights
from labkit.training.device import announce_device
from labkit.training.distribution import Team, fit
from labkit.training.ending import GO_ON, Ending
from labkit.training.film import Camera
from labkit.training.loggers import make_logger
from labkit.training.precision import computing_in
from labkit.training.progress import Progress
from labkit.training.record import run_record
from labkit.training.resuming import cut_after, open_run
from labkit.training.run_lock import only_one
from labkit.training.schedules import make_optimizer
from labkit.training.settings import TrainSettings
from labkit.training.stages import PARTS, Leg, legs, parts_of, training_only
from labkit.training.stop_request import StopRequest
from labkit.training.validation import KeepBest, Validation, ValidationLosses, has_stalled
from labkit.training.watched_batches import WatchedBatches
from labkit.weights.own_file import load_own_weights
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
        LabkitError: run_dir holds a run and resume is False, it holds another run, or another
            process trains it; a picture is missing or broken, or there is no object to learn from;
            the disk is full. What was learnt by then is in a checkpoint, if there is room for one.
        NonFiniteLoss: a loss became NaN or infinite.
        Stopped: Ctrl-C or SIGTERM; the step was finished, and its checkpoint is saved.
    """
    settings, run_dir = TrainSettings() if settings is None else settings, Path(run_dir)
    if not isinstance(settings, TrainSettings):
        raise LabkitError(
            f"train: settings is a {type(settings).__name__}; give TrainSettings(steps=300, ...)."
        )
    if stages is not None:
        settings = settings.replace(stages=tuple(stages))
    settings = settings.planned(len(dataset))
    check_together(model, dataset, validation, settings)
    check_before_training(dataset, validation)
    model.category_ids = dataset.category_ids  # so that what it finds has the data's ids
    team = Team(model)
    team.check(settings)
    stages = legs(settings)
    record = run_record(model, dataset, settings, validation) | team.record()
    record["peak_rates"] = [leg.settings.peak_rate for leg in stages]
    team.agree(record)
    with contextlib.ExitStack() as ending, full_disk_is_a_sentence(run_dir):
        team.by_chief(lambda: ending.enter_context(only_one(run_dir)))
        opened = team.by_chief(lambda: open_run(run_dir, record, resume))
        _seed(model.config.seed, settings.deterministic)
        _restore(model, team, run_dir, opened, settings.steps)
        batches = WatchedBatches(dataset, model.config, _plan(model, team, settings), cache)
        run = _Run(model, team, batches, run_dir, opened, ending.enter_context(StopRequest()))
        logger = make_logger(log if team.chief else (), run_dir, run.history, record)
        ending.callback(logger.close)
        verbose = verbose and team.chief
        looking = _validators(run, settings, validation, verbose) if team.chief else []
        if verbose:
            _announce(settings, team)
        # NumPy's own threads would spin for the cores that TensorFlow computes on.
        ending.enter_context(ThreadpoolController().limit(limits=1, user_api="blas"))
        with computing_in(model, settings.precision):
            run.take_all(stages, settings, [*looking, logger, *callbacks], verbose)
        return run.end(verbose)


def _restore(model: Detector, team: Team, run_dir: Path, opened: dict, last: int) -> None:
    """Give every worker the weights that the run goes on with; clear what lies beyond them."""
    if opened["checkpoint"] and team.chief:
        load_own_weights(model, Path(opened["checkpoint"]) / WEIGHTS)
    team.share(model.weights)
    if team.chief:
        cut_after(run_dir, opened["step"], last)


def _plan(model: Detector, team: Team, settings: TrainSettings) -> BatchPlan:
    return BatchPlan(
        settings.batch_size,
        settings.canvas,
        settings.augment,
        seed=model.config.seed,
        buckets=settings.buckets,
        shard=(team.number, team.workers),
    )


def _announce(settings: TrainSettings, team: Team) -> None:
    announce_device(settings.precision, team.here)
    if settings.peak_rate != settings.learning_rate:
        print(
            f"Learning rates are for batches of {settings.rate_for_batch}; for these, "
            f"{settings.learning_rate:g} becomes {settings.peak_rate:g}."
        )


def _seed(seed: int, deterministic: bool) -> None:
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


class _Run:
    """What all stages of a run share: the model, its workers, its batches, its folder.

    Args:
        model: the model, with the weights that the run goes on with.
        team: the workers.
        batches: of the training data.
        run_dir: the run's folder.
        opened: where the run begins, see `open_run`.
        stop: whether the end was asked for.
    """

    def __init__(
        self,
        model: Detector,
        team: Team,
        batches: WatchedBatches,
        run_dir: Path,
        opened: dict,
        stop: StopRequest,
    ):
        self.model, self.team, self.batches = model, team, batches
        self.run_dir, self.stop = run_dir, stop
        self.checkpoint, self.start = opened["checkpoint"], opened["step"]
        self.history = History(**opened["tables"])

    def take_all(self, stages: list[Leg], settings: TrainSettings, watchers, verbose: bool) -> None:
        """Run what is left of the stages, until the validation says that it is enough."""
        for leg in stages:
            stalled = self.team.by_chief(lambda: has_stalled(self.history, settings))
            if leg.last > self.start and not stalled:
                if self.team.any(bool(self.stop)):
                    raise self.stop.stopped(f"after stage {leg.number - 1}. It is saved: {GO_ON}.")
                self._take(leg, watchers, settings.steps, verbose)

    def end(self, verbose: bool) -> History:
        """Leave the final weights, and what was written down."""
        if self.team.chief:
            save_weights(self.model, self.run_dir / WEIGHTS)
        left_out = sum(map(Counter, self.team.gather(self.batches.left_out)), Counter())
        if verbose and left_out:
            count = sum(row["step"] > self.start for row in self.history.rows)
            print(f"Left out of {count} batches: {left_out_by_reason(left_out)}.")
        self.history.left_out = dict(left_out)
        if self.team.any(bool(self.stop)):
            raise self.stop.stopped(f"after the last step: the run in {self.run_dir} is complete.")
        return self.history

    def _take(self, leg: Leg, watchers, last: int, verbose: bool) -> None:
        """Run a stage to its end, from its beginning or from the checkpoint that is within it."""
        model, team = self.model, self.team
        start = max(leg.first, self.start)
        if verbose and (leg.settings.steps < last or leg.trains not in PARTS):
            parts = ", ".join(parts_of(model, leg.trains))
            print(
                f"Stage {leg.number}: {leg.trains} (of {parts}), to step {leg.last} of {last}.",
                flush=True,
            )
        progress = Progress(self.history, start, last, verbose)
        feeder = self.batches.feeder(leg.last - start, start)
        with (
            training_only(model, leg.trains),
            _weighing(model, leg.loss_weights),
            contextlib.closing(progress),
            contextlib.closing(feeder),
        ):
            model.steps_done.assign(start)
            with team.scope():
                model.compile(optimizer=make_optimizer(leg.settings))
                if start > leg.first and team.chief:
                    restore_optimizer(model, Path(self.checkpoint))
            self._fit(feeder, self._watchers(leg, start, feeder, watchers, progress, verbose))

    def _fit(self, feeder: Feeder, watchers) -> None:
        """Take the steps of the feeder's batches."""
        if not self.team.alone:
            fit(self.model, self.team, feeder, watchers)
            return
        steps = len(feeder.steps)
        self.model.fit(
            self.batches.tf_dataset(steps, feeder.steps.start, feeder),
            steps_per_epoch=steps,
            epochs=1,
            verbose=0,
            shuffle=False,
            callbacks=watchers,
        )

    def _watchers(self, leg: Leg, start: int, feeder: Feeder, more, progress, verbose) -> list:
        """All callbacks of a stage, in their order: the step is written down first, saved last."""
        team, history = self.team, self.history
        folder = self.run_dir if team.chief else None
        watchers = [Recorder(history, leg, start, self.batches, self._name_of, folder)]
        if leg.settings.schedule == "plateau":
            watchers.append(Plateau(history, leg))
        watchers += more
        if verbose and team.workers == 1:  # with several, the sum is printed at the end
            watchers.append(LeftOut(self.batches, history, start))
        watchers.append(progress)
        checkpointer = None
        if team.chief:
            checkpointer = Checkpointer(self.run_dir, history, leg, self.batches)
            watchers.append(checkpointer)
        return [*watchers, Ending(self.stop, team, feeder, leg, start, checkpointer)]

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
        found.append(ValidationLosses(validation, history, settings, run.model.config, run.stop))
    if settings.validate_every:
        camera = Camera(run.run_dir, validation, settings.film) if settings.film else None
        look = functools.partial(evaluate, progress=verbose)
        found.append(
            Validation(validation, history, settings.validate_every, look, camera, run.stop)
        )
    return [*found, KeepBest(run.run_dir, history, settings)] if found else []


@contextlib.contextmanager
def _weighing(model: Detector, loss_weights: dict[str, float]):
    """Within the block the losses have a stage's weights."""
    model.loss_weights = loss_weights
    try:
        yield
    finally:
        model.loss_weights = model.config.loss_weights
