"""One training on several devices, or on several machines, that learns what one process would.

    strategy = make_strategy("mirrored")      # all GPUs of this machine; "workers": of several
    with strategy.scope():                    # its variables lie on every device
        model = MaskRCNN(config, data.class_names)
    train(model, data, "runs/mine", settings)

The scope that a model is made in is the only switch: `train` reads it from the model. On several
machines the same program runs on each, and the environment variable TF_CONFIG lists them:

    {"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}

A replica is a device with a copy of the weights. `settings.batch_size` is that of all replicas
together, each of which gets its share; where the batch is the same, so are the losses, however many
replicas there are:

- each loss is a sum over anchors or RoIs, divided by how many were sampled in the whole batch, not
  in the replica's share (`Learnt.counts`);
- random samples are drawn for the whole batch, of which a replica takes its rows
  (`Detector.priority`);
- batch norms that train take their statistics over the whole batch;
- gradients are summed before they are clipped, accumulated and applied.

Only the first worker, the chief, reads and writes the run's folder; the others hear from it.
Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", whose loss is a mean per image instead;
`tf.distribute`, since Keras 3's `fit` does not run under MultiWorkerMirroredStrategy.
"""

import contextlib
import json
import os
import zlib

import keras
import numpy as np
import tensorflow as tf

from labkit.data.feeder import Feeder
from labkit.errors import LabkitError
from labkit.training.stages import layer_paths

KINDS = {
    "mirrored": tf.distribute.MirroredStrategy,
    "workers": tf.distribute.MultiWorkerMirroredStrategy,
}


def make_strategy(kind: str) -> tf.distribute.Strategy:
    """The strategy in whose scope a model is made to train on several devices.

    Args:
        kind: "mirrored" for every GPU of this machine (or every logical device that was
            configured), "workers" for every device of the machines in TF_CONFIG. The latter must
            be called before TensorFlow computes anything, and returns when all workers are there.

    Raises:
        LabkitError: TF_CONFIG is missing or does not say which worker this is, or TensorFlow has
            already computed something.
    """
    if kind == "mirrored":
        kinds = ("GPU", "CPU")
        devices = next(found for k in kinds if (found := tf.config.list_logical_devices(k)))
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if kind != "workers":
        raise LabkitError(f"make_strategy: there is no '{kind}'; there are: {', '.join(KINDS)}.")
    _check_cluster(os.environ.get("TF_CONFIG"))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise LabkitError(
            "make_strategy('workers') came too late: call it first, before a model, a tensor or a "
            f"list of devices is asked for ({error})."
        ) from error


def _check_cluster(text: str | None) -> None:
    """Raise LabkitError unless TF_CONFIG describes a cluster and this worker's place in it."""
    example = (
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", '
        '"index": 0}}'
    )
    if not text:
        raise LabkitError(f"TF_CONFIG is not set: give every worker its own, like {example}.")
    try:
        described = json.loads(text)
        task = described["task"]
        described["cluster"][task["type"]][int(task["index"])]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise LabkitError(
            f"TF_CONFIG does not say which worker this is ({error!r}): it must look like {example}."
        ) from error


