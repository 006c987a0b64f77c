"""The optimizer and its learning rate: a linear warm-up, then a half cosine or steps down."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("labkit")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from a tenth of `peak` over warmup_steps, then follows `kind` to the end.

    "cosine" falls to zero along half a cosine (Loshchilov & Hutter 2017); "step" divides by ten at
    2/3 and 8/9 of the run (the paper's 60k and 80k of 90k). Random first gradients of the heads are
    large and would throw a backbone away: hence the warm-up (Goyal et al. 2017).
    """

    def __init__(self, peak: float, steps: int, warmup_steps: int = 0, kind: str = "cosine"):
        self.peak, self.steps, self.warmup_steps, self.kind = peak, steps, warmup_steps, kind

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        warm = tf.minimum(0.1 + 0.9 * step / max(self.warmup_steps, 1), 1.0)
        if self.warmup_steps == 0:
            warm = 1.0
        if self.kind == "cosine":
            span = max(self.steps - self.warmup_steps, 1)
            share = tf.clip_by_value((step - self.warmup_steps) / span, 0.0, 1.0)
            factor = 0.5 * (1.0 + tf.cos(3.14159265 * share))
        else:
            done = step / self.steps
            factor = tf.where(done < 2 / 3, 1.0, tf.where(done < 8 / 9, 0.1, 0.01))
        return self.peak * warm * factor

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "warmup_steps": self.warmup_steps,
                "kind": self.kind}  # fmt: skip


@keras.saving.register_keras_serializable("labkit")
class SGDWithL2(keras.optimizers.SGD):
    """SGD with momentum whose decay is part of the gradient, as in Caffe, torch and the paper.

    Keras' own `weight_decay` shrinks the weights beside the momentum, which then does not pile it
    up: with a momentum of 0.9 that is a tenth of the decay. no_decay: names of variables that keep
    their size; for a scale or a shift zero is no simpler than any other number.
    """

    def __init__(self, learning_rate=0.01, l2=0.0, no_decay=("gamma", "beta", "bias"), **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.l2, self.no_decay = l2, tuple(no_decay)

    def update_step(self, gradient, variable, learning_rate):
        if self.l2 and variable.name not in self.no_decay:
            gradient = gradient + self.l2 * tf.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2, "no_decay": list(self.no_decay)}


def make_optimizer(settings) -> keras.optimizers.Optimizer:
    """The optimizer of `TrainSettings`: its schedule, weight decay and clipping."""
    rate = WarmUp(settings.learning_rate, settings.steps, settings.warmup_steps, settings.schedule)
    clip, decay = settings.clip_norm or None, settings.weight_decay
    if settings.optimizer == "sgd":
        return SGDWithL2(rate, decay, momentum=0.9, global_clipnorm=clip)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay or None, global_clipnorm=clip)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
