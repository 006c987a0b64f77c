"""`labkit evaluate`: COCO's numbers of a model, or of a file of results."""

from labkit.commands.numbers import area_range, fraction, fractions, positive_int
from labkit.commands.options import add_evaluation_data, add_json
from labkit.commands.reader_options import add_reader_options
from labkit.commands.run_data import note_if_seen
from labkit.commands.sources import chosen_data
from labkit.commands.weights import SOURCES, model_of
from labkit.errors import LabkitError
from labkit.io.data_files import write_json
from labkit.quiet import import_tensorflow, only_json_on_stdout

NAME = "evaluate"
HELP = "measure how good a model, or a file of results, is"
EPILOG = """\
examples:
  labkit evaluate --weights runs/demo --data shapes
  labkit evaluate --weights runs/mine --data my-photos/
  labkit evaluate --weights coco-r50-fpn --data my-photos/
  labkit evaluate --weights runs/nuclei --annotations val.json --images val/ --max-dets 500
  labkit evaluate --annotations val.json --results results.json --json
  labkit evaluate --annotations val.json --results found/detections.json    of labkit detect

Classes are matched by name; those that the model does not know count as missed.
The numbers are COCO's twelve, for boxes and for masks, by pycocotools. AP is between 0 and 1,
higher is better; -1 means that the data have no such objects to measure it on.
"""


def add_options(parser) -> None:
    what = parser.add_argument_group("what is evaluated: one of")
    what.add_argument("--weights", metavar="SOURCE", help=f"a model: {SOURCES}")
    what.add_argument("--results", metavar="FILE", help="a COCO json of results, from any program")
    add_evaluation_data(parser.add_argument_group("what it is compared with"))
    parser.add_argument(
        "--max-dets",
        type=positive_int,
        default=100,
        metavar="N",
        help="detections that count in a picture (default: 100, as COCO does; "
        "crowded pictures need more)",
    )
    parser.add_argument(
        "--score",
        type=fraction,
        metavar="X",
        help="leave out detections below this score (default: the model's, 0.05; "
        "a higher one lowers AP)",
    )
    parser.add_argument(
        "--iou-thresholds",
        type=fractions,
        metavar="X,X,...",
        help="the IoU thresholds that AP is the mean over (default: COCO's 0.5,0.55,...,0.95)",
    )
    parser.add_argument(
        "--area",
        type=area_range,
        action="append",
        metavar="NAME=FROM-TO",
        help="a range of object sizes to measure by itself, in pixels of area, e.g. tiny=0-256; "
        "may be repeated (default: COCO's small, medium and large)",
    )
    parser.add_argument(
        "--save-results", metavar="FILE", help="keep the detections as a COCO json of results"
    )
    add_json(parser)
    add_reader_options(parser)


def run(args) -> int:
    with only_json_on_stdout(args.json):
        evaluation = evaluate_results_file(args) if args.results else evaluate_model(args)
    print(evaluation.to_json() if args.json else evaluation, flush=True)
    if args.save_results:
        write_json(args.save_results, evaluation.results_for_file())
    return 0


def evaluate_results_file(args):
    """The Evaluation of a file of results: it needs no model, so no TensorFlow."""
    from labkit.evaluation import evaluate_results

    others = args.weights or args.images or args.data or args.split or args.reader
    if others or args.score is not None:
        raise LabkitError(
            "--results is evaluated by itself against --annotations: leave out --weights, "
            "--images, --data, --split, --score and options of reading."
        )
    if not args.annotations:
        raise LabkitError("--results needs the ground truth beside it: add --annotations FILE.")
    return evaluate_results(args.annotations, args.results, **ap_options(args))


def evaluate_model(args):
    """The Evaluation of a model on the chosen data."""
    if not args.weights:
        raise LabkitError(
            "say what to evaluate: --weights SOURCE (with --data PATH, or --annotations FILE "
            "--images DIR), or --results FILE with --annotations FILE."
        )
    dataset = chosen_data(vars(args), "val")
    import_tensorflow()
    from labkit import evaluation

    note_if_seen(args.weights, vars(args))
    model = model_of(args.weights, dataset.class_names)
    return evaluation.evaluate(model, dataset, score_threshold=args.score, **ap_options(args))


def ap_options(args) -> dict:
    """What AP is measured at, as arguments of `labkit.evaluation.evaluate`."""
    ranges = dict(args.area) if args.area else None
    if ranges and len(ranges) < len(args.area):
        raise LabkitError("--area: two ranges have the same name; give each its own.")
    return {"max_dets": args.max_dets, "iou_thresholds": args.iou_thresholds, "area_ranges": ranges}
