"""What a detector computes in a training step, and what is kept of it.

Keras' `train_step` is the frame: losses of a batch, their gradients, an update of the weights. The
losses themselves are what a kind of detector says in `learn`.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.models.one_replica import one_replica


class Learnt(NamedTuple):
    """What a detector computed from a training batch.

    Attributes:
        losses: each loss by name, a scalar, not yet weighted.
        counts: what each loss is a sum divided by, a float32 scalar by name. A loss of a whole
            batch follows from those of its parts and their counts.
        signs: the vital signs (see `Detector.SIGNS`) by name, each a pair of float32 scalars, a sum
            and what it is divided by: 0 where there is nothing to divide.
        trace: all the tensors on the way.
    """

    losses: dict[str, tf.Tensor]
    counts: dict[str, tf.Tensor]
    signs: dict[str, tuple[tf.Tensor, tf.Tensor]]
    trace: dict


class Learner(keras.Model):
    """A model that learns from batches: the half of every `Detector` that training uses.

    Attributes:
        LOSSES: the names of its losses, in the order they are reported.
        SIGNS: the names of its vital signs, numbers of a step that say why losses do not fall.
        steps_done: how many training steps it has had, a variable.
    """

    LOSSES: tuple[str, ...] = ()
    SIGNS: tuple[str, ...] = ()

    def learn(self, batch: dict[str, tf.Tensor], step=0, training: bool = True) -> Learnt:
        """Everything that training computes for a batch.

        Args:
            batch: images [B, H, W, 3], sizes [B, 2], boxes [B, G, 4], classes int32 [B, G] (0 is
                padding), masks uint8 [B, G, h, w] (mini-masks, or of the image's size where
                config.mini_mask is 0).
            step: numbers the random samples, with config.seed.
            training: False uses stored statistics in batch norms, as detection does.
        """
        raise NotImplementedError

    def prepare_to_learn(self) -> None:
        """Make what is kept of a training step; `config` and the parts are there."""
        self.loss_weights = self.config.loss_weights  # a stage of training may have its own
        self.steps_done = tf.Variable(0, trainable=False)  # numbers the random samples
        self.loss_trackers = [keras.metrics.Mean(name=n) for n in ("loss", *self.LOSSES)]
        # The last batch, kept so that a loss that breaks can be traced to its images.
        self._last_losses = tf.Variable(tf.zeros([len(self.LOSSES)]), trainable=False)
        self._last_signs = tf.Variable(tf.zeros([1 + len(self.SIGNS)]), trainable=False)
        self._last_ids = tf.Variable(tf.zeros([1], tf.int64), shape=[None], trainable=False)

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each loss by name; those that are not named when it is set keep theirs."""
        return dict(zip(self.LOSSES, self._loss_weights, strict=True))

    @loss_weights.setter
    def loss_weights(self, weights: dict[str, float]) -> None:
        weights = {**self.config.loss_weights, **weights}
        self._loss_weights = tuple(float(weights[name]) for name in self.LOSSES)

    def losses_of(self, batch, step=0, training: bool = True) -> dict[str, tf.Tensor]:
        """The losses of a batch by name, not yet weighted; arguments as in `learn`."""
        return self.learn(batch, step, training).losses

    def gradients_of(self, batch, share=None):
        """The gradients of the weighted losses, with the random samples of `steps_done`.

        Args:
            batch: as in `learn`.
            share: a function of the counts (`Learnt.counts`) that gives, by name, what each loss
                is multiplied by, where the batch is a replica's part of one.

        Returns:
            (Learnt, gradients in the order of trainable_variables, scaled as the optimizer wants
            them). The losses in Learnt are multiplied by their shares.
        """
        variables = self.trainable_variables
        # A tape that watches all it meets would also record what is frozen.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            learnt = self.learn(batch, self.steps_done)
            losses = self._without_idle_gradients(learnt.losses)
            if share is not None:
                shares = share(learnt.counts)
                losses = {name: loss * shares[name] for name, loss in losses.items()}
            scaled = self.optimizer.scale_loss(self.total(losses))
        return learnt._replace(losses=losses), tape.gradient(scaled, variables)

    def total(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        """The weighted sum of the losses."""
        return tf.reduce_sum(self._stacked(losses) * self._loss_weights)

    def signs_of(self, learnt: Learnt, gradients) -> dict[str, tf.Tensor]:
        """The vital signs of a step as numbers by name, and the norm of its gradients.

        A sign is NaN where there was nothing to divide by. The norm is infinite where gradients
        were too large for float16, and Keras leaves the step out.
        """
        signs = {name: total / count for name, (total, count) in learnt.signs.items()}
        norm = tf.linalg.global_norm([g for g in gradients if g is not None])
        return signs | {"gradient": norm / self.optimizer.scale_loss(tf.ones([]))}

    def priority(self, shape, step, use: int) -> tf.Tensor:
        """The random numbers in 0..1 that decide what is sampled at a training step.

        They depend on the seed, the step and the use alone: a run that is resumed draws what it
        would have drawn. A replica draws them for the whole batch and takes those of its rows: how
        many replicas share a batch changes nothing.

        Args:
            shape: [B, ...] of the numbers; B is the replica's own.
            step: the number of the training step.
            use: 0 or 1; different uses draw different numbers.
        """
        stream = tf.constant(2 * self.config.seed + use, tf.int64)
        seed = tf.stack([stream, tf.cast(step, tf.int64)])
        replica, rows = tf.distribute.get_replica_context(), shape[0]
        if replica is None or replica.num_replicas_in_sync == 1:
            return tf.random.stateless_uniform(shape, seed)
        whole = [rows * replica.num_replicas_in_sync, *shape[1:]]
        first = rows * replica.replica_id_in_sync_group
        return tf.random.stateless_uniform(whole, seed)[first : first + rows]

    def compile(self, optimizer="rmsprop", *, jit_compile=False, **kwargs):
        """As any Keras model, without `loss`: the losses are the model's own."""
        if kwargs.get("loss") is not None:
            kind = type(self).__name__
            raise LabkitError(f"{kind}.compile: leave out 'loss'; the losses are built in.")
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        # Variables that a graph makes while it is traced cost tracing it a second time.
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        """A model read from a .keras file is compiled as the saved one was."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self):
        return self.loss_trackers

    def train_step(self, batch):
        self._check_batch(batch)
        if tf.distribute.get_replica_context().num_replicas_in_sync > 1:
            raise LabkitError(
                f"{type(self).__name__}.fit: Keras would take each replica's losses for those of "
                "the whole batch. labkit.train does not: it trains a model that was made in a "
                "scope."
            )
        learnt, gradients = self.gradients_of(batch)
        signs = self.signs_of(learnt, gradients)  # before the update, which may change the scale
        with one_replica(self.optimizer):
            self.optimizer.apply(gradients, self.trainable_variables)
        self.keep_step(learnt.losses, signs, batch.get("image_ids"))
        return self._update_trackers(learnt.losses)

    def test_step(self, batch):
        self._check_batch(batch)
        losses = self.losses_of(batch, training=False)
        self._keep_batch(losses, batch.get("image_ids"))
        return self._update_trackers(losses)

    # --- the last step --------------------------------------------------------------------

    def keep_step(self, losses, signs, image_ids=None) -> None:
        """Count a training step, and keep what `last_losses` and the like say of it."""
        self.steps_done.assign_add(1)
        self._keep_batch(losses, image_ids)
        self._last_signs.assign(tf.stack([signs[n] for n in (*self.SIGNS, "gradient")]))

    @property
    def last_losses(self) -> dict[str, float]:
        """The losses of the last batch by name, not weighted. Waits for the step to end."""
        return dict(zip(self.LOSSES, map(float, self._last_losses.numpy()), strict=True))

    @property
    def last_signs(self) -> dict[str, float]:
        """The vital signs of the last training step by name, "gradient" among them."""
        names = (*self.SIGNS, "gradient")
        return dict(zip(names, map(float, self._last_signs.numpy()), strict=True))

    @property
    def last_image_ids(self) -> list[int]:
        """The ids of the last batch's images."""
        return self._last_ids.numpy().tolist()

    def weighted(self, losses: dict[str, float]) -> float:
        """The weighted sum of losses that are plain numbers."""
        return sum(losses[name] * weight for name, weight in self.loss_weights.items())

    def _check_batch(self, batch) -> None:
        if not isinstance(batch, dict) or "images" not in batch:
            raise LabkitError(
                f"{type(self).__name__}.fit takes batches as labkit.data.pipeline makes them, "
                "Batches(data, config, plan).tf_dataset(steps), and no x and y; labkit.train("
                "model, data, folder) makes them by itself."
            )

    def _without_idle_gradients(self, losses: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """A loss of weight 0 is a number, and costs no gradient."""
        return {
            name: losses[name] if weight else tf.stop_gradient(losses[name])
            for name, weight in self.loss_weights.items()
        }

    def _stacked(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack([losses[name] for name in self.LOSSES])

    def _keep_batch(self, losses, image_ids) -> None:
        self._last_losses.assign(self._stacked(losses))
        if image_ids is not None:
            self._last_ids.assign(image_ids)

    def _update_trackers(self, losses) -> dict[str, tf.Tensor]:
        """Keras' metrics of an epoch: means of the losses so far."""
        values = [self.total(losses), *(losses[name] for name in self.LOSSES)]
        for tracker, value in zip(self.loss_trackers, values, strict=True):
            tracker.update_state(value)
        return {t.name: t.result() for t in self.loss_trackers}
