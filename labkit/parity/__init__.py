"""Compares labkit's detectors with their originals, and its evaluation with pycocotools.

`compare(folder)` goes through a folder of reference values that torchvision and pycocotools, or
YOLACT's own code, have computed, and yields a `Check` for each quantity. The names of its files say
which. `labkit parity` prints them. This package may know the detectors, their parts and their
losses: they are what it compares.

    check              one quantity: how many values, how far from the reference, how far allowed
    golden             files of reference values, in labkit's conventions
    operators          anchors, boxes, matching, NMS, RoI pooling, mask pasting, losses, resizing
    network            detection, stage by stage, with the same weights
    reference_weights  those weights, drawn anew from the names of the tensors
    training           targets, losses, gradients and a few steps of SGD
    coco               the numbers and arrays of COCO evaluation
    published          detections of published weights against those that were published
    yolact             which of the yolact_ files below compares what
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from labkit.errors import LabkitError, MissingFileError
from labkit.parity import coco, network, operators, training, yolact
from labkit.parity.check import Check
from labkit.parity.golden import Golden
from labkit.parity.published import compare_published

__all__ = ["Check", "Golden", "compare", "compare_published"]


def compare(folder) -> Iterator[tuple[str, Check | str]]:
    """Compares every file of a folder of reference values.

    Args:
        folder: with the .npz files.

    Yields:
        (file, Check) for every quantity; (file, reason) for a file that cannot be compared. A file
        that fails half-way yields its checks up to there and then the reason: that is a failure.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: it holds no .npz file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: there is no such folder of reference values.")
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise LabkitError(f"{folder} holds no .npz file: give a folder of reference values.")
    networks = {}
    for path in files:
        if path.stem == "images":  # the input of the networks, not a result
            continue
        compared = _comparison(folder, path.stem, networks)
        if compared is None:
            yield path.name, "nothing here knows what this file holds"
            continue
        try:
            for check in compared(Golden(path)):
                yield path.name, check
        except (LabkitError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            yield path.name, f"{type(error).__name__}: {error}"


def _comparison(folder: Path, name: str, networks) -> Callable[[Golden], Iterator[Check]] | None:
    """The function that compares a file with this name, or None."""
    if name in operators.FILES:
        return operators.FILES[name]
    if name.startswith("coco_"):
        return partial(coco.evaluation, folder, name)
    kind, _, rest = name.partition("maskrcnn_")
    if kind or not rest:
        return yolact.comparison(folder, name, networks)
    version, _, what = rest.partition("_")

    def reference() -> network.ReferenceNetwork:
        if version not in networks:
            networks.clear()  # one at a time: each is 180 MB of weights, and as much again
            networks[version] = network.ReferenceNetwork(folder, version)
        return networks[version]

    images = partial(Golden, folder / "images.npz")
    if what == "train":
        return lambda g: training.training(folder, version, images(), g)
    if what == "eval_batch":
        return lambda g: network.batch_of_two(reference(), images(), g)
    if what.startswith("eval_"):
        return lambda g: network.detection(reference(), images(), g, what.removeprefix("eval_"))
    return None
