"""Weights of other programs: read without running any code in them, mapped, and written back.

report = labkit.weights.load(model, "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth")
print(report)                                   # what was loaded, what was skipped, and why
labkit.weights.export(model, "mine.safetensors")   # its original's names and layouts
"""

import os
from collections.abc import Sequence

from labkit.errors import LabkitError
from labkit.weights import pretrained
from labkit.weights.files import read_tensors
from labkit.weights.formats import formats_of
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
    """Write the model's weights as the state_dict of its original: torchvision's, or YOLACT's.

    Args:
        model: a Mask R-CNN with torchvision's architecture, or a YOLACT with its authors'.
        path: ends in .safetensors, or in .pth for torch.load.

    Raises:
        LabkitError: there is no counterpart of this model, or the path has another ending.
    """
    writable = [f for f in formats_of(model) if f.export is not None]
    if not writable:
        raise LabkitError(f"no other program has a counterpart of a {type(model).__name__}.")
    write_tensors(path, writable[0].export(model))
