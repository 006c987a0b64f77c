"""A quick look at the data before training: at every picture's header, and for objects.

A picture that is missing, or a data set without an object, would otherwise be noticed after hours.
Only headers are read, so a file that is damaged further on is not found; `Dataset.check` and
`labkit inspect --check` read everything.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from labkit.data.dataset import Dataset
from labkit.errors import LabkitError, listed
from labkit.io.data_files import quote

_AT_A_TIME = 8  # on a network, a file takes long to open and hardly any work


def unusable_pictures(dataset: Dataset) -> dict[int, str]:
    """The indices of pictures that are missing, no pictures, or of another size, and why.

    Reads the header of every file; data sets that are drawn have none.
    """
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        said = list(pool.map(dataset.check_picture, range(len(dataset))))
    return {index: why for index, why in enumerate(said) if why}


def drop_unusable(dataset: Dataset) -> Dataset:
    """The data set without the pictures that `unusable_pictures` names; itself if there are none.

    Raises:
        LabkitError: no picture would be left.
    """
    wrong = unusable_pictures(dataset)
    if not wrong:
        return dataset
    if len(wrong) == len(dataset):
        raise LabkitError(f"None of the {len(dataset)} pictures can be used: {wrong[0]}")
    return dataset.subset(index for index in range(len(dataset)) if index not in wrong)


def check_before_training(dataset: Dataset, validation: Dataset | None = None) -> None:
    """Refuse data that training would break on, or could learn nothing from.

    Raises:
        LabkitError: pictures cannot be used (how many, and the first of them), or no picture has an
            object that is not a crowd.
    """
    for what, data in (("training", dataset), ("validation", validation)):
        if data is not None:
            _check_pictures(what, data)
    if not any((~dataset.labels(index).crowd).any() for index in range(len(dataset))):
        problem = f" {dataset.problems[0]}" if getattr(dataset, "problems", None) else ""
        raise LabkitError(
            "The training data have no object that can be used (crowds are left out), so there is "
            f"nothing to learn but background.{problem}"
        )


def _check_pictures(what: str, dataset: Dataset) -> None:
    wrong = unusable_pictures(dataset)
    if wrong:
        names = (quote(dataset.image_info(index)["file_name"]) for index in wrong)
        first = next(iter(wrong.values()))
        raise LabkitError(
            f"{len(wrong)} of {len(dataset)} {what} pictures cannot be used ({listed(names, 3)}). "
            f"{first} Put them right, or leave them out with --skip-broken (in Python: "
            "dataset.drop_unusable())."
        )
