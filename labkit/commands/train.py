"""`labkit train`: options become data, a Config and TrainSettings; `labkit.training` trains."""

import contextlib
import time
from pathlib import Path

from labkit.commands.numbers import positive_int
from labkit.commands.options import add_batches, add_model, add_training_data
from labkit.commands.reader_options import add_reader_options
from labkit.commands.run_data import data_options, remember
from labkit.commands.settings import chosen_settings, with_validation
from labkit.commands.sources import training_data
from labkit.commands.start import start_options, start_weights
from labkit.commands.weights import chosen_weights
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow

NAME = "train"
HELP = "train a model"
EPILOG = """\
examples:
  labkit train --data digits --run runs/digits --steps 800
  labkit train --data my-photos/ --run runs/mine
  labkit train --data my-photos/ --run runs/tuned --weights coco-r50-fpn    fine-tunes
  labkit train --annotations train.json --images train/ \\
               --val-annotations val.json --val-images val/ --run runs/nuclei
  labkit train --run runs/nuclei --resume    goes on after an interruption, with the same data
  labkit train --data shapes --run runs/staged --stage heads:300 --stage all:600@0.0003
  labkit train --data coco --run runs/coco --preset r50_fpn --distribute mirrored \\
               --batch-size 16 --set rate_for_batch=2   8 GPUs, and 8 times the learning rate

--set changes any field of the model's Config or of TrainSettings; lists are written with commas:
  --set detections=300 --set anchor_sizes=8,16,32,64,128 --set augment.quarter_turns=true
  --set loss_weights.mask=0.5

--weights takes up where another training ended: of published weights (`labkit info --pretrained`),
of a run, or of a file. Classes that they know by name keep what is known of them.

The run's folder gets the weights, checkpoints to resume from, the losses (history.csv) and, with
validation pictures, their AP. `labkit info RUN` sums it up.

Ctrl-C (or SIGTERM) finishes the step and saves a checkpoint, which --resume goes on from; a second
one ends at once.
"""


def add_options(parser) -> None:
    data = parser.add_argument_group("data: yours, or one of the catalogue")
    add_training_data(data)
    data.add_argument(
        "--val-annotations",
        metavar="FILE",
        help="pictures to measure AP on while training: their annotations ...",
    )
    data.add_argument("--val-images", metavar="DIR", help="... and their folder")
    data.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out pictures that are missing or broken (default: stop before the first step)",
    )
    data.add_argument(
        "--cache",
        metavar="DIR",
        help="keep decoded pictures in this folder, uncompressed: for pictures that are slow to "
        "read and need more than the 2 GiB of memory that is used for them",
    )
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--run",
        required=True,
        metavar="RUN",
        help="folder for everything the run leaves, e.g. runs/first",
    )
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on from the run's last checkpoint, with the run's own settings",
    )
    run.add_argument(
        "--steps", type=positive_int, metavar="N", help="training steps (batches) in all"
    )
    run.add_argument(
        "--recipe",
        metavar="NAME",
        help="train in stages as others did: paper, food, cityscapes, coco-stuff, trash or "
        "alternating (see labkit.training.recipes)",
    )
    run.add_argument(
        "--stage",
        action="append",
        default=[],
        metavar="WHAT:STEPS",
        help="a stage of your own, e.g. heads:300 or all:10epochs@0.0003; may be repeated. WHAT is "
        "heads, 5+, 4+, 3+, all, rpn, roi_heads or a regular expression over paths of weights",
    )
    run.add_argument(
        "--log",
        action="append",
        default=[],
        choices=("tensorboard", "wandb"),
        help="log every step to another program, too; may be repeated",
    )
    add_batches(run)
    run.add_argument(
        "--distribute",
        choices=("mirrored", "workers"),
        help="mirrored: on all GPUs of this machine; workers: on several machines, each of which "
        "runs this command with its own TF_CONFIG. --batch-size is then that of all together",
    )
    run.add_argument(
        "--learning-rate", type=float, metavar="X", help="the highest, after the warm-up"
    )
    run.add_argument(
        "--deterministic",
        action="store_true",
        help="the same seed gives the same losses to the last digit (slower)",
    )
    add_model(parser)
    add_reader_options(parser)


def run(args) -> int:
    run_dir = Path(args.run)
    stored = run_dir if args.resume and (run_dir / "run.json").exists() else None
    if args.resume and not stored and not (args.data or args.annotations):
        raise LabkitError(
            f"--resume: {run_dir} holds no run to go on with; check --run, or say on which data to "
            "start one."
        )
    choice = data_options(args, stored)
    dataset, validation = training_data(choice)
    if choice.get("skip_broken"):
        dataset = without_broken(dataset, "training")
        validation = validation and without_broken(validation, "validation")
    import_tensorflow()
    import keras

    from labkit import training
    from labkit.models.registry import build_detector
    from labkit.training.distribution import Team, make_strategy
    from labkit.training.stop_request import StopRequest
    from labkit.weights.runs import latest_checkpoint

    scope = contextlib.nullcontext()
    if args.distribute:  # before anything is computed: workers find one another first
        scope = make_strategy(args.distribute).scope()
    weights = chosen_weights(args, stored)
    config, settings = chosen_settings(args, dataset, stored, weights)
    choice |= start_options(args, config, stored, weights)
    settings = settings.planned(len(dataset))
    if validation is not None:
        settings = with_validation(settings, args, stored)
    with scope:
        model = build_detector(config, dataset.class_names)
        said = ""
        if not (stored and latest_checkpoint(stored)):  # which has all weights
            said = start_weights(model, weights, choice.get("backbone_weights"))
    chief = Team(model).chief
    if chief:
        if said:
            print(said)
        print(f"{dataset!r}")
        print(
            f"{model.count_params():,} parameters, {settings.steps} steps of {settings.batch_size}"
        )

    def remember_data(logs=None):  # not earlier: a run that is refused must change nothing
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
    seconds = time.monotonic() - begin
    if chief:
        with StopRequest() as stop:
            stop.unless_stopped(lambda: report_run(model, history, validation, run_dir, seconds))
        if stop:
            raise stop.stopped(
                f"while the model was measured. The run is complete: labkit train --run {run_dir} "
                "--resume measures it."
            )
    return 0


def without_broken(dataset, what: str):
    """The data set without pictures that are missing or broken; prints how many are left out."""
    whole = dataset.drop_unusable()
    if len(whole) < len(dataset):
        print(f"{len(dataset) - len(whole)} of {len(dataset)} {what} pictures are left out.")
    return whole


def report_run(model, history, validation, run_dir: Path, seconds: float) -> None:
    """Measures the finished model, writes metrics.json and the figures, and says where they are."""
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
