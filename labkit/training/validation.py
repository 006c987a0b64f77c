"""Validation during a run: losses and AP on other images, the best weights, early stopping.

Each callback writes rows into the history; what follows from them (which was the best, whether to
stop) is a function of the history alone, so that a resumed run decides as it would have.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from labkit.data.augment import NONE
from labkit.data.batch_order import BatchPlan
from labkit.data.dataset import Dataset
from labkit.data.pipeline import Batches
from labkit.io.data_files import read_json, write_json
from labkit.io.history import History
from labkit.io.progress import print_above
from labkit.training.averages import averaged
from labkit.training.checkpoints import save_weights
from labkit.training.film import Camera
from labkit.training.settings import AP_METRICS
from labkit.training.stop_request import StopRequest
from labkit.weights.runs import BEST, BEST_WEIGHTS


class Validation(keras.callbacks.Callback):
    """Box and mask AP on the validation set every so many steps, by pycocotools.

    Args:
        dataset: the validation set.
        history: gets a row for every validation.
        every: how many steps lie between two of them.
        evaluate: `labkit.evaluate`, or a function like it.
        camera: keeps the detections of a few images, for the film.
        stop: breaks a measurement off, which a resumed run repeats.
    """

    def __init__(
        self,
        dataset: Dataset,
        history: History,
        every: int,
        evaluate,
        camera: Camera | None,
        stop: StopRequest,
    ):
        super().__init__()
        self.dataset, self.history, self.every, self.evaluate = dataset, history, every, evaluate
        self.camera, self.stop = camera, stop

    def on_train_begin(self, logs=None):
        self._look()  # where a run was stopped that had yet to measure

    def on_train_batch_end(self, batch, logs=None):
        self._look()

    def _look(self) -> None:
        if is_due(self.history.rows, self.history.validation, self.every):
            self.stop.unless_stopped(self._measure)

    def _measure(self) -> None:
        step = self.history.rows[-1]["step"]
        with averaged(self.model):
            result = self.evaluate(self.model, self.dataset)
        row = {"step": step}
        for kind, numbers in (("bbox", result.bbox), ("segm", result.segm)):
            row |= {f"{kind}_AP": numbers["AP"], f"{kind}_AP50": numbers["AP50"]}
        self.history.validation.append(row)
        if self.camera is not None:
            self.camera.take(step, result.results)


class ValidationLosses(keras.callbacks.Callback):
    """The losses on the validation set every so many steps, as training computes them.

    The same batches, canvas and random samples every time, not augmented, the statistics of batch
    norm as detection uses them. A mean over batches; the last one is filled up from the beginning.
    """

    def __init__(self, dataset: Dataset, history: History, settings, config, stop: StopRequest):
        super().__init__()
        self.history, self.every, self.stop = history, settings.validate_losses_every, stop
        plan = BatchPlan(
            settings.batch_size,
            settings.canvas,
            NONE,
            shuffle=False,
            seed=config.seed,
            buckets=settings.buckets,
        )
        config = config.replace(max_instances=max(config.max_instances, dataset.max_instances))
        self.batches = Batches(dataset, config, plan)
        self.count = -(-len(dataset) // settings.batch_size)
        self._losses = None

    def on_train_begin(self, logs=None):
        self._losses = tf.function(lambda batch: self.model.losses_of(batch, 0, training=False))
        self._look()

    def on_train_batch_end(self, batch, logs=None):
        self._look()

    def _look(self) -> None:
        if is_due(self.history.rows, self.history.validation_losses, self.every):
            self.stop.unless_stopped(self._measure)

    def _measure(self) -> None:
        step = self.history.rows[-1]["step"]
        with averaged(self.model):
            each = [self._losses(_as_tensors(b)) for b in self.batches.feeder(self.count)]
        means = {n: float(np.mean([float(x[n]) for x in each])) for n in self.model.LOSSES}
        total = self.model.weighted(means)
        self.history.validation_losses.append({"step": step, "total": total} | means)


class KeepBest(keras.callbacks.Callback):
    """Saves best.weights.h5 whenever the metric is better than it ever was; may stop the run."""

    def __init__(self, run_dir: Path, history: History, settings):
        super().__init__()
        self.run_dir, self.history, self.settings = run_dir, history, settings
        self.seen = len(scores(history, settings.best_by))

    def on_train_begin(self, logs=None):
        self._look()

    def on_train_batch_end(self, batch, logs=None):
        self._look()

    def _look(self) -> None:
        found = scores(self.history, self.settings.best_by)
        if len(found) == self.seen:
            return
        self.seen = len(found)
        step, score = found[-1]
        if score > self._kept_score(dict(found)):
            self._save(step, score)
        if has_stalled(self.history, self.settings):
            print_above(
                f"Stopped at step {step}: {self.settings.best_by} has not improved in the last "
                f"{self.settings.stop_after} looks at it."
            )
            self.model.stop_training = True

    def _kept_score(self, found: dict[int, float]) -> float:
        """The score of the kept weights by the current metric; -inf if it is not known."""
        kept = best_of(self.run_dir)
        if kept is None:
            return -np.inf
        same = kept["metric"] == self.settings.best_by
        return kept["score"] if same else found.get(kept["step"], -np.inf)

    def _save(self, step: int, score: float) -> None:
        with averaged(self.model):
            save_weights(self.model, self.run_dir / BEST_WEIGHTS)
        record = {"step": step, "metric": self.settings.best_by, "score": score}
        write_json(self.run_dir / BEST, record, indent=2)


def is_due(rows: list[dict], looks: list[dict], every: int) -> bool:
    """Whether the validation images are to be looked at after the last step, and were not yet."""
    step = rows[-1]["step"] if rows else 0
    return step > 0 and step % every == 0 and (not looks or looks[-1]["step"] < step)


def _as_tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in batch.items()}


def scores(history: History, metric: str) -> list[tuple[int, float]]:
    """(step, score) of every validation by a metric; higher is better: a loss counts negative.

    A loss that is NaN is worse than any other.
    """
    if metric in AP_METRICS:
        return [(row["step"], row[metric]) for row in history.validation]
    looks = ((row["step"], -row[metric]) for row in history.validation_losses)
    return [(step, score if np.isfinite(score) else -np.inf) for step, score in looks]


def has_stalled(history: History, settings) -> bool:
    """Whether the last `stop_after` validations were no better than those before."""
    found = [score for _, score in scores(history, settings.best_by)]
    recent = settings.stop_after
    return 0 < recent < len(found) and max(found[-recent:]) <= max(found[:-recent])


def best_of(run_dir: Path) -> dict | None:
    """Step, metric and score of a run's best.weights.h5; None if there is none."""
    path = Path(run_dir) / BEST
    return read_json(path) if path.exists() else None


def forget_best(run_dir: Path) -> None:
    """Remove the best weights of a run that begins anew.

    A run that is resumed keeps them, even from a step that it has yet to repeat: they were
    measured, and a worse "best" would replace them.
    """
    (run_dir / BEST).unlink(missing_ok=True)
    (run_dir / BEST_WEIGHTS).unlink(missing_ok=True)
