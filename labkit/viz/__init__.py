"""Static figures. Every function returns a matplotlib Figure that belongs to nobody else.

No pyplot: figures work without a display, and none stays open behind the user's back. In a
notebook end the cell with `show(fig, alt="…")`, which adds the alternative text.
"""

from labkit.viz.augmentations import augmentations
from labkit.viz.colors import PREDICTION, TRUTH, instance_color
from labkit.viz.curves import loss_curves, pr_curves
from labkit.viz.dataset import box_sizes, class_bars, contact_sheet, pruning_curve
from labkit.viz.instances import draw_detections, draw_instances
from labkit.viz.matrix import confusion_figure
from labkit.viz.mini_masks import mini_mask_curves
from labkit.viz.sheet import detection_sheet
from labkit.viz.show import Picture, save, show

__all__ = [
    "PREDICTION",
    "TRUTH",
    "Picture",
    "augmentations",
    "box_sizes",
    "class_bars",
    "confusion_figure",
    "contact_sheet",
    "detection_sheet",
    "draw_detections",
    "draw_instances",
    "instance_color",
    "loss_curves",
    "mini_mask_curves",
    "pr_curves",
    "pruning_curve",
    "save",
    "show",
]
