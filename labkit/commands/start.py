"""What a run starts from: its preset, and weights, of all of its network or of its backbone."""

from pathlib import Path

from labkit.commands.run_data import remembered
from labkit.commands.sources import preset_for
from labkit.commands.weights import absolute
from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.detector_config import DetectorConfig


def chosen_preset(args) -> str:
    """The preset that --preset names; without it, the one that suits the data."""
    return args.preset or preset_for(args.data)


def say_preset(args) -> None:
    """Print which preset was chosen where nobody chose one, and which others there are."""
    if not args.preset and chosen_preset(args) == "lite0_fpn":
        print(
            "Preset lite0_fpn: a network that has learnt from ImageNet's photographs, which comes "
            "with labkit. Others: --preset tiny (learns from noise, for drawings), --preset "
            "r50_fpn (larger, for a GPU)."
        )


def backbone_start(said: str | None, config: DetectorConfig) -> str:
    """What the backbone starts from: what --backbone-weights says, else ImageNet if it can."""
    return said or ("imagenet" if BACKBONES[config.backbone].imagenet else "none")


def start_backbone(model, said: str | None) -> None:
    """Load ImageNet weights into the backbone, where it starts from them."""
    from labkit.weights.imagenet import load_imagenet

    if backbone_start(said, model.config) == "imagenet":
        load_imagenet(model)


def start_weights(model, weights, backbone: str | None) -> str:
    """Load what a run starts from; returns what there is to say of it.

    Args:
        model: the new detector.
        weights: of `labkit.commands.weights.chosen_weights`; None for the backbone's alone.
        backbone: what --backbone-weights says.
    """
    if weights is not None:
        return str(weights.load(model))
    start_backbone(model, backbone)
    return ""


def start_options(args, config: DetectorConfig, stored: Path | None, weights=None) -> dict:
    """The options that say what a run starts from; a resumed run keeps its own.

    Runs started from Python, and by an older labkit, did not keep them: there "preset" is missing,
    and so is "backbone_weights" once there is a checkpoint.

    Args:
        args: of `labkit train`.
        config: the run's.
        stored: the folder of the run that is resumed; None for a new one.
        weights: that a new run starts from, see `labkit.commands.weights`.

    Returns:
        "preset", and "weights" or "backbone_weights", where they are known.

    Raises:
        LabkitError: an option contradicts the run.
    """
    if stored is None and weights is not None:
        return {"preset": weights.preset, "weights": absolute(args.weights)}
    if stored is None:
        return {
            "preset": chosen_preset(args),
            "backbone_weights": backbone_start(args.backbone_weights, config),
        }
    before = remembered(stored) or {}
    names = ("preset", "weights", "backbone_weights")
    kept = {name: before[name] for name in names if before.get(name)}
    given = {"preset": args.preset, "backbone_weights": args.backbone_weights}
    given["weights"] = args.weights and absolute(args.weights)
    for name, value in kept.items():
        if given[name] not in (None, value):
            raise LabkitError(
                f"--{name.replace('_', '-')} {getattr(args, name)}: {stored} was started with "
                f"{value}; leave it out, or start another run."
            )
    if args.preset and "preset" not in kept:
        raise LabkitError(
            f"--preset {args.preset}: {stored} does not say which preset it was started with, and "
            "a resumed run keeps its config; leave --preset out."
        )
    if args.weights and "weights" not in kept:
        raise LabkitError(
            f"--weights {args.weights}: {stored} was not started from such weights; leave it out, "
            "or start another run."
        )
    if "weights" in kept and args.backbone_weights:
        raise LabkitError(
            f"--backbone-weights {args.backbone_weights}: {stored} was started with the weights "
            f"{kept['weights']}; leave it out."
        )
    if not kept.keys() & {"weights", "backbone_weights"}:
        kept |= forgotten_weights(args, config, stored)
    return kept


def forgotten_weights(args, config: DetectorConfig, stored: Path) -> dict:
    """What the backbone of a run starts from that did not keep it."""
    from labkit.weights.runs import latest_checkpoint

    if latest_checkpoint(stored):
        if args.backbone_weights:
            raise LabkitError(
                f"--backbone-weights {args.backbone_weights}: {stored} goes on with the weights of "
                "its checkpoint; leave it out."
            )
        return {}
    if not args.backbone_weights and BACKBONES[config.backbone].imagenet:
        raise LabkitError(
            f"{stored} has no checkpoint yet and does not say what its backbone started from; add "
            "--backbone-weights imagenet, or --backbone-weights none."
        )
    return {"backbone_weights": args.backbone_weights or "none"}
