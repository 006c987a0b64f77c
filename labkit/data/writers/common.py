"""What all writers do: save pictures as PNG files, and warn of what the format cannot hold."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

from labkit.data.sample import Sample


def save_picture(sample: Sample, folder: Path) -> Path:
    """Write the picture of a sample as `<image id>.png`, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sample.image_id:06d}.png"
    Image.fromarray(sample.image).save(path)
    return path


def warn_of_loss(format: str, lost: dict[str, int]) -> None:
    """Warn of what was lost, if anything was: e.g. {"crowds left out": 3}."""
    losses = [f"{what}: {count}" for what, count in lost.items() if count]
    if losses:
        warnings.warn(f"{format} cannot hold all of the data; {', '.join(losses)}.", stacklevel=3)
