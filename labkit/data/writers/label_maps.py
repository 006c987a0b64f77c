"""Label maps of 16 bits: a PNG for each picture, every value an instance."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from labkit.data.dataset import Dataset
from labkit.data.writers.common import save_picture, warn_of_loss
from labkit.errors import LabkitError


def save_label_maps(dataset: Dataset, folder: str | os.PathLike) -> Path:
    """Write pictures into `folder/images` and label maps into `folder/label_maps`.

    A label map holds no classes, no crowds and no overlap: where instances overlap, the later one
    hides the earlier. A warning says what is lost.

    Returns:
        The folder of the label maps; `LabelMapDataset` reads it.

    Raises:
        LabkitError: a picture has more than 65,535 instances.
    """
    folder = Path(folder) / "label_maps"
    folder.mkdir(parents=True, exist_ok=True)
    lost = {"crowds made instances": 0, "pixels hidden by later instances": 0}
    lost["classes made one"] = len(dataset.class_names) if len(dataset.class_names) > 1 else 0
    for sample in dataset:
        if len(sample) > np.iinfo(np.uint16).max:
            raise LabkitError(f"{sample.name} has {len(sample)} instances; 16 bits hold 65,535.")
        label_map = np.zeros(sample.image.shape[:2], np.uint16)
        for value, mask in enumerate(sample.masks, 1):
            lost["pixels hidden by later instances"] += int((label_map[mask] > 0).sum())
            label_map[mask] = value
        lost["crowds made instances"] += int(sample.crowd.sum())
        picture = save_picture(sample, folder.parent / "images")
        Image.fromarray(label_map).save(folder / picture.name)
    warn_of_loss("A label map", lost)
    return folder
