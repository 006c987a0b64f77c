"""`labkit train`: options become data, a Config and TrainSettings; `labkit.training` trains."""

import contextlib
import dataclasses
import difflib
import os
import time
from pathlib import Path

from labkit.commands.run_data import remember, remembered
from labkit.commands.sources import chosen_data, is_drawn, pair, validation_data
from labkit.data.catalogue import GENERATED_SIZE
from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.config import PRESETS, Config
from labkit.quiet import import_tensorflow

DEFAULT_PRESET = "tiny"
NATIVE_CROP = 256  # pixels


def run(args) -> int:
    run_dir = Path(args.run)
    going_on = args.resume and (run_dir / "run.json").exists()
    if args.resume and not going_on and not (args.data or args.annotations):
        raise LabkitError(
            f"--resume: {run_dir} holds no run to go on with; check --run, or say on which data to "
            "start one."
        )
    choice = data_options(args, run_dir, going_on)
    dataset, validation = training_data(choice)
    import_tensorflow()
    import keras

    from labkit import training
    from labkit.models.mask_rcnn import MaskRCNN
    from labkit.training.distribution import Team, make_strategy
    from labkit.weights.runs import latest_checkpoint

    scope = contextlib.nullcontext()
    if args.distribute:  # before anything is computed: workers find one another first
        scope = make_strategy(args.distribute).scope()
    stored = run_dir if going_on else None
    config, settings = chosen_settings(args, dataset, stored)
    choice |= start_options(args, config, stored)
    settings = settings.planned(len(dataset))
    if validation is not None:
        settings = with_looks(settings, args, stored)
    with scope:
        model = MaskRCNN(config, dataset.class_names)
        if not (going_on and latest_checkpoint(run_dir)):  # which brings weights of its own
            start_backbone(model, choice["backbone_weights"])
    chief = Team(model).chief
    if chief:
        print(f"{dataset!r}")
        print(
            f"{model.count_params():,} parameters, {settings.steps} steps of {settings.batch_size}"
        )

    def remember_data(logs=None):  # not sooner: a refused run must leave a folder as it was
        if chief:
            remember(run_dir, choice)

    begin = time.monotonic()
    history = training.train(
        model,
        dataset,
        run_dir,
        settings,
        validation=validation,
        resume=args.resume,
        log=args.log,
        callbacks=[keras.callbacks.LambdaCallback(on_train_begin=remember_data)],
        cache=choice.get("cache"),
    )
    if chief:
        report_run(model, history, validation, run_dir, time.monotonic() - begin)
    return 0


def start_backbone(model, weights: str | None) -> None:
    """ImageNet weights into a backbone that has them, unless `weights` is "none"."""
    backbone = BACKBONES[model.config.backbone]
    if backbone.imagenet:
        if weights != "none":
            backbone.load_imagenet(model.backbone)
    elif weights == "imagenet":
        presets = [name for name, c in PRESETS.items() if BACKBONES[c.backbone].imagenet]
        raise LabkitError(
            f"--backbone-weights imagenet: the backbone {model.config.backbone} has no such "
            f"weights; these presets have: {', '.join(presets)}."
        )


def start_options(args, config: Config, stored: Path | None) -> dict:
    """The options that say what a run starts from; a resumed run keeps its own.

    Runs of Python, and of an older labkit, remember none: there "preset" is missing, and so is
    "backbone_weights" where a checkpoint has come since.
    Raises LabkitError where an option contradicts the run.
    """
    if stored is None:
        default = "imagenet" if BACKBONES[config.backbone].imagenet else "none"
        return {
            "preset": args.preset or DEFAULT_PRESET,
            "backbone_weights": args.backbone_weights or default,
        }
    before = remembered(stored) or {}
    kept = {name: before[name] for name in ("preset", "backbone_weights") if before.get(name)}
    for name, value in kept.items():
        if getattr(args, name) not in (None, value):
            raise LabkitError(
                f"--{name.replace('_', '-')} {getattr(args, name)}: {stored} was started with "
                f"{value}; leave it out, or start another run."
            )
    if args.preset and "preset" not in kept:
        raise LabkitError(
            f"--preset {args.preset}: {stored} does not say which preset it was started with, and "
            "a resumed run keeps its config; leave --preset out."
        )
    if "backbone_weights" not in kept:
        kept |= forgotten_weights(args, config, stored)
    return kept


