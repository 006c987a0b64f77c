"""Learning rates over a run: a linear warm-up, then a half cosine or steps down."""

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


def make_optimizer(settings) -> keras.optimizers.Optimizer:
    """The optimizer of `TrainSettings`: its schedule, weight decay and clipping."""
    rate = WarmUp(settings.learning_rate, settings.steps, settings.warmup_steps, settings.schedule)
    common = {
        "learning_rate": rate,
        "weight_decay": settings.weight_decay or None,
        "global_clipnorm": settings.clip_norm or None,
    }
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.9, **common)
    else:
        optimizer = keras.optimizers.AdamW(**common)
    # Decay pulls weights towards zero; for a scale or a shift zero is no simpler than any number.
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
