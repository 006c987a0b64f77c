"""Everything that can be compared with reference values, compared.

`compare(folder)` goes through a folder of values computed by torchvision and pycocotools and yields
a `Check` for each quantity. `labkit parity` prints them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from labkit.errors import LabkitError, MissingFileError
from labkit.parity import coco, network, operators, training
from labkit.parity.check import Check
from labkit.parity.golden import Golden

__all__ = ["Check", "Golden", "compare"]


def compare(folder) -> Iterator[tuple[str, Check | str]]:
    """(file, Check) for every quantity of every file; (file, why not) for what cannot be compared.

    A file that breaks half-way gives the checks it came to and then the reason: the caller counts
    that as a failure. Raises MissingFileError or LabkitError where there is nothing to compare.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: there is no such folder of reference values.")
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise LabkitError(f"{folder} holds no .npz file: give a folder of reference values.")
    networks: dict[str, network.ReferenceNetwork] = {}
    for path in files:
        if path.stem == "images":  # what goes into the networks, not what comes out
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
    """What compares a file of that name."""
    if name in operators.FILES:
        return operators.FILES[name]
    if name.startswith("coco_"):
        return partial(coco.evaluation, folder, name)
    kind, _, rest = name.partition("maskrcnn_")
    if kind or not rest:
        return None
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
