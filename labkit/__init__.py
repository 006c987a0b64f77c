"""Mask R-CNN for TensorFlow 2 and Keras 3: a tested package and the course that explains it.

    import labkit

    data = labkit.shapes(1000)
    model = labkit.MaskRCNN(labkit.Config.preset("tiny"), data.class_names)
    labkit.train(model, data, "runs/mine")
    model.detect("photo.jpg")

The names below are found in the modules they are listed under, and imported when first used:
TensorFlow takes seconds to import, and `labkit --help` should not.
"""

import importlib

# Where each public name is defined. The order is the package's own, from bottom to top.
_WHERE = {
    "errors": ("LabkitError",),
    "ops.boxes": ("clip", "decode", "encode", "iou"),
    "ops.anchors": ("cell_anchors", "grid_anchors", "pyramid_anchors"),
    "ops.matching": ("match", "sample"),
    "ops.nms": ("batched_nms",),
    "ops.roi": ("roi_align", "roi_crop_and_resize", "roi_pool"),
    "ops.roi_pyramid": ("pyramid_roi_align", "roi_level"),
    "ops.losses": ("LOSS_NAMES", "smooth_l1"),
    "models.config": ("Config",),
    "models.yolact_config": ("YolactConfig",),
    "models.detections": ("Detections",),
    "models.mask_rcnn": ("MaskRCNN",),
    "models.yolact": ("YOLACT",),
    "data": ("CocoDataset", "Dataset", "Sample", "collage", "digits", "load_dataset", "shapes"),
    "evaluation": ("Evaluation", "compare", "confusion_matrix", "evaluate", "evaluate_results"),
    "training": (
        *("History", "Stage", "TrainSettings", "diagnose", "fit_to_data"),
        *("read_film", "recipe", "train"),
    ),
    "training.lr_finder": ("find_learning_rate",),
    "training.search": ("search",),
    "weights.runs": ("load_model",),
    "reports.evaluation": ("write_evaluation_page",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
_FOLDERS = ("commands", "course", "data", "evaluation", "io", "models", "ops", "parity", "reports")
_FOLDERS += ("training", "viz", "weights", "widgets")
_FILES = ("errors", "frozen", "quiet")

__all__ = sorted(_MODULE_OF)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name in _MODULE_OF:
        value = getattr(_imported(_MODULE_OF[name]), name)
    elif name in _FOLDERS or name in _FILES:
        return _imported(name)
    else:
        raise AttributeError(f"module 'labkit' has no attribute '{name}'")
    globals()[name] = value
    return value


def _imported(name: str):
    try:
        return importlib.import_module(f"labkit.{name}")
    except ImportError:  # Keras, asked for a back end that is not installed
        from labkit.quiet import refuse_other_backends

        refuse_other_backends()
        raise


def __dir__():
    return sorted({*globals(), *_MODULE_OF, *_FOLDERS, *_FILES} - {"importlib"})
