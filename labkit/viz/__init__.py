"""Static figures. Every function returns a matplotlib Figure that belongs to nobody else.

No pyplot: figures work without a display, and none stays open behind the user's back. In a
notebook end the cell with `show(fig, alt="…")`, which adds the alternative text.
"""

from labkit.viz.agreement import draw_agreement, worst_gallery
from labkit.viz.augmentations import augmentations
from labkit.viz.calibration import calibration_figure
from labkit.viz.colors import PREDICTION, TRUTH, instance_color
from labkit.viz.conditions import condition_figure
from labkit.viz.curves import loss_curves, pr_curves
from labkit.viz.dataset import box_sizes, class_bars, contact_sheet, pruning_curve
from labkit.viz.error_types import error_type_figure
from labkit.viz.instances import draw_detections, draw_instances
from labkit.viz.matrix import confusion_figure, overlap_figure
from labkit.viz.mini_masks import mini_mask_curves
from labkit.viz.rates import rate_figure
from labkit.viz.sheet import detection_sheet
from labkit.viz.show import Picture, save, show
from labkit.viz.thresholds import f1_bars, raw_pr_figure, threshold_figure

__all__ = [
    "PREDICTION",
    "TRUTH",
    "Picture",
    "augmentations",
    "box_sizes",
    "calibration_figure",
    "class_bars",
    "condition_figure",
    "confusion_figure",
    "contact_sheet",
    "detection_sheet",
    "draw_agreement",
    "draw_detections",
    "draw_instances",
    "error_type_figure",
    "f1_bars",
    "instance_color",
    "loss_curves",
    "mini_mask_curves",
    "overlap_figure",
    "pr_curves",
    "pruning_curve",
    "rate_figure",
    "raw_pr_figure",
    "save",
    "show",
    "threshold_figure",
    "worst_gallery",
]
