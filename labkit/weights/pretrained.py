"""From a name or a file of weights to a model that has them."""

import os
from pathlib import Path

from labkit.errors import LabkitError
from labkit.models.detections import UNUSED
from labkit.models.detector_config import DetectorConfig
from labkit.models.registry import build_detector, detector_of_run, presets
from labkit.weights.files import read_tensors
from labkit.weights.formats import recognised
from labkit.weights.registry import PRETRAINED, Pretrained, find, obtain
from labkit.weights.runs import load_model, read_run, run_of, weights_of
from labkit.weights.transfer import LoadReport, load_tensors


def from_pretrained(
    source: str | os.PathLike,
    class_names=None,
    config: DetectorConfig | None = None,
    verbose: bool = True,
):
    """Make a detector with published or saved weights.

    Args:
        source: a name in `labkit.weights.registry.PRETRAINED` ("coco-r50-fpn", "imagenet-r50",
            ...), which is downloaded once; the folder of a training run; or a file: torchvision's
            .pth or .safetensors, Matterport's .h5, or labkit's .weights.h5, which needs a config.
        class_names: of the new model, by default the classes of the weights. With other classes
            the last layers start anew, and everything else is loaded.
        config: of the new model, by default the one that the weights were made with. Image sizes,
            thresholds and numbers of detections may differ, but not the network.
        verbose: print what was loaded, what was skipped and why. `model.load_report` keeps it.

    Returns:
        The model, with `load_report`.

    Raises:
        LabkitError: the weights cannot be downloaded or read, or do not fit; the message says what
            to do.
    """
    if isinstance(source, str) and not Path(source).exists():
        if source not in PRETRAINED and ("/" in source or os.sep in source):
            raise LabkitError(f"{source}: there is no such file or folder of weights.")
        model = _from_entry(find(source), class_names, config)
    elif Path(source).is_dir():
        model = _from_run(Path(source), class_names, config)
    else:
        model = _from_file(Path(source), class_names, config)
    if verbose:
        print(model.load_report)
    return model


def _from_entry(entry: Pretrained, class_names, config: DetectorConfig | None):
    if entry.preset is None:
        raise LabkitError(f"{entry.name}: labkit has no network for these weights yet.")
    if not (class_names or entry.class_names):
        raise LabkitError(
            f"{entry.name} holds a backbone alone: say which classes the detector is to learn, "
            "class_names=[...]."
        )
    if config is None:
        config = presets()[entry.preset]
        if entry.backbone:
            config = config.replace(backbone=entry.backbone)
        if entry.batch_norm_epsilon is not None:
            config = config.replace(batch_norm_epsilon=entry.batch_norm_epsilon)
    # Category ids that COCO does not use have outputs too. They keep their place, so that a class
    # id is COCO's id, and get names by which `detect` knows to leave them out.
    names = class_names or [
        f"{UNUSED} {i}" if name == UNUSED else name for i, name in enumerate(entry.class_names, 1)
    ]
    return _loaded(config, names, read_tensors(obtain(entry)), entry.name)


def _from_run(folder: Path, class_names, config: DetectorConfig | None):
    if class_names is None and config is None:
        model = load_model(folder)
        model.load_report = LoadReport(str(folder), loaded=[v.path for v in model.weights])
        return model
    record, path = read_run(run_of(folder)), weights_of(folder)
    config = config or detector_of_run(record)[0]
    names = class_names or record["class_names"]
    return _loaded(config, names, read_tensors(path), str(path))


def _from_file(path: Path, class_names, config: DetectorConfig | None):
    tensors = read_tensors(path)
    found = recognised(tensors)
    if config is None and found:
        config = found.config(tensors)
    if config is None:
        raise LabkitError(
            f"{path} does not say what network it is of: give config=, the one it was saved with, "
            "or the folder of its run."
        )
    if class_names is None:
        outputs = found.outputs(tensors) if found else 0
        class_names = [f"class {i}" for i in range(1, outputs)]  # output 0 is the background's
        if not class_names:
            raise LabkitError(
                f"{path} does not say how many classes it knows: give class_names=[...]."
            )
    return _loaded(config, class_names, tensors, str(path))


def _loaded(config: DetectorConfig, class_names, tensors, source: str):
    model = build_detector(config, class_names)
    model.load_report = load_tensors(model, tensors, source)
    return model
