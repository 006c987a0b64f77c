"""YOLACT as a `keras.Model`: one pass, no regions of interest, masks as sums of prototypes.

Reading order: `features` to `detect_in_batch` are inference from left to right; `trace_losses` is
training. Source: Bolya et al. 2019, "YOLACT: Real-time Instance Segmentation", and its code.

What the original does by mistake is done right here, unless `config.faithful` asks for the
mistakes, which is for comparing numbers:

- a class is kept whatever its score, where another class of the same anchor is above the threshold
  (here every detection is above it), and a box outside the image with ends in the wrong order (here
  it is dropped);
- the mask loss is computed from rounded probabilities, so that a cell that is entirely wrong has no
  slope, and a part of the mask outside its box costs a constant (here: from logits, in the box);
- an image without objects breaks the matching, and a batch without has NaN for losses (here its
  hardest anchors still teach what background is).
"""

import math

import keras
import tensorflow as tf

from labkit.models import yolact_parts as parts
from labkit.models.backbones import BACKBONES
from labkit.models.detector import ClassOutputs, Detector
from labkit.models.learner import Learnt
from labkit.models.tensors import float32, height_width
from labkit.models.yolact_config import YolactConfig
from labkit.models.yolact_health import CHECKS, SIGNS, vital_signs
from labkit.models.yolact_select import select
from labkit.models.yolact_targets import anchor_targets, drawn_masks, mask_targets
from labkit.models.yolact_trace import YolactTrace, trace_image
from labkit.ops import boxes as box_ops
from labkit.ops import losses, prototypes
from labkit.ops import prototype_losses as own_losses


