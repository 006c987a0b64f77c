"""Whether a model, its data and its settings agree: looked at before the first step."""

from labkit.data.dataset import Dataset
from labkit.errors import LabkitError
from labkit.models.detector import Detector
from labkit.training.settings import AP_METRICS, TrainSettings
from labkit.training.stages import check_stages, legs


def check_together(
    model: Detector, dataset: Dataset, validation: Dataset | None, settings: TrainSettings
) -> None:
    """Refuse now what would break later, perhaps after hours."""
    if dataset.class_names != model.class_names:
        raise LabkitError(
            f"The model knows the classes {list(model.class_names)}, the data set has "
            f"{list(dataset.class_names)}: make the model with the data set's class names."
        )
    check_stages(model, legs(settings))
    if validation is not None:
        unknown = [name for name in validation.class_names if name not in model.class_names]
        if unknown and settings.validate_every:
            raise LabkitError(
                f"The validation data have classes that the training data do not: {unknown[0]!r}. "
                "Give both the same classes, or leave those out (keep_classes)."
            )
        if settings.validate_losses_every and validation.class_names != model.class_names:
            raise LabkitError(
                f"validate_losses_every: the validation data have {list(validation.class_names)}, "
                f"the model {list(model.class_names)}; losses want the same classes in order."
            )
    if settings.best_by not in (*AP_METRICS, "total", *model.LOSSES):
        raise LabkitError(
            f"best_by: the model has no loss '{settings.best_by}'; there are: "
            f"{', '.join(model.LOSSES)}."
        )
    every = "validate_every" if settings.best_by in AP_METRICS else "validate_losses_every"
    if settings.stop_after and (validation is None or not getattr(settings, every)):
        raise LabkitError(
            f"stop_after: {settings.best_by} is never measured; give validation pictures and "
            f"{every}, or leave stop_after at 0."
        )
