"""How good is a model: COCO average precision, precision-recall curves, confusion, error types.

All COCO numbers are computed by pycocotools; this package checks its input, runs it and shows its
results. A model is anything with `class_names` and `detect(images, ...) -> list of Detections`.

    coco               evaluate, evaluate_results: a model or a results file in, an Evaluation out
    coco_truth         reads and checks the ground truth
    coco_results       reads and checks results
    coco_entries       the checks that both share
    rle                checks the run lengths of masks
    cocoeval           one run of pycocotools' COCOeval
    coco_conventions   names, object sizes and detection limits of COCO's numbers
    result             Evaluation and PrecisionRecall
    tables             an Evaluation as text and as HTML

    comparison         compare: ground truth and detections, image by image, with their IoUs
    average_precision  AP from scratch, step by step
    ap_variants        other definitions of AP: Cityscapes, per image, cAP, rAP
    proposal_recall    how many objects a set of proposals covers
    confusion          the confusion matrix, background included
    error_types        the six error types of TIDE, and what each costs
    thresholds         precision, recall and F1 against the score threshold
    calibration        how often a detection of a given score is right
    conditions         AP against object size, occlusion and crowding
    per_image          true and false positives of single images, and the worst images
"""

from labkit.evaluation.coco import evaluate, evaluate_results
from labkit.evaluation.comparison import Comparison, compare
from labkit.evaluation.confusion import confusion_matrix
from labkit.evaluation.result import Evaluation, PrecisionRecall

__all__ = [
    "Comparison",
    "Evaluation",
    "PrecisionRecall",
    "compare",
    "confusion_matrix",
    "evaluate",
    "evaluate_results",
]