def forgotten_weights(args, config: Config, stored: Path) -> dict:
    """What the backbone of a run starts from that does not say so itself."""
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


def data_options(args, run_dir: Path, going_on: bool) -> dict:
    """The options that say which data; a resumed run remembers its own, and what goes with them."""
    files = ("annotations", "images", "val_annotations", "val_images")
    cache = {"cache": os.path.abspath(args.cache)} if args.cache else {}
    choice = {f: os.path.abspath(path) for f in files if (path := getattr(args, f))}
    if data := args.data:  # resumed from another folder, it is still the same
        choice["data"] = os.path.abspath(data) if os.path.exists(data) else data
    size = args.image_size if isinstance(args.image_size, int) else None
    before = remembered(run_dir) if going_on else None
    if before and all(before.get(name) == value for name, value in choice.items()):
        refuse_another_size(size, before, run_dir)
        return before | cache
    return {"data": None} | choice | cache | {"image_size": size}


def refuse_another_size(size: int | None, before: dict, run_dir: Path) -> None:
    """Raises LabkitError where drawn pictures would be of another size than they were."""
    drawn = before.get("image_size") or GENERATED_SIZE
    if is_drawn(before.get("data")) and size not in (None, drawn):
        raise LabkitError(
            f"--image-size {size}: {run_dir} was started on pictures of {drawn} pixels; leave it "
            "out, or start another run."
        )


def training_data(choice: dict):
    """The data to train on and the data to measure on, which is None where none is given."""
    dataset = chosen_data(choice, "train")
    annotations, images = choice.get("val_annotations"), choice.get("val_images")
    if choice.get("data"):
        if annotations or images:
            raise LabkitError(
                "--val-annotations and --val-images go with --annotations; --data brings its own "
                "validation pictures."
            )
        return dataset, validation_data(choice)
    if not annotations and not images:
        return dataset, None
    return dataset, pair(annotations, images, "--val-annotations", "--val-images")


def chosen_settings(args, dataset, stored: Path | None):
    """Config and TrainSettings, a stored run's or the preset's, with what the options change."""
    from labkit.training import TrainSettings, fit_to_data
    from labkit.weights.runs import read_run

    if stored:
        record = read_run(stored)
        config = Config.from_dict(record["config"])
        return asked_for(config, TrainSettings.from_dict(record["settings"]), args)
    preset = args.preset or DEFAULT_PRESET
    config, settings = Config.preset(preset), TrainSettings.preset(preset)
    if args.backbone_weights == "none":  # a frozen norm needs statistics that somebody has taken
        config = config.replace(freeze_batch_norm=False)
    config, settings = changed_settings(config, settings, args)  # the image size decides on the fit
    if is_drawn(args.data):  # the presets were made on these
        config = config.replace(max_instances=dataset.max_instances)
        # A mirrored 2 is no 2; a shape has no up and no left.
        symmetric = args.data == "shapes"
        augment = dataclasses.replace(settings.augment, mirror=symmetric, quarter_turns=symmetric)
        settings = settings.replace(augment=augment)
    else:
        config, settings, notes = fit_to_data(config, settings, dataset)
        for note in notes:
            print(note)
    return asked_for(config, settings, args)


