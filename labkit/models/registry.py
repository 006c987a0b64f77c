"""The detectors that labkit has, by name. A new one is a line in DETECTORS.

The entries name classes instead of importing them: settings are needed where TensorFlow is not (in
`labkit --help`, say), and TensorFlow takes seconds to import.
"""

import importlib
from dataclasses import dataclass

from labkit.errors import LabkitError
from labkit.models.detector_config import DetectorConfig

DEFAULT = "mask_rcnn"  # of runs that were written when there was no other detector


@dataclass(frozen=True)
class Entry:
    """Where a detector's two classes are: "module:Class" of its config and of its model."""

    config: str
    model: str

    @property
    def config_class(self) -> type[DetectorConfig]:
        """The class of its settings; importing it does not import TensorFlow."""
        return _load(self.config)

    @property
    def model_class(self):
        """The `Detector` itself."""
        return _load(self.model)


DETECTORS = {
    "mask_rcnn": Entry("labkit.models.config:Config", "labkit.models.mask_rcnn:MaskRCNN"),
    "yolact": Entry("labkit.models.yolact_config:YolactConfig", "labkit.models.yolact:YOLACT"),
}


def presets() -> dict[str, DetectorConfig]:
    """Every detector's presets, by name."""
    found = {}
    for entry in DETECTORS.values():
        found |= entry.config_class.presets()
    return found


def loss_names() -> tuple[str, ...]:
    """The names of every detector's losses, each once."""
    names = (name for entry in DETECTORS.values() for name in entry.config_class.LOSSES)
    return tuple(dict.fromkeys(names))


def name_of(config: DetectorConfig) -> str:
    """The name of the detector that a config belongs to; LabkitError if none is registered."""
    for name, entry in DETECTORS.items():
        if entry.config_class is type(config):
            return name
    raise LabkitError(
        f"{type(config).__name__} belongs to no detector in labkit.models.registry.DETECTORS: add "
        "a line there."
    )


def build_detector(config: DetectorConfig, class_names):
    """A new `Detector` of the kind that `config` describes."""
    return DETECTORS[name_of(config)].model_class(config, class_names)


def detector_of_run(record: dict):
    """(config, class) of the detector that run.json describes.

    Raises LabkitError for a detector that this labkit does not have.
    """
    name = record.get("detector", DEFAULT)
    if name not in DETECTORS:
        raise LabkitError(
            f"run.json: there is no detector '{name}'; there are: {', '.join(DETECTORS)}."
        )
    entry = DETECTORS[name]
    return entry.config_class.from_dict(record["config"]), entry.model_class


def _load(place: str):
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
