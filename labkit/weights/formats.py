"""Which program's files can be loaded into which detector.

A reader for another program (YOLACT's .pth, Detectron2's .pkl, ...) is a file beside this one that
makes a `Format`, and a line in the table below.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from labkit.weights import labkit_layout, matterport, torchvision
from labkit.weights.pair import Format

ANY = "any detector"

#: By the detector's class. The first format that recognises the names in a file is taken.
FORMATS: dict[str, tuple[Format, ...]] = {
    "MaskRCNN": (torchvision.FORMAT, matterport.FORMAT),
    ANY: (torchvision.BACKBONE_FORMAT, labkit_layout.FORMAT),
}


def formats_of(model) -> tuple[Format, ...]:
    """The formats that can be loaded into a model; a subclass has those of its detector."""
    kinds = [kind.__name__ for kind in type(model).__mro__]
    return tuple(f for kind in (*kinds, ANY) for f in FORMATS.get(kind, ()))


def recognised(
    tensors: Mapping[str, np.ndarray], formats: Iterable[Format] | None = None
) -> Format | None:
    """The first of some formats (by default of all) that the tensors are in, or None."""
    if formats is None:
        formats = (f for of_detector in FORMATS.values() for f in of_detector)
    return next((f for f in formats if f.recognises(tensors)), None)