class Team:
    """The workers that train a model together; an ordinary process is a team of one.

    Attributes:
        number: of this worker; 0 is the chief, the only one that writes.
        workers: how many there are.
        replicas: copies of the model on all workers together.
        here: copies of the model on this worker.
        alone: the model was made in no scope, and Keras' `fit` trains it.
    """

    def __init__(self, model):
        if tf.distribute.has_strategy():
            raise LabkitError(
                "train: call it outside of `with strategy.scope():`; only the model is made inside."
            )
        self.strategy = strategy = model.distribute_strategy
        self.kind = next((kind for kind, known in KINDS.items() if isinstance(strategy, known)), "")
        self.alone = not self.kind
        numbers = strategy.experimental_local_results(
            strategy.experimental_distribute_values_from_function(
                lambda context: context.replica_id_in_sync_group
            )
        )
        self.replicas, self.here = strategy.num_replicas_in_sync, len(numbers)
        self.workers, self.number = self.replicas // self.here, numbers[0] // self.here

    @property
    def chief(self) -> bool:
        return self.number == 0

    def scope(self):
        """What variables are made in that belong to the model."""
        return contextlib.nullcontext() if self.alone else self.strategy.scope()

    def record(self) -> dict:
        """What run.json says of the team. A run may go on with another one."""
        if self.alone:
            return {}
        team = {"kind": self.kind, "workers": self.workers, "replicas": self.replicas}
        return {"distribution": team}

    def check(self, settings) -> None:
        """Raise LabkitError where a batch has no equal share for every replica."""
        if settings.batch_size % self.replicas:
            raise LabkitError(
                f"batch_size is {settings.batch_size}, of all {self.replicas} replicas together: "
                f"make it a multiple of {self.replicas}, so that each gets the same share."
            )

    # --- messages between workers ---------------------------------------------------------

    def broadcast(self, value, by: int = 0):
        """The value of worker `by`, on every worker: anything that JSON can hold."""
        if self.workers == 1:
            return value
        own = json.dumps(value if self.number == by else None).encode()
        own = np.frombuffer(zlib.compress(own), np.uint8)
        # As floats: what sums gradients can sum them, on every device.
        length = int(self._from(by, np.float64(len(own))))
        text = self._from(by, np.resize(own, length).astype(np.float32))
        return json.loads(zlib.decompress(text.astype(np.uint8).tobytes()))

    def gather(self, value) -> list:
        """Every worker's value, in the order of the workers."""
        return [self.broadcast(value, by) for by in range(self.workers)]

    def by_chief(self, work):
        """What `work()` returns on the chief, on every worker; where it raises, so do all."""
        if self.workers == 1:
            return work()
        outcome = None
        if self.chief:
            try:
                outcome = {"value": work()}
            except LabkitError as error:
                outcome = {"error": str(error)}
        outcome = self.broadcast(outcome)
        if "error" in outcome:
            raise LabkitError(outcome["error"])
        return outcome["value"]

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on some worker."""
        return flag if self.workers == 1 else bool(self._sum(np.float32(flag)) > 0)

    def share(self, variables) -> None:
        """Give variables the chief's values on every worker."""
        if self.workers > 1:
            for variable in variables:
                variable.assign(self._from(0, np.asarray(variable, np.float64)))

    def agree(self, record: dict) -> None:
        """Raise LabkitError, on every worker, unless all were started with the same run.json."""
        data = {"class_names": record["class_names"], "images": record["images"]}
        chief, *others = self.gather({**record["config"], **record["settings"], **data})
        for number, other in enumerate(others, 1):
            for name, value in other.items():
                if value != chief[name]:
                    raise LabkitError(
                        f"Worker {number} was started with {name} = {value}, the chief with "
                        f"{chief[name]}: give all of them the same data and settings."
                    )

    def _from(self, number: int, value: np.ndarray) -> np.ndarray:
        """A worker's array on every worker; the others give one of the same shape."""
        return self._sum(value if self.number == number else np.zeros_like(value))

    def _sum(self, value: np.ndarray) -> np.ndarray:
        """The sum of the workers' arrays, each counted once however many replicas it has."""

        def of_replica(context):
            first = context.replica_id_in_sync_group % self.here == 0
            return tf.constant(value if first else np.zeros_like(value))

        values = self.strategy.experimental_distribute_values_from_function(of_replica)
        with _losing_a_worker_is_an_error():
            return self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()


