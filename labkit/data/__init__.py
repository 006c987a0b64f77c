"""Data sets: pictures with labelled instances, and how they become training batches.

    mine = load_dataset("photos/").group_classes({"bread": ["white", "rye"]}).prune(min_images=20)
    train, val = mine.split(group=lambda info: info["file_name"].split("_")[0])

What a data set is:

    sample           one picture with its instances: `Sample`, `Cutouts`, `Labels`
    dataset          `Dataset`, the sequence of samples that all others are
    load             `load_dataset`: a data set from a path, whatever its format
    readers/         one module a format: COCO, VOC, LabelMe, VIA, Cityscapes, ...
    synthetic/       data sets that are drawn, not downloaded: `shapes`, `digits`, `collage`
    writers/         VIA, YOLO and label maps; COCO is `Dataset.save_coco`
    catalogue        data sets to download by name

Looking at one and making another of it:

    describe         `Dataset.describe`: counts, sizes, problems
    anchor_fit       do these anchors suit these boxes, and which would?
    mini_mask_error  what the small grids lose that training keeps masks in
    classes          classes grouped, kept, dropped and pruned
    picture_checks   pictures that are there twice, or have two readings
    splitting        training, validation and test parts
    merging          several data sets as one

From samples to batches (`pipeline` needs TensorFlow, so it is not imported here):

    augment          random views of a picture: scale, crop, mirror, colour
    colour           contrast, saturation and hue
    copy_paste       objects of one picture pasted into another
    batch_order      which picture is where in which batch
    cache            decoded pictures kept on disk
    feeder           batches made ahead of time by threads
    pipeline         `Batches`: all of it together, as a `tf.data.Dataset`
"""

from labkit.data import catalogue
from labkit.data.augment import LARGE_SCALE_JITTER, Augment
from labkit.data.batch_order import BatchPlan
from labkit.data.classes import pruning_table
from labkit.data.dataset import Dataset
from labkit.data.load import load_dataset, splits
from labkit.data.merging import merge
from labkit.data.mini_mask_error import mini_mask_error
from labkit.data.readers.cityscapes import CityscapesDataset
from labkit.data.readers.coco import CocoDataset
from labkit.data.readers.cvat import CvatDataset
from labkit.data.readers.label_maps import LabelMapDataset
from labkit.data.readers.label_studio import LabelStudioDataset
from labkit.data.readers.labelme import LabelmeDataset
from labkit.data.readers.mask_folders import MaskFolderDataset
from labkit.data.readers.panoptic import PanopticDataset
from labkit.data.readers.via import ViaDataset
from labkit.data.readers.voc import VocDataset
from labkit.data.readers.voc_boxes import VocBoxDataset
from labkit.data.readers.yolo import YoloDataset
from labkit.data.sample import Sample
from labkit.data.synthetic.collage import collage
from labkit.data.synthetic.digits import digits
from labkit.data.synthetic.shapes import shapes
from labkit.data.writers import save_label_maps, save_repaired, save_via, save_yolo

__all__ = [
    "LARGE_SCALE_JITTER",
    "Augment",
    "BatchPlan",
    "CityscapesDataset",
    "CocoDataset",
    "CvatDataset",
    "Dataset",
    "LabelMapDataset",
    "LabelStudioDataset",
    "LabelmeDataset",
    "MaskFolderDataset",
    "PanopticDataset",
    "Sample",
    "ViaDataset",
    "VocBoxDataset",
    "VocDataset",
    "YoloDataset",
    "catalogue",
    "collage",
    "digits",
    "load_dataset",
    "merge",
    "mini_mask_error",
    "pruning_table",
    "save_label_maps",
    "save_repaired",
    "save_via",
    "save_yolo",
    "shapes",
    "splits",
]
