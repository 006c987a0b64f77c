"""The explorers: interactive pictures of every stage of Mask R-CNN. Each is one function.

They need the extra `lab` (anywidget); nothing else in labkit imports them.

    iou            IoU and GIoU of two boxes
    anchors        the grid of anchors on an image, and the objects that no anchor fits
    deltas         the four deltas between an anchor and a box
    rpn_targets    which anchors are positive, negative or ignored
    nms            non-maximum suppression, step by step
    fast_nms       ordinary and Fast NMS on the same boxes
    prototypes     a YOLACT mask, assembled from prototypes
    proposals      from the best anchors to the proposals, stage by stage
    levels         the pyramid level that a RoI is pooled from
    roi            RoIPool, crop_and_resize and RoIAlign on one RoI
    losses         the five losses of one object, and their gradients
    detections     ground truth against detections, with both thresholds to change
    training       the frames of a training run beside its curves

    explorer       the base class of all explorers, and traits for boxes
    sketch         their static pictures, for pages without a kernel
    image_results  the detections of one image, from a model or from a results file
    static/        the JavaScript and the style sheet
"""

from labkit.widgets.anchors import explore_anchors
from labkit.widgets.deltas import explore_deltas
from labkit.widgets.detections import explore_detections
from labkit.widgets.fast_nms import explore_fast_nms
from labkit.widgets.iou import explore_iou
from labkit.widgets.levels import explore_levels
from labkit.widgets.losses import explore_losses
from labkit.widgets.nms import explore_nms
from labkit.widgets.proposals import explore_proposals
from labkit.widgets.prototypes import explore_prototypes
from labkit.widgets.roi import explore_roi
from labkit.widgets.rpn_targets import explore_rpn_targets
from labkit.widgets.training import explore_training

__all__ = [
    "explore_anchors",
    "explore_deltas",
    "explore_detections",
    "explore_fast_nms",
    "explore_iou",
    "explore_levels",
    "explore_losses",
    "explore_nms",
    "explore_proposals",
    "explore_prototypes",
    "explore_roi",
    "explore_rpn_targets",
    "explore_training",
]
