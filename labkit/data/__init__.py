"""Data sets: the ones labkit draws itself, and the readers of annotated photos."""

from labkit.data.dataset import Dataset, Sample
from labkit.data.shapes import shapes

__all__ = ["Dataset", "Sample", "shapes"]
