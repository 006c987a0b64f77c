"""Annotations as VIA 2 reads them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from labkit.data.dataset import Dataset
from labkit.data.readers.via import CROWD
from labkit.data.writers.common import save_picture
from labkit.data.writers.outline import mask_polygon
from labkit.io.data_files import write_text


def save_via(dataset: Dataset, folder: str | os.PathLike) -> Path:
    """Write a data set as VIA 2 annotations, with its pictures beside the json.

    Every instance is one polygon, with its class in the region attribute "class"; crowds also have
    the attribute "iscrowd". `ViaDataset` reads the same masks back.

    Returns:
        The json, `folder/via_region_data.json`.
    """
    folder, content = Path(folder), {}
    for sample in dataset:
        picture = save_picture(sample, folder)
        size = picture.stat().st_size
        content[f"{picture.name}{size}"] = {
            "filename": picture.name,
            "size": size,
            "regions": [
                _region(mask, dataset.class_names[class_id - 1], crowd)
                for mask, class_id, crowd in zip(
                    sample.masks, sample.class_ids, sample.crowd, strict=True
                )
            ],
            "file_attributes": {},
        }
    path = folder / "via_region_data.json"
    write_text(path, json.dumps(content))
    return path


def _region(mask, name: str, crowd: bool) -> dict:
    xs, ys = mask_polygon(mask).T.tolist()
    return {
        "shape_attributes": {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
        "region_attributes": {"class": name} | ({CROWD: "1"} if crowd else {}),
    }
