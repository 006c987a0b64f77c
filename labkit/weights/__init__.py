"""Weights of other programs: read without running any code in them, mapped, and written back.

report = labkit.weights.load(model, "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")
print(report)                                   # what was loaded, what was skipped, and why
labkit.weights.export(model, "mine.safetensors")   # torchvision's names and layouts
"""

import os
from collections.abc import Sequence

from labkit.weights import pretrained, torchvision
from labkit.weights.files import read_tensors
from labkit.weights.saving import write_tensors
from labkit.weights.transfer import LoadReport, load_tensors

__all__ = ["LoadReport", "export", "load", "load_tensors", "pretrained", "read_tensors"]


def load(model, path: str | os.PathLike, class_names: Sequence[str] | None = None) -> LoadReport:
    """Load a file of weights into a model.

    Classes of the same name keep their rows in the last layers, and the others start anew. Where
    the names are not known, the rows are loaded if their number is the model's.

    Args:
        model: the detector to change.
        path: torchvision's .pth or .safetensors, Matterport's .h5, or labkit's own .weights.h5.
        class_names: of the file, in its order, without the background; a file does not name them.

    Returns:
        What was loaded, what was skipped and why, and what the file lacks.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: the file cannot be read or belongs to another network. The model has not been
            changed then.
    """
    return load_tensors(model, read_tensors(path), str(path), class_names)


def export(model, path: str | os.PathLike) -> None:
    """Write the model's weights as torchvision's state_dict.

    Args:
        model: a detector with torchvision's architecture.
        path: ends in .safetensors, or in .pth for torch.load.

    Raises:
        LabkitError: torchvision has no counterpart of this model, or the path another ending.
    """
    write_tensors(path, torchvision.export(model))
