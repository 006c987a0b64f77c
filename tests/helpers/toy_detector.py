"""A second detector, on one page: every cell of one feature map says a class, a box and a mask.

It exists to show that a detector is a config, its parts and a line in the registry: nothing else in
labkit knows it. A cell is responsible for the smallest object that its centre lies in.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf
from keras import layers

from labkit.models.detector import ClassOutputs, Detector, Finding
from labkit.models.detector_config import DetectorConfig
from labkit.models.learner import Learnt
from labkit.ops.roi import roi_crop_and_resize

SIDE = 14  # of a mask


@dataclass(frozen=True)
class ToyConfig(DetectorConfig):
    LOSSES: ClassVar = ("class", "box", "mask")

    image_min_side: int = 64
    image_max_side: int = 64
    image_std: tuple[float, ...] = (64.0, 64.0, 64.0)
    strides: tuple[int, ...] = (8,)
    anchor_sizes: tuple[float, ...] = (16,)
    score_threshold: float = 0.0
    detections: int = 20
    mini_mask: int = 28

    @classmethod
    def presets(cls):
        return {"toy": cls()}


def objects_are_rare(r):
    if r.lately("found") < 0.01:
        yield Finding("no cell finds its object", f"{r.lately('found'):.1%} do", "train longer")


@keras.saving.register_keras_serializable("labkit-tests")
class ToyDetector(Detector):
    LOSSES = ToyConfig.LOSSES
    SIGNS = ("cells", "found")
    LOSSES_OF_PART = {"head": LOSSES}
    STAGES = {"last": "^head/"}
    checks = (objects_are_rare,)

    def make_parts(self):
        x = images = keras.Input((None, None, 3))
        for channels in (8, 16, 24):
            x = layers.Conv2D(channels, 3, 2, "same", activation="relu")(x)
        self.backbone = keras.Model(images, [x], name="backbone")
        x = features = keras.Input((None, None, 24))
        outputs = {"logits": 1 + len(self.class_names), "box": 4, "mask": SIDE * SIDE}
        outputs = [layers.Conv2D(n, 1, name=name)(x) for name, n in outputs.items()]
        self.head = keras.Model(features, outputs, name="head")

    def parts(self):
        return {"backbone": self.backbone, "head": self.head}

    def class_outputs(self):
        return {"head": {"logits": ClassOutputs(background=True)}}

    @classmethod
    def guessing(cls, classes):
        return {"class": math.log(1 + classes), "box": 0.0, "mask": math.log(2)}

    def cells(self, images, sizes, training):
        """(centres [N, 2], logits [B, N, 1 + C], boxes [B, N, 4], mask logits [B, N, 14, 14])."""
        maps = self.backbone(self.normalise(images, sizes), training=training)
        features = maps[0] if isinstance(maps, list) else maps
        batch, rows, columns = tf.unstack(tf.shape(features)[:3])
        outputs = self.head(features, training=training)
        logits, box, mask = (tf.reshape(x, [batch, rows * columns, x.shape[-1]]) for x in outputs)
        y, x = tf.meshgrid(tf.range(rows), tf.range(columns), indexing="ij")
        centres = 8.0 * tf.cast(tf.reshape(tf.stack([y, x], -1), [-1, 2]), tf.float32) + 4.0
        reach = 16.0 * tf.exp(tf.clip_by_value(box, -4.0, 4.0))  # to the four sides
        boxes = tf.concat([centres - reach[..., :2], centres + reach[..., 2:]], -1)
        return centres, logits, boxes, tf.reshape(mask, [batch, rows * columns, SIDE, SIDE])

    def learn(self, batch, step=0, training=True):
        centres, logits, boxes, masks = self.cells(batch["images"], batch["sizes"], training)
        truth, classes = batch["boxes"], batch["classes"]
        y, x = centres[:, 0, None, None], centres[:, 1, None, None]
        inside = (
            (truth[..., 0] < y) & (y < truth[..., 2]) & (truth[..., 1] < x) & (x < truth[..., 3])
        )
        inside = tf.transpose(inside & (classes > 0), [1, 0, 2])  # [B, N, G]
        area = tf.reduce_prod(truth[..., 2:] - truth[..., :2], -1)[:, None]
        owner = tf.argmin(tf.where(inside, area, math.inf), -1, output_type=tf.int32)
        positive = tf.reduce_any(inside, -1)
        label = tf.where(positive, tf.gather(classes, owner, batch_dims=1), 0)
        # Half of the background is enough; which half, the seed and the step decide.
        shape = [tf.shape(label)[0], tf.shape(label)[1]]
        sampled = tf.cast(positive | (self.priority(shape, step, 0) < 0.5), tf.float32)
        real = tf.cast(positive, tf.float32)
        counts = {"class": tf.reduce_sum(sampled), "box": tf.reduce_sum(real)}
        counts["mask"] = counts["box"]

        each = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
        target = tf.gather(truth, owner, batch_dims=1)
        distance = tf.reduce_sum(tf.abs(boxes - target), -1) / 64.0
        whole = tf.reshape(batch["masks"], [-1, *batch["masks"].shape[2:], 1])
        place = owner + tf.shape(truth)[1] * tf.range(shape[0])[:, None]
        extent = tf.constant([0.0, 0.0, 28.0, 28.0])
        cut = roi_crop_and_resize(
            tf.cast(whole, tf.float32),
            tf.tile(extent[None], [tf.size(place), 1]),
            tf.reshape(place, [-1]),
            SIDE,
            (28, 28),
        )
        cut = tf.cast(tf.reshape(cut, tf.shape(masks)) > 0.5, tf.float32)
        error = tf.nn.sigmoid_cross_entropy_with_logits(cut, masks)
        sums = {
            "class": tf.reduce_sum(each * sampled),
            "box": tf.reduce_sum(distance * real),
            "mask": tf.reduce_sum(tf.reduce_mean(error, [-2, -1]) * real),
        }
        losses = {name: tf.math.divide_no_nan(sums[name], counts[name]) for name in sums}
        right = tf.cast(tf.argmax(logits, -1, output_type=tf.int32) == label, tf.float32) * real
        images = tf.cast(shape[0], tf.float32)
        signs = {"cells": (counts["box"], images), "found": (tf.reduce_sum(right), counts["box"])}
        return Learnt(losses, counts, signs, {"label": label})

    def detect_in_batch(
        self, images, image_sizes, score_threshold=None, nms_iou=None, detections=None
    ):
        _, logits, boxes, masks = self.cells(images, image_sizes, False)
        limit = tf.concat([image_sizes, image_sizes], -1)[:, None]
        boxes = tf.clip_by_value(boxes, 0.0, limit)
        scores = tf.nn.softmax(logits)[..., 1:]
        most = self.config.detections if detections is None else detections
        best, top = tf.math.top_k(tf.reduce_max(scores, -1), tf.minimum(most, tf.shape(boxes)[1]))
        threshold = self.config.score_threshold if score_threshold is None else score_threshold
        pick = lambda x: tf.gather(x, top, batch_dims=1)  # noqa: E731
        return {
            "boxes": pick(boxes),
            "scores": best,
            "classes": pick(tf.argmax(scores, -1, output_type=tf.int32)) + 1,
            "masks": tf.sigmoid(pick(masks)),
            "count": tf.reduce_sum(tf.cast(best > threshold, tf.int32), -1),
        }
