"""Which function compares which file of YOLACT's reference values."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from labkit.parity import (
    yolact_boxes,
    yolact_images,
    yolact_losses,
    yolact_network,
    yolact_training,
)
from labkit.parity.check import Check
from labkit.parity.golden import Golden

_NETWORK = re.compile(r"((?:r50|darknet53)_\d+)_(train|eval_batch|eval_[AB])")

FILES = {
    "unit_priors": yolact_boxes.priors,
    "unit_boxes": yolact_boxes.boxes,
    "unit_match": yolact_boxes.matching,
    "unit_nms": yolact_boxes.nms,
    "unit_losses": yolact_losses.four_losses,
    "unit_masks": yolact_images.masks,
    "unit_resize": yolact_images.resizing,
    "unit_transform": yolact_images.transform,
}


def comparison(
    folder: Path, name: str, networks: dict
) -> Callable[[Golden], Iterator[Check]] | None:
    """The function that compares a file with this name, or None where it is not YOLACT's.

    Args:
        folder: of the reference values.
        name: of the file, without ".npz".
        networks: those that were made so far, by name.
    """
    if name in FILES:
        return FILES[name]
    found = _NETWORK.fullmatch(name)
    if not found:
        return None
    which, what = found.groups()
    images = partial(Golden, folder / "images.npz")
    if what == "train":
        return lambda g: yolact_training.training(folder, which, images(), g)

    def reference() -> yolact_network.ReferenceYolact:
        if which not in networks:
            networks.clear()  # one at a time: each is 130 to 190 MB of weights, and as much again
            networks[which] = yolact_network.ReferenceYolact(folder, which)
        return networks[which]

    if what == "eval_batch":
        return lambda g: yolact_network.batch_of_two(reference(), images(), g)
    return lambda g: yolact_network.detection(reference(), images(), g, what[-1])
