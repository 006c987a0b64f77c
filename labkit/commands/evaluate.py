"""`labkit evaluate`: COCO's numbers of a model, or of a file of results."""

import json

from labkit.commands.sources import chosen_data
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow, only_json_on_stdout


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

    if args.weights or args.images or args.data or args.score is not None:
        raise LabkitError(
            "--results is evaluated by itself against --annotations: leave out --weights, "
            "--images, --data and --score."
        )
    if not args.annotations:
        raise LabkitError("--results needs the ground truth beside it: add --annotations FILE.")
    return evaluate_results(args.annotations, args.results, max_dets=args.max_dets)


def evaluate_model(args):
    if not args.weights:
        raise LabkitError(
            "say what to evaluate: --weights RUN (with --annotations FILE --images DIR, or --data "
            "NAME), or --results FILE with --annotations FILE."
        )
    dataset = chosen_data(vars(args), "val")
    import_tensorflow()
    from labkit import evaluation
    from labkit.training import load_model

    return evaluation.evaluate(
        load_model(args.weights), dataset, max_dets=args.max_dets, score_threshold=args.score
    )
