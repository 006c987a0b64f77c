"""Annotations for YOLO's segmentation models: a txt for each picture, a line for each instance."""

from __future__ import annotations

import os
from pathlib import Path

from labkit.data.dataset import Dataset
from labkit.data.sample import Sample
from labkit.data.writers.common import save_picture, warn_of_loss
from labkit.data.writers.outline import mask_polygon
from labkit.io.data_files import write_text


def save_yolo(dataset: Dataset, folder: str | os.PathLike, split: str = "train") -> Path:
    """Write `folder/images/<split>`, `folder/labels/<split>` and `folder/data.yaml`.

    A line is `class x y x y …`: the class from 0, then the outline's corners as shares of width and
    height, with six decimals (0.0005 pixels off at most in a picture of 1,000). YOLO has no crowds;
    they are left out and counted in a warning. Write further splits into the same folder.

    Returns:
        `folder/data.yaml`, which names the classes and the splits written so far.
    """
    folder = Path(folder)
    labels = folder / "labels" / split
    labels.mkdir(parents=True, exist_ok=True)
    crowds = 0
    for sample in dataset:
        picture = save_picture(sample, folder / "images" / split)
        write_text(labels / f"{picture.stem}.txt", "".join(_lines(sample)))
        crowds += int(sample.crowd.sum())
    splits = [path.name for path in sorted((folder / "labels").iterdir()) if path.is_dir()]
    lines = [f"{_yaml(name)}: {_yaml('images/' + name)}" for name in splits]
    lines += ["names:", *(f"  {i}: {_yaml(n)}" for i, n in enumerate(dataset.class_names))]
    write_text(folder / "data.yaml", "\n".join(lines) + "\n")
    warn_of_loss("YOLO", {"crowds left out": crowds})
    return folder / "data.yaml"


def _yaml(text: str) -> str:
    """A text in yaml's quotation marks: it may hold a colon, a line feed, an emoji."""
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return '"' + "".join(plain) + '"'


def _lines(sample: Sample) -> list[str]:
    height, width = sample.image.shape[:2]
    lines = []
    for mask, class_id, crowd in zip(sample.masks, sample.class_ids, sample.crowd, strict=True):
        if not crowd:
            shares = (mask_polygon(mask) / [width, height]).ravel()
            lines.append(f"{class_id - 1} " + " ".join(f"{share:.6f}" for share in shares) + "\n")
    return lines
