"""Mask R-CNN as a `keras.Model`: backbone, pyramid, proposals, two heads, five losses.

Reading order: `features` to `detect_in_batch` are inference from left to right; `trace_losses` is
training; the rest is what Keras asks of a model. Source: He et al. 2017.
"""

import random
from collections.abc import Iterable

import keras
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.models import heads, rpn
from labkit.models.backbones import BACKBONES
from labkit.models.config import Config
from labkit.models.detections import Detections
from labkit.models.fpn import feature_pyramid
from labkit.models.inclusive import from_inclusive, limit, to_inclusive
from labkit.models.inference import detect_images
from labkit.models.pooling import pool_rois
from labkit.models.resize import origins
from labkit.models.selection import select
from labkit.models.trace import Trace, trace_image
from labkit.models.vitals import VITALS, vital_signs
from labkit.ops import boxes as box_ops
from labkit.ops import losses
from labkit.ops.anchors import pyramid_anchors
from labkit.ops.matching import most_positives

LOSS_NAMES = losses.LOSS_NAMES


@keras.saving.register_keras_serializable("labkit")
class MaskRCNN(keras.Model):
    """Mask R-CNN for `class_names` (background not among them).

    model = MaskRCNN(Config.preset("tiny"), ["cat", "dog"])
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(batches)             # batches as `labkit.data.batches` makes them
    model.detect("photo.jpg")      # Detections
    """

    def __init__(self, config: Config, class_names, **kwargs):
        super().__init__(**kwargs)
        if keras.backend.backend() != "tensorflow":
            raise LabkitError("labkit runs on TensorFlow: set KERAS_BACKEND=tensorflow.")
        self.config = config
        self.class_names = _checked_names(class_names)
        if len(config.class_weights) not in (0, 1 + len(self.class_names)):
            raise LabkitError(
                f"Config: 'class_weights' has {len(config.class_weights)} values; give one for "
                f"background and one for each of the {len(self.class_names)} classes."
            )
        # Keras draws the seeds of its initialisers from Python's generator: seed it, then put it
        # back, so that the same config gives the same weights and nobody else's numbers change.
        state = random.getstate()
        random.seed(config.seed)
        self.backbone = BACKBONES[config.backbone].build(config)
        self.fpn = feature_pyramid(config, [c.shape[-1] for c in self.backbone.outputs])
        self.rpn_head = rpn.rpn_head(config)
        self.box_head = heads.box_head(config, len(self.class_names))
        self.mask_head = heads.mask_head(config, len(self.class_names))
        random.setstate(state)
        self.loss_weights = config.loss_weights  # a stage of training may have its own
        self.steps_done = tf.Variable(0, trainable=False)  # numbers the random samples
        self.loss_trackers = [keras.metrics.Mean(name=n) for n in ("loss", *LOSS_NAMES)]
        # The last batch, kept so that a loss that breaks can be traced to its images.
        self.last_losses = tf.Variable(tf.zeros([len(LOSS_NAMES)]), trainable=False)
        self.last_vitals = tf.Variable(tf.zeros([len(VITALS)]), trainable=False)
        self.last_image_ids = tf.Variable(tf.zeros([1], tf.int64), shape=[None], trainable=False)
        self.built = True

    # --- inference, left to right --------------------------------------------------------

    def normalise(self, images: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
        """Images [B, H, W, 3] (0..255), whose padding lies beyond image_sizes [B, 2], as float32
        with the mean colour at 0 and its deviation at 1."""
        x = (tf.cast(images, tf.float32) - self.config.image_mean) / self.config.image_std
        if self.config.resize == "square":  # black before normalisation, as in Matterport's
            return x
        rows = tf.sequence_mask(tf.cast(image_sizes[:, 0], tf.int32), tf.shape(x)[1])
        columns = tf.sequence_mask(tf.cast(image_sizes[:, 1], tf.int32), tf.shape(x)[2])
        # Padding is zero *after* normalisation, as in torchvision: it looks like the mean colour.
        return tf.where((rows[:, :, None] & columns[:, None, :])[..., None], x, 0.0)

    def features(self, images: tf.Tensor, image_sizes: tf.Tensor, training: bool = False):
        """P2..P6 of images [B, H, W, 3] (0..255), whose padding lies beyond image_sizes [B, 2]."""
        x = self.normalise(images, image_sizes)
        maps = self.fpn(self.backbone(x, training=training), training=training)
        return [_float32(m) for m in maps]

    def anchors(self, images: tf.Tensor, maps: list[tf.Tensor]) -> list[tf.Tensor]:
        """The anchors of each level, [A, 4] in pixels of the padded image."""
        c = self.config
        return pyramid_anchors(
            _height_width(images),
            [_height_width(m) for m in maps],
            c.anchor_sizes,
            c.anchor_ratios,
            c.anchor_rounding,
            c.anchor_offset,
        )

    def extents(self, images: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
        """float32 [B, 2]: the rows and columns within which proposals may lie.

        The images' own, or all of the square in whose middle they are: Matterport cuts only
        detections to the image.
        """
        if self.config.resize != "square":
            return image_sizes
        return tf.zeros_like(image_sizes) + tf.cast(tf.shape(images)[1:3], tf.float32)

    def rpn(self, maps: list[tf.Tensor], training: bool = False):
        """Objectness logits and deltas of each level, lists of [B, A] and [B, A, 4]."""
        outputs = [
            rpn.flatten_level(*map(_float32, self.rpn_head(m, training=training))) for m in maps
        ]
        return [o for o, _ in outputs], [d for _, d in outputs]

    def classify(self, maps: list[tf.Tensor], rois: tf.Tensor, real=None, training: bool = False):
        """Class logits [B, K, 1 + N] and deltas [B, K, N, 4] of rois [B, K, 4].

        real: bool [B, K], which RoIs to look at in training; the others get zeros. By default all.
        """
        pooled = _merge(self.pool(maps, rois, self.config.box_pool))
        logits, deltas = self._apply_head(self.box_head, pooled, real, training)
        return _split(logits, rois), _split(deltas, rois)

    def clip(self, boxes: tf.Tensor, images, image_sizes) -> tf.Tensor:
        """Boxes [B, K, N, 4], inclusive where the config's are, cut to the images in the batch."""
        c = self.config
        canvas = tf.cast(tf.shape(images)[1:3], tf.float32)
        origin = tf.tile(origins(canvas, image_sizes, c), [1, 2])[:, None, None]
        height, width = tf.split(limit(image_sizes, c)[:, None, None], 2, axis=-1)
        return box_ops.clip(boxes - origin, height[..., 0], width[..., 0]) + origin

    def segment(
        self, maps: list[tf.Tensor], rois: tf.Tensor, classes, real=None, training: bool = False
    ):
        """Mask logits [B, K, 28, 28] of rois [B, K, 4], each for its class int32 [B, K] (1..N).

        real: as in `classify`.
        """
        pooled = _merge(self.pool(maps, rois, self.config.mask_pool))
        (logits,) = self._apply_head(self.mask_head, pooled, real, training)
        own = tf.reshape(self._output_of(classes), [-1, 1])
        side = 2 * self.config.mask_pool
        logits = tf.gather(
            tf.reshape(logits, [-1, side * side, logits.shape[-1]]), own, axis=2, batch_dims=1
        )
        return _split(tf.reshape(logits, [-1, side, side]), rois)

    def detect_in_batch(
        self,
        images: tf.Tensor,
        image_sizes: tf.Tensor,
        score_threshold=None,
        nms_iou=None,
        detections=None,
    ) -> dict[str, tf.Tensor]:
        """Everything inference computes for a padded batch, in pixels of that batch's images.

        Returns, padded to `count` int32 [B]: boxes [B, D, 4], scores [B, D], classes int32 [B, D],
        masks [B, D, 28, 28] (probabilities); and the steps on the way: maps, anchors, objectness
        and deltas (of each level), proposals (see `rpn.propose`), class_probabilities
        [B, P, 1 + N], refined boxes [B, P, N, 4] ([B, P, 1, 4] where class_agnostic).
        """
        c = self.config
        score_threshold = c.score_threshold if score_threshold is None else score_threshold
        nms_iou = c.nms_iou if nms_iou is None else nms_iou
        detections = c.detections if detections is None else detections
        maps = self.features(images, image_sizes)
        anchors = self.anchors(images, maps)
        objectness, deltas = self.rpn(maps)
        extents = self.extents(images, image_sizes)
        proposals = rpn.propose(objectness, deltas, anchors, extents, c, training=False)
        refined = to_inclusive(proposals["boxes"], c)[:, :, None]
        for _ in range(c.box_passes):
            rois = refined[:, :, 0]
            logits, box_deltas = self.classify(maps[:4], from_inclusive(rois, c))
            refined = box_ops.decode(box_deltas, rois[:, :, None], c.roi_box_std)
            refined = self.clip(refined, images, image_sizes)
        probabilities = tf.nn.softmax(logits)
        real = tf.sequence_mask(proposals["count"], tf.shape(probabilities)[1])
        boxes, scores, classes, count = select(
            refined, probabilities, real, c, score_threshold, nms_iou, detections
        )
        # The mask head is the dearest part: let it see the detections, not their padding.
        # One at least: TensorFlow's CPU convolution gives no RoIs the wrong number of channels.
        most = tf.maximum(tf.reduce_max(count), 1)
        boxes, scores, classes = boxes[:, :most], scores[:, :most], classes[:, :most]
        masks = tf.sigmoid(self.segment(maps[:4], boxes, classes))
        return {
            "boxes": boxes,
            "scores": scores,
            "classes": classes,
            "masks": masks,
            "count": count,
            "maps": maps,
            "anchors": anchors,
            "objectness": objectness,
            "deltas": deltas,
            "proposals": proposals,
            "class_probabilities": probabilities,
            "refined": from_inclusive(refined, c),
        }

    def detect(
        self,
        images,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int | None = None,
        batch_size: int = 8,
    ) -> Detections | list[Detections]:
        """Find the objects in an image, or in each of a list of images of any sizes.

        images: paths, PIL images or arrays (grey, RGB or RGBA; 8 or 16 bit), or one of them. The
        three thresholds default to the config's. Images of the same size share a batch of at most
        batch_size. Returns Detections in the coordinates of the original images, best score first;
        a list gives a list. Raises LabkitError naming an image that cannot be read.
        """
        return detect_images(self, images, score_threshold, nms_iou, max_detections, batch_size)

    def trace(self, image, targets=None, step: int = 0) -> Trace:
        """Everything computed for one image, from features to masks: a `labkit.models.trace.Trace`.

        targets: a `Sample` of the same image; then also what training would teach, with the
        losses of every RoI (`trace.lesson`). step: numbers the random samples, as in training.
        """
        return trace_image(self, image, targets, step)

    @classmethod
    def from_pretrained(cls, source, class_names=None, config=None, verbose=True) -> "MaskRCNN":
        """A model with published or saved weights: a name, a run's folder or a file.

        MaskRCNN.from_pretrained("coco-r50-fpn")                         COCO's classes
        MaskRCNN.from_pretrained("coco-r50-fpn", class_names=["tooth"])  to fine-tune

        `labkit info --pretrained` lists the names. See `labkit.weights.pretrained` for the rest.
        """
        from labkit.weights.pretrained import from_pretrained

        return from_pretrained(source, class_names, config, verbose)

    # --- training ------------------------------------------------------------------------

    def trace_losses(self, batch: dict[str, tf.Tensor], step=0, training: bool = True):
        """Everything training computes for a batch: targets, samples, logits and the five losses.

        batch: images [B, H, W, 3], sizes [B, 2], boxes [B, G, 4], classes int32 [B, G] (0 is
        padding), masks uint8 [B, G, h, w] (mini-masks, or of the image's size where
        config.mini_mask is 0). step: numbers the random samples, with config.seed.
        """
        c = self.config
        maps = self.features(batch["images"], batch["sizes"], training)
        anchors = self.anchors(batch["images"], maps)
        objectness, deltas = self.rpn(maps, training)
        all_anchors = tf.concat(anchors, axis=0)
        boxes, valid = batch["boxes"], batch["classes"] > 0
        shape = [tf.shape(boxes)[0], tf.shape(all_anchors)[0]]
        rpn_targets = rpn.rpn_targets(all_anchors, boxes, valid, self.priority(shape, step, 0), c)
        result = rpn.rpn_losses(objectness, deltas, rpn_targets, c)

        # Proposals are input to the heads, not a path for their gradient.
        fixed = [[tf.stop_gradient(x) for x in xs] for xs in (objectness, deltas)]
        extents = self.extents(batch["images"], batch["sizes"])
        proposals = rpn.propose(*fixed, anchors, extents, c, training=True)
        shape = [shape[0], tf.shape(boxes)[1] + tf.shape(proposals["boxes"])[1]]
        rois = heads.roi_targets(
            proposals["boxes"], proposals["count"], batch, self.priority(shape, step, 1), c
        )
        logits, roi_deltas = self.classify(maps[:4], rois["rois"], rois["sampled"], training)
        own_deltas = tf.gather(roi_deltas, self._output_of(rois["classes"]), axis=2, batch_dims=2)
        samples = tf.reduce_sum(tf.cast(rois["sampled"], tf.int32))
        result["class"] = losses.class_loss(
            logits, rois["classes"], rois["sampled"], c.class_weights, c.class_focal
        )
        result["box"] = losses.box_loss(
            own_deltas, rois["deltas"], rois["positive"], samples, c.smooth_l1_beta
        )

        # Only positives have a mask. They stand first, and there are at most this many.
        most = most_positives(c.roi_samples, c.roi_positive_fraction)
        head = {k: rois[k][:, :most] for k in ("rois", "classes", "matches", "positive")}
        mask_logits = self.segment(
            maps[:4], head["rois"], head["classes"], head["positive"], training
        )
        frames = boxes if c.mini_mask else None
        mask_targets = heads.mask_targets(
            head["rois"], head["matches"], batch["masks"], frames, 2 * c.mask_pool
        )
        result["mask"] = losses.mask_loss(mask_logits, mask_targets, head["positive"])
        return {
            "losses": result,
            "maps": maps,
            "anchors": anchors,
            "objectness": objectness,
            "deltas": deltas,
            "rpn_targets": rpn_targets,
            "proposals": proposals,
            "rois": rois,
            "class_logits": logits,
            "box_deltas": own_deltas,
            "mask_logits": mask_logits,
            "mask_targets": mask_targets,
        }

    def losses_of(self, batch, step=0, training: bool = True) -> tf.Tensor:
        """The five losses of a batch, float32 [5] in the order of LOSS_NAMES, not yet weighted."""
        return self._stacked(self.trace_losses(batch, step, training)["losses"])

    def _stacked(self, result: dict[str, tf.Tensor]) -> tf.Tensor:
        """The losses in their order; one of weight 0 is a number, and costs no gradient."""
        weighted = zip(LOSS_NAMES, self.loss_weights, strict=True)
        return tf.stack([result[n] if w else tf.stop_gradient(result[n]) for n, w in weighted])

    def priority(self, shape, step, use: int) -> tf.Tensor:
        """The random numbers that decide which anchors and RoIs are sampled at a training step.

        They depend on the seed, the step and the use alone: a run that is resumed draws what it
        would have drawn. A replica draws them for the whole batch and takes those of its rows: how
        many replicas share a batch changes nothing.
        """
        stream = tf.constant(2 * self.config.seed + use, tf.int64)
        seed = tf.stack([stream, tf.cast(step, tf.int64)])
        replica, rows = tf.distribute.get_replica_context(), shape[0]
        if replica is None or replica.num_replicas_in_sync == 1:
            return tf.random.stateless_uniform(shape, seed)
        whole = [rows * replica.num_replicas_in_sync, *shape[1:]]
        first = rows * replica.replica_id_in_sync_group
        return tf.random.stateless_uniform(whole, seed)[first : first + rows]

    # --- what Keras asks of a model ------------------------------------------------------

    def compile(self, optimizer="rmsprop", *, jit_compile=False, **kwargs):
        """As any Keras model, without `loss`: the five losses are the model's own."""
        if kwargs.get("loss") is not None:
            raise LabkitError("MaskRCNN.compile: leave out 'loss'; the five losses are built in.")
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
        if tf.distribute.get_replica_context().num_replicas_in_sync > 1:
            raise LabkitError(
                "MaskRCNN.fit: Keras would take each replica's losses for those of the whole "
                "batch. labkit.train does not: it trains a model that was made in a scope."
            )
        trace, values, gradients = self.gradients_of(batch)
        scale = self.optimizer.scale_loss(tf.ones([]))
        self.optimizer.apply(gradients, self.trainable_variables)
        self.steps_done.assign_add(1)
        self.last_vitals.assign(vital_signs(trace, batch, gradients, scale))
        return self._record(batch, values, tf.reduce_sum(values * self.loss_weights))

    def gradients_of(self, batch, share=None):
        """(trace, losses [5], gradients) of a batch, with the random samples of `steps_done`.

        The gradients, of the weighted losses scaled as the optimizer wants them, are in the order
        of trainable_variables. share: a function of the trace that says what each loss is
        multiplied by, where the batch is a replica's part of one.
        """
        variables = self.trainable_variables
        # A tape that watches all it meets would also record what is frozen.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            trace = self.trace_losses(batch, self.steps_done)
            values = self._stacked(trace["losses"])
            if share is not None:
                values *= share(trace)
            scaled = self.optimizer.scale_loss(tf.reduce_sum(values * self.loss_weights))
        return trace, values, tape.gradient(scaled, variables)

    def test_step(self, batch):
        values = self.losses_of(batch, training=False)
        return self._record(batch, values, tf.reduce_sum(values * self.loss_weights))

    def _record(self, batch, values, total):
        self.last_losses.assign(values)
        if "image_ids" in batch:
            self.last_image_ids.assign(batch["image_ids"])
        for tracker, value in zip(self.loss_trackers, [total, *tf.unstack(values)], strict=True):
            tracker.update_state(value)
        return {t.name: t.result() for t in self.loss_trackers}

    def call(self, images, training=False):
        """Padded detections of images [B, H, W, 3] (0..255, sides a multiple of 32): a dict."""
        height, width = _height_width(images)
        size = tf.cast(tf.stack([height, width]), tf.float32)
        result = self.detect_in_batch(images, tf.tile(size[None], [tf.shape(images)[0], 1]))
        return {k: result[k] for k in ("boxes", "scores", "classes", "masks", "count")}

    def get_config(self):
        return {"config": self.config.to_dict(), "class_names": list(self.class_names)}

    @classmethod
    def from_config(cls, values):
        return cls(Config.from_dict(values["config"]), values["class_names"])

    # --- small print ---------------------------------------------------------------------

    def _output_of(self, classes: tf.Tensor) -> tf.Tensor:
        """Which of the heads' boxes and masks belongs to each class 1..N (and, unused, to 0)."""
        return tf.zeros_like(classes) if self.config.class_agnostic else tf.maximum(classes - 1, 0)

    def _apply_head(self, head, pooled: tf.Tensor, real, training: bool) -> list[tf.Tensor]:
        """The outputs of a head for RoIs [B K, ...]; in training zeros for those that are not real.

        Padding and, in the mask head, RoIs without an object teach nothing: to look at them costs
        time, and would shift the statistics of a batch norm.
        """
        if not training or real is None:
            return [_float32(x) for x in tf.nest.flatten(head(pooled, training=training))]
        places = tf.where(tf.reshape(real, [-1]))
        count = tf.shape(places)[0]
        if self.config.heads_batch_norm:  # rows of zeros would count in its statistics
            seen = tf.gather_nd(pooled, _or_the_first(places))
        else:
            seen = _to_a_multiple(tf.gather_nd(pooled, places))
        outputs = tf.nest.flatten(head(seen, training=True))
        rows = tf.shape(pooled, tf.int64)[:1]
        return [
            tf.scatter_nd(
                places, _float32(x)[:count], tf.concat([rows, tf.shape(x, tf.int64)[1:]], 0)
            )
            for x in outputs
        ]

    def pool(self, maps, rois, size: int) -> tf.Tensor:
        return pool_rois(maps[:4], rois, size, self.config)


def _height_width(x: tf.Tensor):
    """(H, W) of [B, H, W, C]: numbers where they are known, so that anchors become constants."""
    dynamic = tf.shape(x)
    return tuple(x.shape[i] if x.shape[i] is not None else dynamic[i] for i in (1, 2))


def _float32(x: tf.Tensor) -> tf.Tensor:
    """Out of mixed precision: boxes, softmax and losses want all their digits."""
    return tf.cast(x, tf.float32)


def _or_the_first(places: tf.Tensor) -> tf.Tensor:
    """Places int64 [K, 1], or [[0]] where K is 0: convolutions of no rows at all break."""
    none = 1 - tf.minimum(tf.shape(places)[0], 1)
    return tf.concat([places, tf.zeros([none, 1], tf.int64)], 0)


def _to_a_multiple(x: tf.Tensor, of: int = 8) -> tf.Tensor:
    """With rows of zeros added: a convolution is planned anew for every number of rows it meets."""
    count = tf.shape(x)[0]
    more = of * tf.maximum(-(-count // of), 1) - count
    return tf.pad(x, [[0, more]] + [[0, 0]] * (len(x.shape) - 1))


def _merge(x: tf.Tensor) -> tf.Tensor:
    """[B, K, ...] to [B K, ...]."""
    return tf.reshape(x, [-1, *x.shape[2:]])


def _split(x: tf.Tensor, rois: tf.Tensor) -> tf.Tensor:
    """[B K, ...] back to [B, K, ...] as in rois."""
    return tf.reshape(x, [tf.shape(rois)[0], tf.shape(rois)[1], *x.shape[1:]])


def _checked_names(class_names) -> tuple[str, ...]:
    if isinstance(class_names, str):
        raise LabkitError(f"class_names must be a list of names, got the string '{class_names}'.")
    if not isinstance(class_names, Iterable):
        raise LabkitError(f"class_names must be a list of names, got {class_names!r}.")
    names = tuple(str(n) for n in class_names)
    if not names:
        raise LabkitError("class_names is empty: a model needs one class besides background.")
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise LabkitError(f"class_names holds {twice[0]!r} twice: give every class its own name.")
    return names
