"""Which learning rate? A short training in which it rises from far too low to far too high.

Source: the range test of L. N. Smith, "Cyclical Learning Rates for Training Neural Networks"
(2017), with the exponential rise and the smoothing that fastai made popular.
"""

import contextlib
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import ThreadpoolController

from labkit.data.dataset import Dataset
from labkit.data.feeder import Feeder
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.training.schedules import make_optimizer
from labkit.training.settings import TrainSettings

SMOOTHING = 0.9  # weight of the past in the running mean of the loss
DIVERGED = 2.0  # times the lowest smoothed loss: from here on nothing more can be learnt
FIRST_LOOK = 10  # steps that are ignored: the first losses are noise
SLOPE_STEPS = 11  # on which a slope is fitted: from one step to the next the curve is noise
AS_GOOD = 1.05  # times the lowest smoothed loss: what is below it differs by chance


@dataclass(frozen=True, eq=False)
class RateTest:
    """What the range test measured, one value a step, and what it suggests.

    Attributes:
        rates: float64 [N], the learning rates.
        losses: float64 [N], the weighted sums of the losses.
        smoothed: float64 [N], their running mean.
        diverged: whether the loss rose at the end, so that a rate was too high.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    diverged: bool

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was lowest.

        Where the loss is flat over a decade of rates, as it often is, chance decides which.
        """
        return float(self.rates[np.argmin(self.smoothed)])

    @property
    def edge(self) -> float:
        """The highest rate at which the smoothed loss was still next to its lowest."""
        return float(self.rates[np.flatnonzero(self.smoothed <= AS_GOOD * self.smoothed.min())[-1]])

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss fell fastest per octave of the rate.

        The slope at a rate is that of a line fitted to the SLOPE_STEPS around it. From FIRST_LOOK
        on: what the network learns at first (that most is background) it learns at any rate.
        """
        end = max(int(np.argmin(self.smoothed)) + 1, 2)
        begin = min(FIRST_LOOK, end - 2)
        width = min(SLOPE_STEPS, end - begin)
        x, y = (
            sliding_window_view(values[begin:end], width)
            for values in (np.log(self.rates), self.smoothed)
        )
        x = x - x.mean(axis=1, keepdims=True)
        slope = (x * y).sum(axis=1) / (x**2).sum(axis=1)
        return float(self.rates[begin + int(np.argmin(slope)) + width // 2])

    @property
    def suggestion(self) -> float:
        """A peak rate for a schedule with warm-up: a third of `edge`.

        The running mean is nine steps behind the loss, in which the rate of a test of a hundred
        steps has tripled. The suggestion is good to a factor of three or so, not better.
        """
        return self.edge / 3

    def to_dict(self) -> dict:
        """All of it as plain numbers, for JSON."""
        names = ("suggestion", "steepest", "lowest", "edge", "diverged")
        curve = {n: getattr(self, n).tolist() for n in ("rates", "losses", "smoothed")}
        return {n: getattr(self, n) for n in names} | curve

    def __str__(self) -> str:
        end = "and then rose" if self.diverged else "and never rose: test higher rates"
        return (
            f"learning rate {self.suggestion:.1e} suggested; the loss fell fastest at "
            f"{self.steepest:.1e}, was at its lowest up to {self.edge:.1e}, {end}"
        )


@keras.saving.register_keras_serializable("labkit")
class Rising(keras.optimizers.schedules.LearningRateSchedule):
    """From `first` to `last` in equal ratios over `steps`."""

    def __init__(self, first: float, last: float, steps: int):
        self.first, self.last, self.steps = first, last, steps

    def __call__(self, step):
        share = tf.cast(step, tf.float32) / max(self.steps - 1, 1)
        return self.first * (self.last / self.first) ** share

    def get_config(self):
        return {"first": self.first, "last": self.last, "steps": self.steps}


def find_learning_rate(
    model,
    dataset: Dataset,
    settings: TrainSettings | None = None,
    *,
    first: float = 1e-5,
    last: float = 1.0,
    steps: int = 100,
) -> RateTest:
    """The range test on `dataset`; afterwards the model's weights are what they were.

    Args:
        model: the detector that will be trained.
        dataset: what it will be trained on.
        settings: batch size, canvas, augmentation, optimizer and clipping of the planned training;
            the rate depends on all of them.
        first: the lowest rate.
        last: the highest rate.
        steps: from the lowest to the highest; fewer are taken if the loss doubles before.

    Raises:
        LabkitError: first is not below last, steps are fewer than FIRST_LOOK, or the loss breaks
            within so many.
    """
    if not 0 < first < last or steps < FIRST_LOOK:
        raise LabkitError(
            f"find_learning_rate: 'first' must be above 0 and below 'last', and 'steps' at least "
            f"{FIRST_LOOK}; got first={first!r}, last={last!r}, steps={steps!r}."
        )
    settings = (settings or TrainSettings()).replace(accumulate=1, ema=0.0, precision="float32")
    plan = BatchPlan(
        settings.batch_size,
        settings.canvas,
        settings.augment,
        seed=model.config.seed,
        buckets=settings.buckets,
    )
    schedule = Rising(first, last, steps)
    batches = Batches(dataset, model.config, plan)
    feeder = batches.feeder(steps)
    watcher = _Watcher(feeder)
    weights, compiled = model.get_weights(), getattr(model, "optimizer", None)
    try:
        model.compile(optimizer=make_optimizer(settings, schedule))
        with (
            ThreadpoolController().limit(limits=1, user_api="blas"),
            contextlib.closing(feeder),
        ):
            model.fit(
                batches.tf_dataset(steps, feeder=feeder),
                steps_per_epoch=steps,
                epochs=1,
                verbose=0,
                shuffle=False,
                callbacks=[watcher],
            )
    finally:
        model.set_weights(weights)
        model.stop_training = False
        if compiled is not None:
            model.compile(optimizer=compiled)
    if len(watcher.losses) < FIRST_LOOK:
        raise LabkitError(
            f"find_learning_rate: the loss broke after {len(watcher.losses)} steps, too soon to "
            f"tell rates apart: lower 'first', which is {first:g}, or look at the data."
        )
    losses = np.array(watcher.losses)
    rates = np.array([float(schedule(i)) for i in range(len(losses))])
    return RateTest(rates, losses, running_mean(losses), watcher.diverged)


class _Watcher(keras.callbacks.Callback):
    """Records each step's loss, and ends the test when it has diverged."""

    def __init__(self, feeder: Feeder):
        super().__init__()
        self.feeder, self.losses, self.diverged = feeder, [], False

    def on_train_batch_begin(self, batch, logs=None):
        self.feeder.peek(batch)  # here a picture that cannot be read is an error that names it

    def on_train_batch_end(self, batch, logs=None):
        loss = self.model.weighted(self.model.last_losses)
        if np.isfinite(loss):
            self.losses.append(loss)
        smooth = running_mean(np.array(self.losses))
        if not np.isfinite(loss) or (
            len(smooth) >= FIRST_LOOK and smooth[-1] > DIVERGED * smooth[FIRST_LOOK - 1 :].min()
        ):
            self.diverged = self.model.stop_training = True


def running_mean(values: np.ndarray) -> np.ndarray:
    """The exponential running mean, corrected for its start at zero (as in Adam)."""
    mean, means = 0.0, []
    for i, value in enumerate(values, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        means.append(mean / (1 - SMOOTHING**i))
    return np.array(means)
