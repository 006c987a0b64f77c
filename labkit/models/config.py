"""Every number of a Mask R-CNN in one frozen place.

A `Config` is made from a preset and changed by keyword:

    Config.preset("tiny", image_min_side=192, detections=300)

It refuses names it does not know and values that cannot work, so that a typo costs a second and
not a night of training. The presets' numbers and where they come from stand beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from labkit.models.detector_config import DetectorConfig


@dataclass(frozen=True)
class Config(DetectorConfig):
    """The shape and the rules of a Mask R-CNN. Lengths are pixels of the resized image.

    The fields that every detector has (image, backbone, anchors, detection) are those of
    `DetectorConfig`; these are added.
    """

    LOSSES: ClassVar = ("objectness", "rpn_box", "class", "box", "mask")

    # --- region proposal network ---------------------------------------------------------
    rpn_convs: int = 1
    rpn_channels: int = 0  # of these convolutions; 0: as many as the pyramid has
    rpn_positive_iou: float = 0.7
    rpn_negative_iou: float = 0.3
    rpn_samples: int = 256
    rpn_positive_fraction: float = 0.5
    rpn_box_std: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    rpn_nms_iou: float = 0.7
    rpn_min_size: float = 1e-3
    proposals_joint: bool = False  # all levels compete; False: each level has its own NMS
    proposals_before_nms_train: int = 2000  # a level, or all levels together where joint
    proposals_train: int = 2000  # an image
    proposals_before_nms: int = 1000
    proposals: int = 1000

    # --- regions of interest -------------------------------------------------------------
    roi_positive_iou: float = 0.5
    roi_samples: int = 512
    roi_positive_fraction: float = 0.25
    roi_box_std: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    roi_op: str = "align"  # or what came before, "pool", or an approximation, "crop_and_resize"
    # The next two are of "align" alone.
    roi_sampling_ratio: int = 2  # samples a bin along each axis; 0: as many as the bin has cells
    roi_aligned: bool = False  # True shifts by half a cell (Detectron2); False is torchvision's
    roi_canonical_size: float = 224.0  # a RoI of this size belongs to ...
    roi_canonical_level: int = 4  # ... this level
    roi_level_rounding: str = "down"  # or "nearest": between two levels
    box_pool: int = 7
    mask_pool: int = 14

    # --- heads ---------------------------------------------------------------------------
    box_convs: tuple[int, ...] = ()  # channels of the 3x3 convolutions before the dense layers
    box_dense: tuple[int, ...] = (1024, 1024)
    mask_convs: tuple[int, ...] = (256, 256, 256, 256)
    mask_channels: int = 256  # after the transposed convolution
    heads_batch_norm: bool = False
    class_agnostic: bool = False  # one box and one mask a RoI instead of one for each class

    # --- losses --------------------------------------------------------------------------
    smooth_l1_beta: float = 1 / 9
    class_focal: float = 0.0  # gamma of the focal class loss (Lin et al. 2017); 0: cross-entropy

    # --- detection -----------------------------------------------------------------------
    detection_rule: str = "every_class"  # or "top_class": a RoI is only what it most likely is
    box_passes: int = 1  # how often the box head refines a box, looking again at what it made

    @classmethod
    def presets(cls) -> dict[str, "Config"]:
        """Mask R-CNN's presets by name."""
        return PRESETS

    def fitted(self, average: float, most: int) -> tuple["Config", list[str]]:
        """See `DetectorConfig.fitted`; crowded images also get more proposals and samples."""
        config, notes = super().fitted(average, most)
        if config.detections != self.detections:
            needed = 2 * config.detections
            config = config.replace(
                proposals=max(self.proposals, needed),
                proposals_before_nms=max(self.proposals_before_nms, needed),
            )
        samples = min(max(8 * round(average * 2 / 8), self.roi_samples), MOST_SAMPLES)
        if samples > self.roi_samples:
            notes.insert(
                0, f"{average:.0f} objects in an average image: {samples} RoIs are sampled."
            )
            config = config.replace(
                roi_samples=samples,
                rpn_samples=2 * self.rpn_samples,
                proposals_train=3 * samples,
                proposals_before_nms_train=6 * samples,
            )
        return config, notes

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self._not_above_zero(
            "rpn_convs rpn_samples proposals_before_nms_train proposals_train proposals_before_nms "
            "proposals roi_samples box_pool mask_pool mask_channels roi_canonical_size".split()
        )
        yield from self._not_a_share(
            "rpn_positive_iou rpn_negative_iou rpn_positive_fraction rpn_nms_iou "
            "roi_positive_iou roi_positive_fraction".split()
        )
        yield from self._not_among(CHOICES)
        yield from self._of_wrong_length({"rpn_box_std": 4, "roi_box_std": 4})
        yield from self._with_values_not_above_zero(
            "rpn_box_std roi_box_std box_convs box_dense mask_convs".split()
        )
        yield from self._negative(
            "class_focal roi_sampling_ratio rpn_channels smooth_l1_beta rpn_min_size".split()
        )
        if self.strides[:4] != (4, 8, 16, 32) or any(
            b != 2 * a for a, b in zip(self.strides, self.strides[1:], strict=False)
        ):
            yield f"'strides' must be 4, 8, 16, 32 and go on doubling, got {self.strides}"
        if self.box_passes < 1:
            yield f"'box_passes' must be at least 1, got {self.box_passes}"
        if self.box_passes > 1 and not self.class_agnostic:
            yield "'box_passes' above 1 needs 'class_agnostic': a RoI must have one box to refine"
        if self.rpn_negative_iou > self.rpn_positive_iou:
            yield "'rpn_negative_iou' must not be above 'rpn_positive_iou'"


