"""Data sets: the ones labkit draws itself, and the readers and writers of annotated photos."""

from labkit.data.cityscapes import CityscapesDataset
from labkit.data.coco import CocoDataset
from labkit.data.dataset import Dataset, Sample
from labkit.data.digits import digits
from labkit.data.label_maps import LabelMapDataset
from labkit.data.labelme import LabelmeDataset
from labkit.data.load import load_dataset
from labkit.data.mask_folders import MaskFolderDataset
from labkit.data.panoptic import PanopticDataset
from labkit.data.shapes import shapes
from labkit.data.via import ViaDataset
from labkit.data.voc import VocDataset
from labkit.data.writers import save_label_maps, save_via, save_yolo

__all__ = [
    "CityscapesDataset",
    "CocoDataset",
    "Dataset",
    "LabelMapDataset",
    "LabelmeDataset",
    "MaskFolderDataset",
    "PanopticDataset",
    "Sample",
    "ViaDataset",
    "VocDataset",
    "digits",
    "load_dataset",
    "save_label_maps",
    "save_via",
    "save_yolo",
    "shapes",
]
