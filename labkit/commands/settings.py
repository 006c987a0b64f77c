"""From the options of `labkit train` and `labkit find-lr` to a Config and TrainSettings.

A new run begins with its preset, or with the config of the weights that it starts from and their
preset's settings; a resumed one with what it stored. Then

1. a new run is fitted to its data: image size, anchors, room for objects, augmentation;
2. --recipe or --stage bring stages;
3. the options have the last word.

Fitting and recipes depend on the options, too (image size, batch size, learning rate), so the
options are read once and applied before each of the two as well.
"""

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path

from labkit.commands.sources import is_drawn, suits_photographs
from labkit.commands.start import backbone_start, chosen_preset, say_preset
from labkit.errors import LabkitError
from labkit.models.detector_config import DetectorConfig
from labkit.models.registry import detector_of_run, presets

NATIVE_CROP = 256  # pixels


def chosen_settings(args, dataset, stored: Path | None, weights=None):
    """The config and TrainSettings of a run.

    Args:
        args: the parsed options.
        dataset: the training data.
        stored: the folder of the run that is resumed; None for a new one.
        weights: that a new run starts from, see `labkit.commands.weights`: they bring the config.
    """
    from labkit.training import TrainSettings
    from labkit.weights.runs import read_run

    if stored:
        record = read_run(stored)
        config, _ = detector_of_run(record)
        settings = TrainSettings.from_dict(record["settings"])
        changes = changes_from_options(args, config, settings)
    else:
        config, settings = beginning(args, dataset, weights)
        changes = changes_from_options(args, config, settings)
        config, settings = changes.apply(config, settings)
        if weights is None and backbone_start(args.backbone_weights, config) == "none":
            config = config.from_noise()
        trained = weights is not None and weights.count > 0  # a detector, not a backbone alone
        config, settings = fitted_to_data(
            config, settings, dataset, args.data, changes, keep_anchors=trained
        )
    config, settings = changes.apply(config, settings)
    if args.recipe:  # it divides steps
        settings = settings.replace(steps=settings.steps_for(len(dataset)))
    settings = with_stages(settings, args, steps=changes.settings.get("steps"))
    return changes.apply(config, settings)


def beginning(args, dataset, weights):
    """What a new run begins with: config and TrainSettings; arguments as in `chosen_settings`."""
    from labkit.training import TrainSettings

    if weights is not None:
        return weights.config_for(dataset.class_names), TrainSettings.preset(weights.preset)
    preset = chosen_preset(args)
    say_preset(args)
    return presets()[preset], TrainSettings.preset(preset)


@dataclass
class Changes:
    """What the options change, as values by the name of the field.

    Attributes:
        config: fields of Config.
        settings: fields of TrainSettings.
        augment: fields of TrainSettings.augment.
    """

    config: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    augment: dict = field(default_factory=dict)

    def apply(self, config: DetectorConfig, settings):
        """Both with the changes."""
        augment = dataclasses.replace(settings.augment, **self.augment)
        changes = {"augment": augment} | self.settings
        return config.replace(**self.config), settings.replace(**changes)


