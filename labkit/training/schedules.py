"""The optimizer and its learning rate: a linear warm-up, then a half cosine, steps or plateaus."""

import keras
import numpy as np
import tensorflow as tf

PROGRESS = 0.01  # of the loss; a plateau is where less than this is won in `patience` steps
LOWEST = 1e-3  # of the peak: below this a rate teaches nothing


@keras.saving.register_keras_serializable("labkit")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises linearly from a tenth of `peak` over warmup_steps, then follows `kind`.

    "cosine" falls to zero along half a cosine (Loshchilov & Hutter 2017); "step" divides by ten at
    each of `milestones`, shares of the run (the paper's 60k and 80k of 90k); "plateau" divides by
    ten when the loss no longer falls (see `plateau_factor`); "constant" stays. Random first
    gradients of the heads are large and would throw a backbone away: hence the warm-up (Goyal et
    al. 2017).
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        warmup_steps: int = 0,
        kind: str = "cosine",
        milestones=(2 / 3, 8 / 9),
    ):
        self.peak, self.steps, self.warmup_steps, self.kind = peak, steps, warmup_steps, kind
        self.milestones = tuple(milestones)
        # Of a plateau: what the callback says, since a schedule sees the step and not the loss.
        self.reduction = tf.Variable(1.0, trainable=False) if kind == "plateau" else None

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        warm = tf.minimum(0.1 + 0.9 * step / max(self.warmup_steps, 1), 1.0)
        if self.warmup_steps == 0:
            warm = 1.0
        return self.peak * warm * self._factor(step)

    def _factor(self, step):
        if self.kind == "cosine":
            span = max(self.steps - self.warmup_steps, 1)
            share = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
            return 0.5 * (1.0 + tf.cos(3.14159265 * share))
        if self.kind == "step":
            done, factor = step / self.steps, tf.constant(1.0)
            for passed, share in enumerate(self.milestones, 1):
                factor = tf.where(done < share, factor, 0.1**passed)
            return factor
        return self.reduction if self.kind == "plateau" else tf.constant(1.0)

    def get_config(self):
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "kind": self.kind,
            "milestones": list(self.milestones),
        }


def plateau_factor(losses, patience: int) -> float:
    """The factor of a rate after these losses, one a step: a tenth for every plateau.

    The run is cut into windows of `patience` steps. A window whose median is not at least 1 % below
    the best one before it is a plateau. A function of the losses alone, so that a resumed run has
    the rate that it would have had.
    """
    whole = len(losses) // patience
    factor, best = 1.0, np.inf
    for window in np.asarray(losses[: whole * patience], float).reshape(whole, patience):
        level = float(np.median(window))
        if level > (1 - PROGRESS) * best:
            factor = max(factor / 10, LOWEST)
        best = min(best, level)
    return factor


class _L2:
    """Decay that is part of the gradient, as in Caffe, torch and the paper.

    Keras' own `weight_decay` shrinks the weights outside the momentum, which then does not
    accumulate it: with a momentum of 0.9 that is a tenth of the decay. Variables named in
    `no_decay` keep their size: for a scale or a shift, zero is no simpler than any other number.
    """

    def __init__(self, learning_rate=0.01, l2=0.0, no_decay=("gamma", "beta", "bias"), **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.l2, self.no_decay = l2, tuple(no_decay)

    def update_step(self, gradient, variable, learning_rate):
        name = variable.name.partition(":")[0]  # TensorFlow's "bias:0"
        if self.l2 and name not in self.no_decay:
            gradient = gradient + self.l2 * tf.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2, "no_decay": list(self.no_decay)}


@keras.saving.register_keras_serializable("labkit")
class SGDWithL2(_L2, keras.optimizers.SGD):
    """SGD with momentum whose decay is part of the gradient."""


@keras.saving.register_keras_serializable("labkit")
class AdamWithL2(_L2, keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) whose decay is part of the gradient; AdamW is the other way."""


@keras.saving.register_keras_serializable("labkit")
class AdadeltaWithL2(_L2, keras.optimizers.Adadelta):
    """Adadelta (Zeiler 2012), whose own learning rate is 1, with decay in the gradient."""


def make_optimizer(settings, rate=None) -> keras.optimizers.Optimizer:
    """The optimizer of `TrainSettings`: schedule, decay, clipping, accumulation, average, scale.

    Args:
        settings: a `TrainSettings`.
        rate: a schedule in place of the settings' own.
    """
    rate = rate or WarmUp(
        settings.peak_rate,
        settings.steps,
        settings.warmup_steps,
        settings.schedule,
        settings.milestones,
    )
    options = {
        "global_clipnorm": settings.clip_norm or None,
        "gradient_accumulation_steps": settings.accumulate if settings.accumulate > 1 else None,
    }
    if settings.ema:
        options |= {"use_ema": True, "ema_momentum": settings.ema}
    decay = settings.weight_decay
    if settings.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=decay, **options)
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    elif settings.optimizer == "sgd":
        optimizer = SGDWithL2(rate, decay, momentum=settings.momentum, **options)
    else:
        kind = {"adam": AdamWithL2, "adadelta": AdadeltaWithL2}[settings.optimizer]
        optimizer = kind(rate, decay, **options)
    if settings.precision == "mixed_float16":
        # Small gradients vanish in float16: they are computed of a loss that is scaled up.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def inner(optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that updates the weights: without the one that only scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def rate_of(optimizer, step: int) -> float:
    """The learning rate of update number `step` (from 0) of a compiled optimizer."""
    rate = inner(optimizer)._learning_rate
    return float(rate(step)) if callable(rate) else float(rate)