MOST_SAMPLES = 64  # RoIs an image; the heads' time grows with them
CHOICES = {
    "mask_paste": ("exact", "integer", "in_box"),  # masks are grids in boxes
    "resize": ("shortest_edge", "square", "none"),  # its pyramid wants multiples of 32
    "roi_op": ("align", "pool", "crop_and_resize"),
    "roi_level_rounding": ("down", "nearest"),
    "detection_rule": ("every_class", "top_class"),
}

# Mask R-CNN (He et al. 2017) on a feature pyramid (Lin et al. 2017), with the paper's numbers.
_R50_FPN = Config()

# The same network as torchvision builds it, so that its published weights give its detections.
# Its images are RGB in 0..1; ours are in 0..255.
_TORCHVISION_V1 = _R50_FPN.replace(
    image_mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    image_std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    resize_filter="bilinear",
    stride_in_1x1=False,
    batch_norm_momentum=0.9,
    batch_norm_epsilon=1e-5,
    mask_paste="integer",
)

# Matterport's (2017-2019, TensorFlow 1), so that its weights give its detections. The norms of its
# heads are folded into the layers before them when a file is read: they were never trained.
_MATTERPORT = _R50_FPN.replace(
    image_max_side=1024,
    resize="square",
    resize_filter="black_border",
    pad_multiple=64,
    image_mean=(123.7, 116.8, 103.9),
    backbone_blocks=(3, 4, 23, 3),  # "resnet101" in the spelling of runs that exist
    stem_pool_padding="far_side",
    batch_norm_epsilon=1e-3,
    anchor_ratios=(2.0, 1.0, 0.5),  # it counts width / height
    anchor_rounding=False,
    rpn_channels=512,
    rpn_box_std=(0.1, 0.1, 0.2, 0.2),
    rpn_min_size=0.0,
    proposals_joint=True,
    proposals_before_nms_train=6000,
    proposals_before_nms=6000,
    roi_samples=200,
    roi_positive_fraction=0.33,
    roi_op="crop_and_resize",
    roi_level_rounding="nearest",
    smooth_l1_beta=1.0,
    inclusive_boxes=True,
    detection_rule="top_class",
    score_threshold=0.7,
    nms_iou=0.3,
    whole_pixel_boxes=True,
    mask_paste="in_box",
)

