"""Which program's files can be loaded into which detector.

A reader for another program (YOLACT's .pth, Detectron2's .pkl, ...) is a file beside this one that
makes a `Format`, and a line in the table below.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from labkit.models.registry import name_of
from labkit.weights import (
    darknet,
    detectron2,
    efficientnet_lite,
    labkit_layout,
    matterport,
    torchvision,
    yolact,
)
from labkit.weights.pair import Format

ANY = "any detector"

#: By the detector's name. The first format that recognises the names in a file is taken.
FORMATS: dict[str, tuple[Format, ...]] = {
    "mask_rcnn": (torchvision.FORMAT, matterport.FORMAT, detectron2.FORMAT),
    "yolact": (yolact.FORMAT,),
    ANY: (
        torchvision.BACKBONE_FORMAT,
        efficientnet_lite.FORMAT,
        darknet.FORMAT,
        labkit_layout.FORMAT,
    ),
}


def formats_of(model) -> tuple[Format, ...]:
    """The formats that can be loaded into a model."""
    return FORMATS.get(name_of(model.config), ()) + FORMATS[ANY]


def recognised(
    tensors: Mapping[str, np.ndarray], formats: Iterable[Format] | None = None
) -> Format | None:
    """The first of some formats (by default of all) that the tensors are in, or None."""
    if formats is None:
        formats = (f for of_detector in FORMATS.values() for f in of_detector)
    return next((f for f in formats if f.recognises(tensors)), None)