@contextlib.contextmanager
def _losing_a_worker_is_an_error():
    """Within the block, what TensorFlow raises when another worker is gone is one sentence."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise LabkitError(
            "Another worker is gone (its own output says why). The last checkpoint is untouched: "
            f"start all workers again with resume. TensorFlow says: {error.message.splitlines()[0]}"
        ) from error


# --- the loop ---------------------------------------------------------------------------


def fit(model, team: Team, feeder: Feeder, callbacks) -> None:
    """Train as `model.fit` does, on every replica of the team.

    Args:
        model: compiled in the team's scope.
        team: the workers.
        feeder: makes this worker's part of each batch, see `Batches.feeder`.
        callbacks: Keras callbacks.

    Raises:
        LabkitError: another worker is lost.
    """
    if not model.optimizer.built:
        with team.scope():
            model.optimizer.build(model.trainable_variables)
    team.share(model.optimizer.variables)  # when resuming, only the chief has read them
    for _, layer in layer_paths(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True  # statistics of the whole batch, as one process has them
    step, model.stop_training = _step(model, team), False
    watchers = keras.callbacks.CallbackList(callbacks, model=model, epochs=1, verbose=0)
    watchers.on_train_begin()
    watchers.on_epoch_begin(0)
    sums = dict.fromkeys(("loss", *model.LOSSES), 0.0)
    for number, place in enumerate(feeder.steps):
        watchers.on_train_batch_begin(number)
        batch = feeder.take(place)
        with _losing_a_worker_is_an_error():
            step(_split_among_replicas(batch, team))
            losses = model.last_losses
        for name, value in {"loss": model.weighted(losses), **losses}.items():
            sums[name] += value
        # Keras' logs are means since the beginning.
        logs = {name: value / (number + 1) for name, value in sums.items()}
        watchers.on_train_batch_end(number, logs)
        if team.any(model.stop_training):
            break
    watchers.on_epoch_end(0, logs)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    watchers.on_train_end(logs)


def _split_among_replicas(batch: dict, team: Team):
    """A worker's part of a batch, divided among its replicas in their order."""

    def of_replica(context):
        place = context.replica_id_in_sync_group % team.here
        rows = len(batch["images"]) // team.here
        own = slice(place * rows, (place + 1) * rows)
        return {name: tf.constant(value[own]) for name, value in batch.items()}

    return team.strategy.experimental_distribute_values_from_function(of_replica)


def _step(model, team: Team):
    """A training step for a batch divided among replicas, as `Detector.train_step` is for a whole.

    The optimizer works outside of the replicas, where its gradients are already sums: inside, Keras
    would clip what a replica has alone.
    """
    strategy = team.strategy

    @tf.function(autograph=False)
    def step(shares):
        results = strategy.run(_of_replica, args=(model, shares))
        # The same on every replica.
        losses, gradients, signs, ids = (_first(strategy, x) for x in results)
        model.optimizer.apply(gradients, model.trainable_variables)
        model.keep_step(losses, signs, ids)

    return step


def _first(strategy, value):
    """Of values on every replica, those of the first one here."""
    if isinstance(value, dict):
        return {name: _first(strategy, x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [_first(strategy, x) for x in value]
    return strategy.experimental_local_results(value)[0]


def _of_replica(model, batch: dict):
    """(losses, gradients, vital signs, image ids) of the whole batch, from a replica's rows."""
    context = tf.distribute.get_replica_context()
    # A function's input is on no device yet; what goes from worker to worker must be on one.
    batch = {name: tf.identity(value) for name, value in batch.items()}
    learnt, gradients = model.gradients_of(batch, _shares)
    present = [g for g in gradients if g is not None]
    sums = (learnt.losses, learnt.signs, present)
    losses, signs, present = _sum_over_replicas(sums)
    present = iter(present)
    gradients = [None if g is None else next(present) for g in gradients]
    signs = model.signs_of(learnt._replace(signs=signs), gradients)
    return losses, gradients, signs, context.all_gather(batch["image_ids"], axis=0)


def _shares(counts: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a replica's losses are multiplied by, so that they add up to those of the batch."""
    whole = _sum_over_replicas(counts)
    return {name: tf.math.divide_no_nan(counts[name], whole[name]) for name in counts}


def _sum_over_replicas(values):
    """The sums of tensors, in the structure that they are given in, over all replicas."""
    context, flat = tf.distribute.get_replica_context(), tf.nest.flatten(values)
    sums = context.all_reduce(tf.distribute.ReduceOp.SUM, flat) if flat else []
    return tf.nest.pack_sequence_as(values, sums)
