"""What each loss is divided by: with it, the losses of two replicas add up to the whole's."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.models.mask_rcnn_health import loss_counts
from labkit.ops import losses

LOSSES = losses.LOSS_NAMES


@pytest.mark.parametrize("class_weights", [(), (0.5, 1.0, 3.0)])
@pytest.mark.parametrize("empty", [False, True])
def test_counts_are_what_the_losses_are_divided_by(class_weights, empty, micro_config):
    """The losses of two halves, weighed by their counts, are those of the whole."""
    rng = np.random.default_rng(0)
    config = micro_config.replace(class_weights=class_weights)
    anchors, rois = rng.integers(0, 3, (4, 20)), rng.integers(0, 3, (4, 9))
    if empty:  # a half without a sample, and no positive RoI at all
        anchors[:2], rois[:2], rois[2:] = 0, 0, np.minimum(rois[2:], 1)
    numbers = {
        n: rng.normal(size=shape).astype(np.float32)
        for n, shape in {
            "objectness": (4, 20),
            "anchor": (4, 20, 4),
            "logits": (4, 9, 3),
            "delta": (4, 9, 4),
            "masks": (4, 9, 8, 8),
        }.items()
    }
    classes = np.where(rois == 2, rng.integers(1, 3, (4, 9)), 0)

    def values_and_counts(rows):
        x = {name: tf.constant(value[rows]) for name, value in numbers.items()}
        positive, sampled = tf.constant(anchors[rows] == 2), tf.constant(anchors[rows] > 0)
        trace = {
            "rpn_targets": {"positive": positive, "negative": sampled & ~positive},
            "rois": {
                "positive": tf.constant(rois[rows] == 2),
                "sampled": tf.constant(rois[rows] > 0),
                "classes": tf.constant(classes[rows], tf.int32),
            },
        }
        own, zeros = trace["rois"], tf.zeros_like
        values = [
            losses.objectness_loss(x["objectness"], positive, sampled & ~positive),
            losses.box_loss(
                x["anchor"], zeros(x["anchor"]), positive, tf.math.count_nonzero(sampled), 1.0
            ),
            losses.class_loss(x["logits"], own["classes"], own["sampled"], class_weights),
            losses.box_loss(
                x["delta"],
                zeros(x["delta"]),
                own["positive"],
                tf.math.count_nonzero(own["sampled"]),
                1.0,
            ),
            losses.mask_loss(x["masks"], zeros(x["masks"]), own["positive"]),
        ]
        counts = loss_counts(trace, config)
        return np.array(values, float), np.array([counts[n] for n in LOSSES], float)

    whole, total = values_and_counts(slice(None))
    halves = [values_and_counts(rows) for rows in (slice(0, 2), slice(2, 4))]
    np.testing.assert_array_equal(sum(counts for _, counts in halves), total)
    summed = sum(values * counts for values, counts in halves)
    np.testing.assert_allclose(summed / np.maximum(total, 1), whole, 1e-5)  # float32 sums
