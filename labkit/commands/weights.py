"""What --weights names: a run, one of its checkpoints, a file, or published weights.

A training starts from it (`chosen_weights`), other commands measure it or detect with it
(`model_of`).
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labkit.commands.run_data import remembered
from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.detector_config import DetectorConfig
from labkit.models.registry import name_of, presets

SOURCES = (
    "a run's folder or a checkpoint, a file (.pth, .safetensors, .h5), or the name of published "
    "weights, e.g. coco-r50-fpn (see `labkit info --pretrained`)"
)


# --- to train from ------------------------------------------------------------------------


def chosen_weights(args, stored: Path | None):
    """The `labkit.weights.pretrained.Weights` that a training starts from, with their preset.

    Args:
        args: of `labkit train` or `labkit find-lr`.
        stored: the folder of the run that is resumed; None for a new one.

    Returns:
        None where it starts from none, or goes on from a checkpoint, which has them.

    Raises:
        LabkitError: there are no such weights, or other options contradict them.
    """
    from labkit.weights.pretrained import find_weights
    from labkit.weights.runs import latest_checkpoint

    if args.weights and args.backbone_weights:
        raise LabkitError(
            f"--backbone-weights {args.backbone_weights}: --weights {args.weights} has those of "
            "the backbone, too; leave one of them out."
        )
    source, preset = args.weights, args.preset
    if stored is not None:
        before = {} if latest_checkpoint(stored) else remembered(stored) or {}
        source, preset = before.get("weights"), before.get("preset")
    return with_preset(find_weights(source), source, preset) if source else None


def with_preset(weights, source: str, chosen: str | None):
    """The weights with the preset that they belong to, whose settings train them further.

    Args:
        weights: `Weights`, which may know it.
        source: what --weights says; a run remembers its preset.
        chosen: what --preset says. It counts where a file does not tell what network it is of.

    Raises:
        LabkitError: it contradicts the weights, or is needed.
    """
    config = weights.config
    if config is None and chosen is None:
        raise LabkitError(
            f"--weights {source}: the file does not say what network it is of; give the folder of "
            "its run, or add --preset."
        )
    if config is None:
        return replace(weights, preset=chosen, config=presets()[chosen])
    preset = weights.preset or preset_of_run(source) or nearest_preset(config)
    if chosen not in (None, preset):
        raise LabkitError(
            f"--preset {chosen}: the weights {source} are of the preset {preset}, another network; "
            "leave --preset out."
        )
    if config.resize == "none":  # that suited the data of the run; `fit_to_data` decides anew
        config = config.replace(resize=presets()[preset].resize)
    return replace(weights, preset=preset, config=config)


def preset_of_run(source: str) -> str | None:
    """The preset that `labkit train` started a run with, where the source is a run that knows."""
    from labkit.weights.runs import run_of

    preset = (remembered(run_of(source)) or {}).get("preset")
    return preset if preset in presets() else None


def nearest_preset(config: DetectorConfig) -> str:
    """The first preset of the same detector that has the same backbone.

    Where none has it, it is the first whose backbone begins with ImageNet's weights, if this one
    does, or the first that does not.
    """
    pretrained = bool(BACKBONES[config.backbone].imagenet)
    own = {name: c for name, c in presets().items() if name_of(c) == name_of(config)}
    alike = [name for name, c in own.items() if c.backbone == config.backbone]
    kin = [name for name, c in own.items() if bool(BACKBONES[c.backbone].imagenet) == pretrained]
    return [*alike, *kin, *own][0]


def absolute(source: str) -> str:
    """What --weights says, such that it means the same in another folder."""
    return os.path.abspath(source) if os.path.exists(source) else source


# --- to detect with -----------------------------------------------------------------------


def model_of(source: str, class_names: Sequence[str] = ()):
    """The model of a run, of published weights or of a file, ready to detect.

    Args:
        source: what --weights says.
        class_names: of the data that it will meet: the classes of a file that does not name its
            own, and knows as many.
    """
    from labkit.weights.pretrained import find_weights, from_pretrained

    if Path(source).is_dir():
        return from_pretrained(source, verbose=False)
    weights = find_weights(source)
    own = weights.class_names is None and weights.count == len(class_names)
    return weights.model(class_names if own else None)