def with_looks(settings, args, stored: Path | None):
    """Settings with looks at AP on the way, where nobody has said how many."""
    from labkit.weights.runs import read_run

    said = any(assignment.partition("=")[0] == "validate_every" for assignment in args.set)
    # A run that had pictures to look at, and 0 for how often, has that from somebody too.
    if settings.validate_every or said or (stored and read_run(stored).get("validation")):
        return settings
    # three times on the way; the fourth is at the end
    return settings.replace(validate_every=settings.steps // 4 + 1)


def asked_for(config: Config, settings, args):
    """Both with what the options say; a recipe comes between, and options have the last word."""
    config, settings = changed_settings(config, settings, args)
    return changed_settings(config, staged(settings, args), args)


def staged(settings, args):
    """Settings with the stages that --recipe or --stage ask for."""
    from labkit.training import recipe
    from labkit.training.stages import parse_stage

    if args.recipe and args.stage:
        raise LabkitError("--recipe and --stage: give one of them; a recipe is a list of stages.")
    if args.recipe:
        return recipe(args.recipe, settings, args.steps)
    if args.stage:
        settings = settings.replace(stages=tuple(map(parse_stage, args.stage)))
    if settings.stages and args.steps:
        raise LabkitError("--steps: the stages say how many; leave it out.")
    return settings


def changed_settings(config: Config, settings, args):
    """Both with what the options say. Resuming, the library refuses what must not change."""
    for_config = {} if args.seed is None else {"seed": args.seed}
    given = {name: getattr(args, name) for name in ("steps", "batch_size", "learning_rate")}
    for_settings = {name: value for name, value in given.items() if value is not None}
    if args.deterministic:
        for_settings["deterministic"] = True
    if args.image_size == "native":
        for_config["resize"] = "none"
        for_settings["canvas"] = (NATIVE_CROP, NATIVE_CROP)
    elif args.image_size:
        longest = config.image_max_side * args.image_size // config.image_min_side
        for_config |= {"image_min_side": args.image_size, "image_max_side": longest}
        if is_drawn(args.data):  # square pictures; for others the data decide
            for_settings["canvas"] = (-(-args.image_size // 32) * 32,) * 2
    if args.crop:
        for_settings["canvas"] = (args.crop, args.crop)
    for assignment in args.set:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise LabkitError(f"--set {name}: write it like --set {name}=VALUE.")
        if name in config.to_dict():
            for_config[name] = parsed(name, text, getattr(config, name))
        elif name.startswith("augment."):
            augment = for_settings.get("augment", settings.augment)
            for_settings["augment"] = changed_augment(augment, name.partition(".")[2], text)
        elif name in settings.to_dict():
            for_settings[name] = parsed(name, text, getattr(settings, name))
        else:
            raise LabkitError(unknown_setting(name, config, settings))
    if "learning_rate" in for_settings:  # meant for this batch, whatever another was chosen for
        for_settings.setdefault("rate_for_batch", 0)
    return config.replace(**for_config), settings.replace(**for_settings)


def changed_augment(augment, name: str, text: str):
    if not hasattr(augment, name):
        names = ", ".join(field.name for field in dataclasses.fields(augment))
        raise LabkitError(f"--set augment.{name}: there is no such field; there are: {names}.")
    value = parsed(f"augment.{name}", text, getattr(augment, name))
    return dataclasses.replace(augment, **{name: value})


def unknown_setting(name: str, config: Config, settings) -> str:
    known = [field.name for part in (config, settings) for field in dataclasses.fields(part)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "see labkit.Config and labkit.TrainSettings."
    return f"--set {name}: neither Config nor TrainSettings has such a field; {hint}"


def parsed(name: str, text: str, present):
    """What a --set writes for a field that has the value `present` now.

    Raises LabkitError where a number or true/false is wanted and something else was written.
    """
    if isinstance(present, tuple):
        items = [item for item in text.strip("[]()").split(",") if item.strip()]
        return tuple(parsed(name, item, 0.0) for item in items)
    if isinstance(present, str):
        return text
    if isinstance(present, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise LabkitError(f"--set {name}: write true or false, not '{text}'.")
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    raise LabkitError(f"--set {name}: '{text}' is not a number.")


def report_run(model, history, validation, run_dir: Path, seconds: float) -> None:
    """AP of the finished model, metrics.json, the figures, and where they are."""
    from labkit.evaluation import evaluate
    from labkit.reports.run import write_report

    evaluation = None
    if validation is not None:
        # where a model may find more than 100 objects, count them: crowded pictures need it
        evaluation = evaluate(model, validation, max_dets=max(100, model.config.detections))
        print(evaluation)
    else:
        print("No validation pictures were given, so there is no AP: see labkit evaluate.")
    paths = write_report(run_dir, model, history, seconds, validation, evaluation)
    print(f"Trained in {seconds:.0f} s. Look at:")
    for path in paths:
        print(f"  {path}")
    print(f"The model is in {run_dir}/; try: labkit detect --weights {run_dir} PICTURE")
