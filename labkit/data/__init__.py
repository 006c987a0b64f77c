"""Data sets: the ones labkit draws itself, and the readers of annotated photos."""

from labkit.data.coco import CocoDataset
from labkit.data.dataset import Dataset, Sample
from labkit.data.digits import digits
from labkit.data.shapes import shapes

__all__ = ["CocoDataset", "Dataset", "Sample", "digits", "shapes"]