@keras.saving.register_keras_serializable("labkit")
class YOLACT(Detector):
    """YOLACT for `class_names` (background not among them).

    model = YOLACT(YolactConfig.preset("yolact_tiny"), ["cat", "dog"])
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(batches)             # batches as `labkit.data.batches` makes them
    model.detect("photo.jpg")      # Detections
    """

    LOSSES = YolactConfig.LOSSES
    SIGNS = SIGNS
    LOSSES_OF_PART = {
        "prototypes": ("mask",),
        "head": ("class", "box", "mask"),
        "semantic": ("semantic",),
    }
    checks = CHECKS

    def make_parts(self) -> None:
        """The five networks: backbone, pyramid, prototypes, head, and the classifier of cells."""
        config, classes = self.config, len(self.class_names)
        self.backbone = BACKBONES[config.backbone].build(config)
        read = self._read_maps(self.backbone.outputs)
        self.fpn = parts.pyramid(config, [c.shape[-1] for c in read])
        self.prototype_net = parts.prototype_net(config)
        self.head = parts.head(config, classes)
        self.semantic_net = parts.semantic_net(config, classes)

    def parts(self) -> dict[str, keras.Model]:
        """Its networks by name, from the image to the masks."""
        found = (self.backbone, self.fpn, self.prototype_net, self.head, self.semantic_net)
        return {part.name: part for part in found}

    def class_outputs(self) -> dict[str, dict[str, ClassOutputs]]:
        """Logits of anchors, and of cells; boxes and coefficients are of no class."""
        return {
            "head": {"logits": ClassOutputs(background=True)},
            "semantic": {"logits": ClassOutputs()},
        }

    @classmethod
    def guessing(cls, classes: int) -> dict[str, float]:
        """Two halves each way, every class alike, no box moved; four anchors for a positive."""
        half, any_class = math.log(2), math.log(1 + classes)
        return {"class": 4 * any_class, "box": 0.0, "mask": half, "semantic": classes * half}

    # --- inference, left to right --------------------------------------------------------

    def features(self, images: tf.Tensor, image_sizes: tf.Tensor, training: bool = False):
        """P3..P7 of images [B, H, W, 3] (0..255), whose padding lies beyond image_sizes [B, 2]."""
        x = self.normalise(images, image_sizes)
        return self.fpn(self._read_maps(self.backbone(x, training=training)), training=training)

    def prototypes(self, maps: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        """The prototypes [B, h, w, k] of images with these maps."""
        return float32(self.prototype_net(maps[0], training=training))

    def predict_anchors(self, maps: list[tf.Tensor], training: bool = False):
        """Deltas [B, A, 4], logits [B, A, 1 + N], coefficients [B, A, k]; levels side by side."""
        kinds = zip(*(self.head(m, training=training) for m in maps), strict=True)
        lengths = (4, 1 + len(self.class_names), self.config.prototypes)
        return tuple(
            tf.concat([_rows(float32(x), length) for x in levels], axis=1)
            for levels, length in zip(kinds, lengths, strict=True)
        )

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
        masks [B, D, h, w] (probabilities over the whole padded image, 0 outside the box), and what
        they were made from: kept int32 [B, D] (anchors) and coefficients [B, D, k]. And the steps
        on the way: maps, anchors (of each level), deltas [B, A, 4], class_probabilities
        [B, A, 1 + N], all_coefficients [B, A, k], prototypes [B, h, w, k], decoded [B, A, 4].
        """
        c = self.config
        score_threshold = c.score_threshold if score_threshold is None else score_threshold
        nms_iou = c.nms_iou if nms_iou is None else nms_iou
        most = c.detections if detections is None else detections
        maps = self.features(images, image_sizes)
        drawn, anchors = self.prototypes(maps), self.anchors(images, maps)
        deltas, logits, coefficients = self.predict_anchors(maps)
        probabilities = tf.nn.softmax(logits)
        decoded = box_ops.decode(deltas, tf.concat(anchors, axis=0), c.box_std)
        kept, classes, scores, count = select(
            decoded, probabilities, image_sizes, c, score_threshold, nms_iou, most
        )
        most = tf.reduce_max(count)
        kept, classes, scores = kept[:, :most], classes[:, :most], scores[:, :most]
        boxes = tf.gather(decoded, kept, batch_dims=1)
        if not c.faithful:
            height, width = tf.split(image_sizes, 2, axis=1)
            boxes = box_ops.clip(boxes, height, width)
        own = tf.gather(coefficients, kept, batch_dims=1)
        return {
            "boxes": boxes,
            "scores": scores,
            "classes": classes,
            "masks": self.masks(drawn, own, boxes, images),
            "count": count,
            "kept": kept,
            "coefficients": own,
            "maps": maps,
            "anchors": anchors,
            "deltas": deltas,
            "class_probabilities": probabilities,
            "all_coefficients": coefficients,
            "prototypes": drawn,
            "decoded": decoded,
        }

    def masks(self, drawn: tf.Tensor, coefficients: tf.Tensor, boxes: tf.Tensor, images):
        """Probabilities [B, D, h, w] of prototypes and coefficients, 0 outside of each box."""
        grid = tf.unstack(tf.shape(drawn)[1:3])
        cells = prototypes.on_grid(boxes, tf.unstack(tf.shape(images)[1:3]), grid)
        probability = tf.sigmoid(prototypes.assemble(drawn, coefficients))
        return tf.where(prototypes.inside(cells, grid), probability, 0.0)

    def trace(self, image, targets=None, step: int = 0) -> YolactTrace:
        """Everything computed for one image, from features to masks: a `YolactTrace`.

        targets: a `Sample` of the same image; then also what training would teach
        (`trace.lesson`). step: numbers the random samples, as in training.
        """
        return trace_image(self, image, targets, step)

    # --- training ------------------------------------------------------------------------

    def learn(self, batch: dict[str, tf.Tensor], step=0, training: bool = True) -> Learnt:
        """The four losses of a batch and all that they follow from; see `Detector.learn`.

        A batch may also have "crowds" [B, K, 4]: boxes in which background is not learnt.
        """
        trace = self.trace_losses(batch, step, training)
        images = tf.cast(tf.shape(batch["images"])[0], tf.float32)
        counts = dict.fromkeys(("class", "box", "mask"), trace["positives"]) | {"semantic": images}
        return Learnt(trace["losses"], counts, vital_signs(trace, batch), trace)

    def trace_losses(self, batch: dict[str, tf.Tensor], step=0, training: bool = True):
        """Everything training computes for a batch: targets, samples, outputs and the four losses.

        Arguments as in `Detector.learn`. Returns a dict of tensors; "losses" holds the losses.
        """
        c = self.config
        maps = self.features(batch["images"], batch["sizes"], training)
        anchors = self.anchors(batch["images"], maps)
        deltas, logits, coefficients = self.predict_anchors(maps, training)
        targets = anchor_targets(tf.concat(anchors, axis=0), batch, c)
        positives = tf.cast(tf.maximum(tf.reduce_sum(targets["counts"]), 1), tf.float32)
        negative = own_losses.hard_negatives(
            logits, targets["background"], targets["counts"], c.negatives
        )
        taken = targets["positive"] | negative
        semantic = float32(self.semantic_net(maps[0], training=training))
        found = {
            "class": own_losses.class_loss(
                logits, targets["labels"], taken, positives, c.class_weights
            ),
            "box": losses.box_loss(
                deltas, targets["deltas"], targets["positive"], positives, c.smooth_l1_beta
            ),
            "semantic": own_losses.semantic_loss(semantic, self._semantic_targets(batch, semantic)),
        }
        drawn = self.prototypes(maps, training)
        masks = self._drawn_masks(batch, drawn, coefficients, targets, step)
        inputs = [masks[n] for n in ("mask_logits", "mask_targets", "within", "areas", "shares")]
        found["mask"] = own_losses.mask_loss(*inputs, positives, as_torch=c.faithful)
        return masks | {
            "losses": found,
            "maps": maps,
            "anchors": anchors,
            "deltas": deltas,
            "logits": logits,
            "coefficients": coefficients,
            "prototypes": drawn,
            "semantic": semantic,
            "targets": targets,
            "negative": negative,
            "positives": positives,
        }

    def _drawn_masks(self, batch, drawn, coefficients, targets, step) -> dict[str, tf.Tensor]:
        """The masks of positives, drawn at random where there are too many: what the loss needs.

        mask_anchors int32 [B, K] and what each counts (shares [B, K]); logits and targets
        [B, K, h, w]; within bool [B, K, h, w], the object's box; areas [B, K], of the box in cells.
        """
        priority = self.priority(tf.unstack(tf.shape(targets["positive"])), step, 0)
        anchors, shares = drawn_masks(targets, priority, self.config.mask_samples)
        owner = tf.gather(targets["owner"], anchors, batch_dims=1)
        grid = height_width(drawn)
        truth = mask_targets(batch, grid, self.config)
        boxes = tf.gather(targets["boxes"], anchors, batch_dims=1)
        cells = prototypes.on_grid(boxes, height_width(batch["images"]), grid)
        return {
            "mask_anchors": anchors,
            "shares": shares,
            "mask_logits": prototypes.assemble(
                drawn, tf.gather(coefficients, anchors, batch_dims=1)
            ),
            "mask_targets": tf.gather(truth, owner, batch_dims=1),
            "within": prototypes.inside(cells, grid),
            "areas": box_ops.area(cells),
        }

    def _semantic_targets(self, batch, logits: tf.Tensor) -> tf.Tensor:
        masks = mask_targets(batch, height_width(logits), self.config)
        return prototypes.union_by_class(masks, batch["classes"], len(self.class_names))

    # --- small print ---------------------------------------------------------------------

    def _read_maps(self, maps) -> list:
        """Of the backbone's C2..C5, those that the pyramid reads."""
        return list(maps)[parts.first_level(self.config) - 2 :]


def _rows(x: tf.Tensor, length: int) -> tf.Tensor:
    """A map [B, h, w, A * length] as a row for each anchor: [B, h * w * A, length]."""
    return tf.reshape(x, [tf.shape(x)[0], -1, length])