def changes_from_options(args, config: DetectorConfig, settings) -> Changes:
    """Reads the options; --set goes before the other options.

    Args:
        args: the parsed options.
        config: the Config that will be changed: it says which fields there are and what they hold.
        settings: the TrainSettings that will be changed, likewise.

    Raises:
        LabkitError: a --set names no field, or has a value of the wrong kind.
    """
    changes = Changes()
    if args.seed is not None:
        changes.config["seed"] = args.seed
    for name in ("steps", "batch_size", "learning_rate"):
        if getattr(args, name) is not None:
            changes.settings[name] = getattr(args, name)
    if args.deterministic:
        changes.settings["deterministic"] = True
    if args.image_size == "native":
        changes.config["resize"] = "none"
        changes.settings["canvas"] = (NATIVE_CROP, NATIVE_CROP)
    elif args.image_size:
        longest = config.image_max_side * args.image_size // config.image_min_side
        if config.resize == "square":  # the side of the square, which is the network's whole input
            longest = -(-longest // config.pad_multiple) * config.pad_multiple
        changes.config |= {"image_min_side": args.image_size, "image_max_side": longest}
        if is_drawn(args.data):  # square pictures; for others the data decide
            changes.settings["canvas"] = (-(-args.image_size // 32) * 32,) * 2
    if args.crop:
        changes.settings["canvas"] = (args.crop, args.crop)
    for assignment in args.set:
        read_assignment(assignment, config, settings, changes)
    if "learning_rate" in changes.settings:  # the rate for this batch: it is not to be scaled
        changes.settings.setdefault("rate_for_batch", 0)
    return changes


def read_assignment(assignment: str, config: DetectorConfig, settings, changes: Changes) -> None:
    """Puts one KEY=VALUE of --set into `changes`. Raises LabkitError where it cannot be read."""
    key, equals, text = assignment.partition("=")
    name = key.removeprefix("augment.")
    if not equals:
        raise LabkitError(f"--set {key}: write it like --set {key}=VALUE.")
    if key.startswith("loss_weights."):
        loss = key.removeprefix("loss_weights.")
        earlier = {n: value for n, value in changes.config.items() if n == "loss_weights"}
        weights = config.replace(**earlier).loss_weights  # by name, also where a list was given
        changes.config["loss_weights"] = weights | {loss: parse_value(key, text, 0.0)}
        return
    if name != key:
        owner, found = settings.augment, changes.augment
        if name not in field_names(owner):
            names = ", ".join(field_names(owner))
            raise LabkitError(f"--set {key}: there is no such field; there are: {names}.")
    elif name in field_names(config):
        owner, found = config, changes.config
    elif name in field_names(settings):
        owner, found = settings, changes.settings
    else:
        known = field_names(config) + field_names(settings)
        near = difflib.get_close_matches(name, known, n=1)
        hint = "see labkit.Config and labkit.TrainSettings."
        if near:
            hint = f"did you mean '{near[0]}'?"
        raise LabkitError(f"--set {key}: neither Config nor TrainSettings has such a field; {hint}")
    found[name] = parse_value(key, text, getattr(owner, name))


def field_names(owner) -> list[str]:
    return [f.name for f in dataclasses.fields(owner)]


def parse_value(key: str, text: str, present):
    """The value that a --set writes.

    Args:
        key: of the --set, for the error.
        text: what stands behind its equals sign.
        present: the field's value so far, whose type the new one must have.

    Raises:
        LabkitError: a number or true/false is needed, and the text is something else.
    """
    if isinstance(present, tuple | dict):  # loss_weights is a dict, and takes a list in its order
        items = [item for item in text.strip("[]()").split(",") if item.strip()]
        return tuple(parse_value(key, item, 0.0) for item in items)
    if isinstance(present, str):
        return text
    if isinstance(present, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise LabkitError(f"--set {key}: write true or false, not '{text}'.")
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    raise LabkitError(f"--set {key}: '{text}' is not a number.")


def fitted_to_data(
    config: DetectorConfig,
    settings,
    dataset,
    data: str | None,
    changes: Changes,
    keep_anchors: bool = False,
):
    """Config and settings of a new run with what its data suggest; says what was changed.

    Args:
        config: the preset's, with the options applied.
        settings: likewise.
        dataset: the training data.
        data: what --data says.
        changes: those of the options. An image size that they set is kept.
        keep_anchors: see `fit_to_data`.
    """
    from labkit.training import fit_to_data

    # The preset suits shapes and digits: only the number of objects and the views differ.
    if is_drawn(data) and not suits_photographs(data):
        config = config.replace(max_instances=dataset.max_instances)
        # A mirrored 2 is not a 2; a shape looks as well from any side.
        symmetric = data == "shapes"
        augment = dataclasses.replace(settings.augment, mirror=symmetric, quarter_turns=symmetric)
        return config, settings.replace(augment=augment)
    keep_size = any(n in changes.config for n in ("resize", "image_min_side", "image_max_side"))
    config, settings, notes = fit_to_data(
        config, settings, dataset, keep_size=keep_size, keep_anchors=keep_anchors
    )
    for note in notes:
        print(note)
    return config, settings


def with_stages(settings, args, steps: int | None):
    """Settings with the stages that --recipe or --stage name.

    Args:
        settings: a resumed run's have the stages that it was started with.
        args: the parsed options.
        steps: the length of the run, where an option says it.
    """
    from labkit.training import recipe
    from labkit.training.stages import parse_stage

    if args.recipe and args.stage:
        raise LabkitError("--recipe and --stage: give one of them; a recipe is a list of stages.")
    if args.recipe:
        return recipe(args.recipe, settings, steps)
    if args.stage:
        settings = settings.replace(stages=tuple(map(parse_stage, args.stage)))
    if settings.stages and steps:
        raise LabkitError("--steps: the stages say how many; leave it out.")
    return settings


def with_validation(settings, args, stored: Path | None):
    """Settings that measure AP on the way, unless somebody has chosen how often.

    Args:
        settings: with the number of steps that the run will have.
        args: the parsed options.
        stored: the folder of the run that is resumed; None for a new one.
    """
    from labkit.weights.runs import read_run

    chosen = any(assignment.partition("=")[0] == "validate_every" for assignment in args.set)
    # A stored run that has validation pictures and still says 0 was told to.
    if settings.validate_every or chosen or (stored and read_run(stored).get("validation")):
        return settings
    # three times on the way; the fourth is at the end
    return settings.replace(validate_every=settings.steps // 4 + 1)
