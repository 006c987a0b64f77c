"""What a finished run leaves beside its weights: metrics.json and the figures."""

import sys
from pathlib import Path

from labkit.data.dataset import Dataset
from labkit.evaluation import Evaluation, confusion_matrix
from labkit.io.data_files import write_json
from labkit.io.history import History
from labkit.models.detector import Detector
from labkit.viz import confusion_figure, detection_sheet, loss_curves, pr_curves, save

try:
    import resource
except ImportError:  # Windows has no such module
    resource = None

PICTURES = 12  # on the sheet


def write_report(
    run_dir: Path,
    model: Detector,
    history: History,
    seconds: float,
    dataset: Dataset | None = None,
    evaluation: Evaluation | None = None,
) -> list[Path]:
    """Write metrics.json and figures/ into a run's folder.

    Args:
        run_dir: the run's folder.
        model: the trained model.
        history: the run's losses.
        seconds: how long the training took.
        dataset: what the model was evaluated on.
        evaluation: the result. Without it only the loss curves are drawn.

    Returns:
        The paths of what was written, the most interesting one first.
    """
    figures = run_dir / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    metrics = {"train_seconds": round(seconds, 1), "steps": len(history)}
    if (peak := peak_rss_mb()) is not None:
        metrics["peak_rss_mb"] = peak
    drawn = {"losses.png": loss_curves(history.to_dict(), validation=history.validation)}
    if evaluation is not None:
        metrics = evaluation.to_dict() | metrics
        samples = [dataset[i] for i in range(min(PICTURES, len(dataset)))]
        found = model.detect([s.image for s in samples])
        drawn = {"detections.png": detection_sheet(samples, found)} | drawn
        drawn["pr_curves.png"] = pr_curves(evaluation)
        if len(model.class_names) > 1:
            matrix = confusion_matrix(evaluation.coco_gt, evaluation.results)
            drawn["confusion.png"] = confusion_figure(matrix, list(evaluation.class_names))
    for name, figure in drawn.items():
        save(figure, figures / name)
    write_json(run_dir / "metrics.json", metrics, indent=2)
    return [*(figures / name for name in drawn), run_dir / "metrics.json"]


def peak_rss_mb() -> int | None:
    """The most memory this process has held, in MiB; None where the system does not say."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
