"""From a name or a file of weights to a model that has them."""

import os
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.detections import UNUSED
from labkit.weights import matterport
from labkit.weights.files import read_tensors
from labkit.weights.registry import PRETRAINED, Pretrained, find, obtain
from labkit.weights.torchvision import present_name
from labkit.weights.transfer import LoadReport, load_tensors

_CLASS_BIAS = "roi_heads.box_predictor.cls_score.bias"


def from_pretrained(
    source: str | os.PathLike, class_names=None, config: Config | None = None, verbose: bool = True
):
    """A `MaskRCNN` with published or saved weights.

    source: a name of `labkit.weights.registry.PRETRAINED` ("coco-r50-fpn", "imagenet-r50", ...),
        downloaded once; the folder of a training run; or a file: torchvision's .pth or
        .safetensors, Matterport's .h5, or labkit's .weights.h5, which needs a config.
    class_names: of the model to make. Other classes than the weights' start their last layers
        anew, and all else is loaded. By default the classes of the weights.
    config: of the model to make, by default what the weights were made with. Sizes of images,
        thresholds and numbers of detections may differ; another network does not fit.
    verbose: print what was loaded, what was skipped and why. It is kept as `model.load_report`.

    Raises LabkitError where the weights cannot be had or do not fit, saying what to do.
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


def _from_entry(entry: Pretrained, class_names, config: Config | None):
    if entry.preset is None:
        raise LabkitError(f"{entry.name}: labkit has no network for these weights yet.")
    if not (class_names or entry.class_names):
        raise LabkitError(
            f"{entry.name} holds a backbone alone: say which classes the detector is to learn, "
            "class_names=[...]."
        )
    if config is None:
        config = Config.preset(entry.preset)
        if entry.batch_norm_epsilon is not None:
            config = config.replace(batch_norm_epsilon=entry.batch_norm_epsilon)
    # Ids that COCO gave up have outputs all the same. They keep their place, for a class id is
    # COCO's id, and get names of their own, by which `detect` knows to leave them out.
    names = class_names or [
        f"{UNUSED} {i}" if name == UNUSED else name for i, name in enumerate(entry.class_names, 1)
    ]
    return _loaded(config, names, read_tensors(obtain(entry)), entry.name)


def _from_run(folder: Path, class_names, config: Config | None):
    from labkit.training.checkpoints import load_model, read_run, run_of, weights_of

    if class_names is None and config is None:
        model = load_model(folder)
        model.load_report = LoadReport(str(folder), loaded=[v.path for v in model.weights])
        return model
    record, path = read_run(run_of(folder)), weights_of(folder)
    config = config or Config.from_dict(record["config"])
    names = class_names or record["class_names"]
    return _loaded(config, names, read_tensors(path), str(path))


def _from_file(path: Path, class_names, config: Config | None):
    tensors = {present_name(name): value for name, value in read_tensors(path).items()}
    if config is None:
        config = _config_for(tensors, path)
    if class_names is None:
        class_names = _names_for(tensors, path)
    return _loaded(config, class_names, tensors, str(path))


def _config_for(tensors: dict[str, np.ndarray], path: Path) -> Config:
    """torchvision's and Matterport's networks are told by their tensors; others cannot be."""
    if matterport.recognises(tensors):
        return Config.preset("matterport", backbone_blocks=matterport.blocks(tensors))
    if "roi_heads.box_head.0.0.weight" in tensors:
        return Config.preset("torchvision_v2")
    if "roi_heads.box_head.fc6.weight" in tensors or "layer1.0.conv1.weight" in tensors:
        return Config.preset("torchvision_v1")
    raise LabkitError(
        f"{path} does not say what network it is of: give config=, the one it was saved with, or "
        "the folder of its run."
    )


def _names_for(tensors: dict[str, np.ndarray], path: Path) -> list[str]:
    outputs = matterport.outputs(tensors) or len(tensors.get(_CLASS_BIAS, ()))
    if not outputs:
        raise LabkitError(f"{path} does not say how many classes it knows: give class_names=[...].")
    return [f"class {i}" for i in range(1, outputs)]


def _loaded(config: Config, class_names, tensors, source: str):
    from labkit.models.mask_rcnn import MaskRCNN

    model = MaskRCNN(config, class_names)
    model.load_report = load_tensors(model, tensors, source)
    return model
