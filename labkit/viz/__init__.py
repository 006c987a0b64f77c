"""Static figures: every function returns a new matplotlib Figure.

pyplot is not used, so figures need no display, and none stays open unnoticed. End a notebook's cell
with `show(fig, alt="…")`, which adds the alternative text.

    show              a figure in a notebook, with its alternative text, or in a file
    instances         one picture with masks, boxes and labels
    labels            where the labels of a crowded picture go
    sheet             ground truth beside detections, for many pictures
    agreement         ground truth against detections in one picture
    dataset           classes, box sizes and samples of a data set
    augmentations     one picture as several epochs see it
    mini_masks        what mini-masks lose
    training_curves   losses, learning rate and validation AP
    learning_curves   AP over the minutes of several trainings
    lr_finder         the learning rate range test
    precision_recall  precision-recall curves
    thresholds        precision, recall and F1 over the score threshold
    confusion         confusion matrices
    error_types       what each type of error costs
    conditions        AP against size, occlusion and crowding
    calibration       reliability diagrams
    colors, style     colours, lines and legends of all of them
"""

from labkit.viz.agreement import draw_agreement, worst_gallery
from labkit.viz.augmentations import augmentations
from labkit.viz.calibration import calibration_figure
from labkit.viz.colors import PREDICTION, TRUTH, instance_color
from labkit.viz.conditions import condition_figure
from labkit.viz.confusion import confusion_figure, overlap_figure
from labkit.viz.dataset import box_sizes, class_bars, contact_sheet, pruning_curve
from labkit.viz.error_types import error_type_figure
from labkit.viz.instances import draw_detections, draw_instances
from labkit.viz.learning_curves import learning_curves
from labkit.viz.lr_finder import rate_figure
from labkit.viz.mini_masks import mini_mask_curves
from labkit.viz.precision_recall import pr_curves
from labkit.viz.sheet import detection_sheet
from labkit.viz.show import Picture, save, show
from labkit.viz.thresholds import f1_bars, raw_pr_figure, threshold_figure
from labkit.viz.training_curves import loss_curves

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
    "learning_curves",
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
