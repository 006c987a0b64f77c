"""The explorers: every stage of Mask R-CNN, to be dragged. Each is one function.

They need the extra `lab` (anywidget); nothing else in labkit imports them.
"""

from labkit.widgets.anchors import explore_anchors
from labkit.widgets.deltas import explore_deltas
from labkit.widgets.detections import explore_detections
from labkit.widgets.iou import explore_iou
from labkit.widgets.levels import explore_levels
from labkit.widgets.losses import explore_losses
from labkit.widgets.nms import explore_nms
from labkit.widgets.proposals import explore_proposals
from labkit.widgets.roi import explore_roi
from labkit.widgets.rpn_targets import explore_rpn_targets
from labkit.widgets.training import explore_training

__all__ = [
    "explore_anchors",
    "explore_deltas",
    "explore_detections",
    "explore_iou",
    "explore_levels",
    "explore_losses",
    "explore_nms",
    "explore_proposals",
    "explore_roi",
    "explore_rpn_targets",
    "explore_training",
]
