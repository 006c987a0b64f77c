"""From a name, a run or a file of weights to a model that has them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError
from labkit.models.class_names import UNUSED
from labkit.models.detector_config import DetectorConfig
from labkit.models.registry import build_detector, detector_of_run, presets
from labkit.weights.files import read_tensors
from labkit.weights.formats import recognised
from labkit.weights.registry import PRETRAINED, Pretrained, find, obtain
from labkit.weights.runs import load_model, read_run, run_of, weights_of
from labkit.weights.transfer import LoadReport, load_tensors


def from_pretrained(
    source: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    config: DetectorConfig | None = None,
    verbose: bool = True,
):
    """Make a detector with published or saved weights.

    Args:
        source: a name in `labkit.weights.registry.PRETRAINED` ("coco-r50-fpn", "imagenet-r50",
            ...), which is downloaded once; the folder of a training run; or a file: torchvision's
            .pth or .safetensors, Matterport's .h5, or labkit's .weights.h5, which needs a config
            where it no longer lies in its run.
        class_names: of the new model, by default the classes of the weights. Those that the weights
            have by the same name keep what the weights know of them, in whatever order; of the
            others the rows of the last layers start anew. Everything else is loaded.
        config: of the new model, by default the one that the weights were made with. Image sizes,
            thresholds and numbers of detections may differ, but not the network.
        verbose: print what was loaded, what was skipped and why. `model.load_report` keeps it.

    Returns:
        The model, with `load_report`.

    Raises:
        LabkitError: the weights cannot be downloaded or read, or do not fit; the message says what
            to do.
    """
    if Path(source).is_dir() and class_names is None and config is None:
        model = load_model(source)
        model.load_report = LoadReport(str(source), loaded=[v.path for v in model.weights])
    else:
        model = find_weights(source).model(class_names, config)
    if verbose:
        print(model.load_report)
    return model


@dataclass(frozen=True)
class Weights:
    """Weights that a model can start from, and what is known of them before they are read.

    Attributes:
        name: what messages call them.
        tensors: gives their arrays by name; published weights are downloaded by that.
        config: of the network that they were made with; None if they do not tell.
        class_names: theirs, in order; None where they are not named, or of a backbone alone.
        count: how many classes they know; 0 for a backbone alone, or if they do not tell.
        preset: the preset whose network they are of; None if it is not known.
    """

    name: str
    tensors: Callable[[], dict[str, np.ndarray]]
    config: DetectorConfig | None
    class_names: tuple[str, ...] | None = None
    count: int = 0
    preset: str | None = None

    def default_names(self) -> tuple[str, ...]:
        """The classes of a model that is made for these weights: theirs, or "class 1" and so on.

        Raises LabkitError where nothing says how many there are.
        """
        names = self.class_names or tuple(f"class {i}" for i in range(1, 1 + self.count))
        if not names:
            raise LabkitError(
                f"{self.name} does not say how many classes it knows (a backbone alone knows "
                "none): say which classes the detector is to learn, class_names=[...]."
            )
        return names

    def config_for(self, class_names: Sequence[str]) -> DetectorConfig:
        """The config of a model of these classes: weights of other classes in the loss are dropped.

        Raises LabkitError where the weights do not tell their config.
        """
        if self.config is None:
            raise LabkitError(
                f"{self.name} does not say what network it is of: give config=, the one it was "
                "saved with, or the folder of its run."
            )
        if self.class_names and tuple(class_names) != self.class_names:
            return self.config.replace(class_weights=())
        return self.config

    def model(self, class_names: Sequence[str] | None = None, config: DetectorConfig | None = None):
        """A detector with these weights, and its `load_report`; see `from_pretrained`."""
        config = config or self.config_for(class_names or self.class_names or ())
        model = build_detector(config, class_names or self.default_names())
        model.load_report = self.load(model)
        return model

    def load(self, model) -> LoadReport:
        """Load them into a model; see `labkit.weights.transfer.load_tensors`."""
        return load_tensors(model, self.tensors(), self.name, self.class_names)


def find_weights(source: str | os.PathLike) -> Weights:
    """The weights that a source names; see `from_pretrained`.

    Raises:
        LabkitError: there are none of that name, or the file cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        return _of_run(run_of(path), weights_of(path))
    if path.exists():
        run = run_of(path.parent)
        own = path.name.endswith(".weights.h5") and (run / "run.json").exists()
        return _of_run(run, path) if own else _of_file(path)
    nowhere = f"{source}: there is no such file or folder"
    if source not in PRETRAINED and (not isinstance(source, str) or len(path.parts) > 1):
        raise LabkitError(f"{nowhere} of weights.")
    try:
        return _published(find(source))
    except LabkitError as error:
        raise LabkitError(f"{nowhere}, and {error}") from None


def _published(entry: Pretrained) -> Weights:
    if entry.preset is None:
        raise LabkitError(f"{entry.name}: labkit has no network for these weights yet.")
    config = presets()[entry.preset]
    if entry.backbone:
        config = config.replace(backbone=entry.backbone)
    if entry.batch_norm_epsilon is not None:
        config = config.replace(batch_norm_epsilon=entry.batch_norm_epsilon)
    # Category ids that COCO does not use have outputs too. They keep their place, so that a class
    # id is COCO's id, and get names by which `detect` knows to leave them out.
    names = tuple(
        f"{UNUSED} {i}" if name == UNUSED else name for i, name in enumerate(entry.class_names, 1)
    )
    return Weights(
        entry.name,
        lambda: read_tensors(obtain(entry)),
        config,
        names or None,
        len(names),
        entry.preset,
    )


def _of_run(folder: Path, path: Path) -> Weights:
    """The file `path` of a run: run.json says what network it is of."""
    record = read_run(folder)
    names = tuple(record["class_names"])
    config = detector_of_run(record)[0]
    return Weights(str(path), lambda: read_tensors(path), config, names, len(names))


def _of_file(path: Path) -> Weights:
    tensors = read_tensors(path)
    found = recognised(tensors)
    config = found.config(tensors) if found else None
    preset = next((name for name, c in presets().items() if c == config), None)
    count = max(0, found.outputs(tensors) - 1) if found else 0  # output 0 is the background's
    return Weights(str(path), lambda: tensors, config, None, count, preset)
