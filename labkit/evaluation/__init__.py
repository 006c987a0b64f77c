"""How good is a model: COCO average precision, precision-recall curves, confusion.

All COCO numbers are computed by pycocotools; what is here feeds it, checks its input, and shows
what it found.
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