# Detectron2's (2019), so that its weights give its detections. Its images are BGR: its first kernel
# is turned around when a file is read, and here the mean.
_DETECTRON2 = _R50_FPN.replace(
    resize_rounding="nearest",
    image_mean=(123.675, 116.28, 103.53),
    batch_norm_epsilon=1e-5,
    anchor_rounding=False,
    anchor_strides="level",
    rpn_min_size=0.0,
    proposals_train=1000,
    roi_sampling_ratio=0,
    roi_aligned=True,
    smooth_l1_beta=0.0,
)

# What the presets made for two CPU cores have in common.
_TWO_CORES = _R50_FPN.replace(
    anchor_rounding=False,  # half a pixel matters to a 12 px anchor
    anchor_offset=0.5,
    rpn_positive_iou=0.6,
    rpn_samples=128,
    rpn_box_std=(0.2, 0.2, 0.3, 0.3),
    proposals_before_nms=400,
    proposals=200,
    roi_positive_fraction=0.5,
    roi_aligned=True,
    class_agnostic=True,  # every object teaches boxes and masks, whatever its class
    mini_mask=56,
    box_passes=2,  # a short training refines in small steps
)

PRESETS = {
    "r50_fpn": _R50_FPN,
    "torchvision_v1": _TORCHVISION_V1,
    # Li et al. 2021: batch norm in pyramid and heads, a second RPN convolution, four more in the
    # box head.
    "torchvision_v2": _TORCHVISION_V1.replace(
        fpn_batch_norm=True,
        rpn_convs=2,
        box_convs=(256, 256, 256, 256),
        box_dense=(1024,),
        heads_batch_norm=True,
    ),
    "matterport": _MATTERPORT,
    "detectron2": _DETECTRON2,
    # For photographs on two CPU cores: a pretrained backbone whose first half stays as it is, and
    # heads like tiny's. Detection sees larger pictures than training, which shrinks them at random
    # (see TrainSettings): small objects are then found that training had no time for. How large an
    # object looks matters, and not the size of the picture (Touvron et al. 2019).
    "lite0_fpn": _TWO_CORES.replace(
        image_min_side=640,
        image_max_side=1067,
        backbone="efficientnet_lite0",
        freeze_at=3,
        batch_norm_momentum=0.9,  # from noise: a few hundred steps must suffice for the statistics
        fpn_channels=96,
        anchor_sizes=(24, 48, 96, 192, 320),
        rpn_nms_iou=0.7,
        proposals_before_nms_train=400,
        proposals_train=64,
        roi_positive_iou=0.5,
        roi_samples=32,
        box_convs=(96,),
        box_dense=(512,),
        mask_convs=(96, 96),
        mask_channels=96,
    ),
    # Images of 128 to 256 px and a network of some three million parameters, which learns from
    # noise on two cores in minutes: fewer channels and RoIs than the paper's.
    "tiny": _TWO_CORES.replace(
        image_min_side=128,
        image_max_side=256,
        image_mean=(127.5, 127.5, 127.5),
        image_std=(64.0, 64.0, 64.0),
        backbone="tiny",
        stem_channels=24,
        freeze_batch_norm=False,
        fpn_channels=64,
        anchor_sizes=(12, 24, 48, 96, 160),
        rpn_nms_iou=0.6,
        proposals_before_nms_train=200,
        proposals_train=48,  # about ten an object; more would only be worse ones
        roi_positive_iou=0.6,
        roi_samples=24,
        roi_sampling_ratio=1,
        box_convs=(64,),
        box_dense=(256,),
        mask_convs=(64, 64),
        mask_channels=64,
    ),
}
