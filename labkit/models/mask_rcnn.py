"""Mask R-CNN as a `keras.Model`: backbone, pyramid, proposals, two heads, five losses.

Reading order: `features` to `detect_in_batch` are inference from left to right; `trace_losses` is
training; the rest is what Keras asks of a model. Source: He et al. 2017.
"""

import math

import keras
import tensorflow as tf

from labkit.models import heads, rpn
from labkit.models.backbones import BACKBONES
from labkit.models.config import Config
from labkit.models.detector import ClassOutputs, Detector
from labkit.models.fpn import feature_pyramid
from labkit.models.inclusive import from_inclusive, limit, to_inclusive
from labkit.models.learner import Learnt
from labkit.models.mask_rcnn_health import CHECKS, SIGNS, loss_counts, vital_signs
from labkit.models.resize import origins
from labkit.models.tensors import float32
from labkit.models.trace import Trace, trace_image
from labkit.ops import boxes as box_ops
from labkit.ops import losses
from labkit.ops.matching import most_positives


@keras.saving.register_keras_serializable("labkit")
class MaskRCNN(Detector):
    """Mask R-CNN for `class_names` (background not among them).

    model = MaskRCNN(Config.preset("tiny"), ["cat", "dog"])
    labkit.train(model, data, "runs/mine")
    model.detect("photo.jpg")      # Detections

    It is a Keras model, too: after `compile(optimizer=...)` its `fit` takes what
    `labkit.data.pipeline.Batches(data, config, plan).tf_dataset(steps)` gives.
    """

    LOSSES = Config.LOSSES
    SIGNS = SIGNS
    LOSSES_OF_PART = {
        "rpn": ("objectness", "rpn_box"),
        "box_head": ("class", "box"),
        "mask_head": ("mask",),
    }
    STAGES = {"roi_heads": "^(box_head|mask_head)/"}
    checks = CHECKS

    def make_parts(self) -> None:
        """The five networks: backbone, pyramid, RPN, box head and mask head."""
        config, classes = self.config, len(self.class_names)
        self.backbone = BACKBONES[config.backbone].build(config)
        self.fpn = feature_pyramid(config, [c.shape[-1] for c in self.backbone.outputs])
        self.rpn_head = rpn.rpn_head(config)
        self.box_head = heads.box_head(config, classes)
        self.mask_head = heads.mask_head(config, classes)

    def parts(self) -> dict[str, keras.Model]:
        """Its networks by name, from the image to the masks."""
        found = (self.backbone, self.fpn, self.rpn_head, self.box_head, self.mask_head)
        return {part.name: part for part in found}

    def class_outputs(self) -> dict[str, dict[str, ClassOutputs]]:
        """Logits, and boxes and masks unless all classes share them."""
        logits = {"logits": ClassOutputs(background=True)}
        if self.config.class_agnostic:
            return {"box_head": logits}
        return {
            "box_head": logits | {"deltas": ClassOutputs(values=4)},
            "mask_head": {"logits": ClassOutputs()},
        }

    @classmethod
    def guessing(cls, classes: int) -> dict[str, float]:
        """Two halves each way, every class alike, no box moved."""
        half, any_class = math.log(2), math.log(1 + classes)
        return {"objectness": half, "rpn_box": 0.0, "class": any_class, "box": 0.0, "mask": half}

    # --- inference, left to right --------------------------------------------------------

    def features(self, images: tf.Tensor, image_sizes: tf.Tensor, training: bool = False):
        """P2..P6 of images [B, H, W, 3] (0..255), whose padding lies beyond image_sizes [B, 2]."""
        x = self.normalise(images, image_sizes)
        maps = self.fpn(self.backbone(x, training=training), training=training)
        return [float32(m) for m in maps]

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
            rpn.flatten_level(*map(float32, self.rpn_head(m, training=training))) for m in maps
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
        boxes, scores, classes, count = heads.select(
            refined, probabilities, real, c, score_threshold, nms_iou, detections
        )
        # The mask head is the most expensive part: it sees the detections, not their padding.
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

    def trace(self, image, targets=None, step: int = 0) -> Trace:
        """Everything computed for one image, from features to masks: a `labkit.models.trace.Trace`.

        targets: a `Sample` of the same image; then also what training would teach, with the
        losses of every RoI (`trace.lesson`). step: numbers the random samples, as in training.
        """
        return trace_image(self, image, targets, step)

    # --- training ------------------------------------------------------------------------

    def learn(self, batch: dict[str, tf.Tensor], step=0, training: bool = True) -> Learnt:
        """The five losses of a batch and all that they follow from; see `Detector.learn`."""
        trace = self.trace_losses(batch, step, training)
        counts, signs = loss_counts(trace, self.config), vital_signs(trace, batch)
        return Learnt(trace["losses"], counts, signs, trace)

    def trace_losses(self, batch: dict[str, tf.Tensor], step=0, training: bool = True):
        """Everything training computes for a batch: targets, samples, logits and the five losses.

        Arguments as in `Detector.learn`. Returns a dict of tensors; "losses" holds the losses.
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
            return [float32(x) for x in tf.nest.flatten(head(pooled, training=training))]
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
                places, float32(x)[:count], tf.concat([rows, tf.shape(x, tf.int64)[1:]], 0)
            )
            for x in outputs
        ]

    def pool(self, maps, rois, size: int) -> tf.Tensor:
        return heads.pool_rois(maps[:4], rois, size, self.config)


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
