"""Data sets: the ones labkit draws itself, and the readers and writers of annotated photos.

    mine = load_dataset("photos/").group_classes({"bread": ["white", "rye"]}).prune(min_images=20)
    train, val = mine.split(group=lambda info: info["file_name"].split("_")[0])

`Batches`, which makes what a model trains on, is in `labkit.data.pipeline`: it needs TensorFlow.
"""

from labkit.data.augment import LARGE_SCALE_JITTER, Augment
from labkit.data.batch_order import BatchPlan
from labkit.data.cityscapes import CityscapesDataset
from labkit.data.coco import CocoDataset
from labkit.data.dataset import Dataset, Sample
from labkit.data.digits import digits
from labkit.data.label_maps import LabelMapDataset
from labkit.data.labelme import LabelmeDataset
from labkit.data.load import load_dataset, splits
from labkit.data.mask_folders import MaskFolderDataset
from labkit.data.merging import merge
from labkit.data.mini_mask_error import mini_mask_error
from labkit.data.panoptic import PanopticDataset
from labkit.data.shapes import shapes
from labkit.data.shaping import pruning_table
from labkit.data.via import ViaDataset
from labkit.data.voc import VocDataset
from labkit.data.writers import save_label_maps, save_via, save_yolo

__all__ = [
    "LARGE_SCALE_JITTER",
    "Augment",
    "BatchPlan",
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
    "merge",
    "mini_mask_error",
    "pruning_table",
    "save_label_maps",
    "save_via",
    "save_yolo",
    "shapes",
    "splits",
]
