"""`labkit evaluate`: COCO's numbers of a model, or of a file of results."""

import json

from labkit.commands.numbers import area_range, shares
from labkit.commands.run_data import note_if_seen
from labkit.commands.sources import chosen_data
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow, only_json_on_stdout


def add_measures(parser) -> None:
    """Options of what AP is measured at; `measures` reads them."""
    parser.add_argument(
        "--iou-thresholds",
        type=shares,
        metavar="X,X,...",
        help="what AP is the mean over (default: COCO's 0.5,0.55,...,0.95)",
    )
    parser.add_argument(
        "--area",
        type=area_range,
        action="append",
        metavar="NAME=FROM-TO",
        help="sizes of objects to measure apart, in pixels of area, e.g. tiny=0-256; may be "
        "repeated (default: COCO's small, medium and large)",
    )


def measures(args) -> dict:
    """Options of `labkit.evaluation.evaluate` and `evaluate_results`."""
    ranges = dict(args.area) if args.area else None
    if ranges and len(ranges) < len(args.area):
        raise LabkitError("--area: two ranges have the same name; give each its own.")
    return {"max_dets": args.max_dets, "iou_thresholds": args.iou_thresholds, "area_ranges": ranges}


def run(args) -> int:
    with only_json_on_stdout(args.json):
        evaluation = evaluate_results_file(args) if args.results else evaluate_model(args)
    if args.save_results:
        with open(args.save_results, "w", encoding="utf-8") as file:
            json.dump(evaluation.results, file)
    print(evaluation.to_json() if args.json else evaluation)
    return 0


def evaluate_results_file(args):
    """COCO numbers of a file of results: needs no model, so no TensorFlow."""
    from labkit.evaluation import evaluate_results

    if args.weights or args.images or args.data or args.split or args.score is not None:
        raise LabkitError(
            "--results is evaluated by itself against --annotations: leave out --weights, "
            "--images, --data, --split and --score."
        )
    if not args.annotations:
        raise LabkitError("--results needs the ground truth beside it: add --annotations FILE.")
    return evaluate_results(args.annotations, args.results, **measures(args))


def evaluate_model(args):
    if not args.weights:
        raise LabkitError(
            "say what to evaluate: --weights RUN (with --data PATH, or --annotations FILE --images "
            "DIR), or --results FILE with --annotations FILE."
        )
    dataset = chosen_data(vars(args), "val")
    import_tensorflow()
    from labkit import evaluation
    from labkit.weights.runs import load_model

    note_if_seen(args.weights, vars(args))
    return evaluation.evaluate(
        load_model(args.weights), dataset, score_threshold=args.score, **measures(args)
    )
