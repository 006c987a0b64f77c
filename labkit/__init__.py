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

_WHERE = {
    "anchors": ("cell_anchors", "grid_anchors", "pyramid_anchors"),
    "boxes": ("clip", "decode", "encode", "iou"),
    "config": ("Config",),
    "data": ("CocoDataset", "Dataset", "Sample", "digits", "load_dataset", "shapes"),
    "detections": ("Detections",),
    "errors": ("LabkitError",),
    "evaluation": ("Evaluation", "compare", "confusion_matrix", "evaluate", "evaluate_results"),
    "evaluation_page": ("write_evaluation_page",),
    "losses": ("LOSS_NAMES", "smooth_l1"),
    "matching": ("match", "sample"),
    "model": ("MaskRCNN",),
    "nms": ("batched_nms",),
    "roi": ("pyramid_roi_align", "roi_align", "roi_crop_and_resize", "roi_level", "roi_pool"),
    "training": ("History", "Stage", "TrainSettings", "diagnose", "fit_to_data", "load_model",
                 "read_film", "recipe", "train"),
    "training.lr_finder": ("find_learning_rate",),
    "training.search": ("search",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
_MODULES = (
    *("backbones", "datasets", "fpn", "heads", "images"),
    *("inference", "masks", "rpn", "viz", "weights"),
)

__all__ = sorted(_MODULE_OF)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f"labkit.{_MODULE_OF[name]}"), name)
    elif name in _WHERE or name in _MODULES:
        return importlib.import_module(f"labkit.{name}")
    else:
        raise AttributeError(f"module 'labkit' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_MODULE_OF])
