"""Every number of a YOLACT in one frozen place, and its presets.

YolactConfig.preset("yolact_tiny", detections=50)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from labkit.models.detector_config import DetectorConfig


@dataclass(frozen=True)
class YolactConfig(DetectorConfig):
    """The shape and the rules of a YOLACT. Lengths are pixels of the resized image.

    The fields that every detector has (image, backbone, anchors, detection) are those of
    `DetectorConfig`; some have other defaults here, and these are added.
    """

    LOSSES: ClassVar = ("class", "box", "mask", "semantic")
    LOSS_WEIGHTS: ClassVar = {"box": 1.5, "mask": 6.125}

    # --- what DetectorConfig has, with YOLACT's numbers ----------------------------------
    image_min_side: int = 550
    image_max_side: int = 550
    resize: str = "stretch"
    resize_filter: str = "bilinear"
    image_mean: tuple[float, ...] = (123.68, 116.78, 103.94)
    image_std: tuple[float, ...] = (58.40, 57.12, 57.38)
    stride_in_1x1: bool = False
    batch_norm_momentum: float = 0.9
    batch_norm_epsilon: float = 1e-5
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)  # from P3 on; from 4 on they begin with P2
    anchor_sizes: tuple[float, ...] = (24, 48, 96, 192, 384)
    anchor_ratios: tuple[float, ...] = (1.0, 2.0, 0.5)
    anchor_rounding: bool = False
    anchor_offset: float = 0.5
    anchor_strides: str = "exact"
    mask_paste: str = "whole"
    mini_mask: int = 112  # an object may be as large as the image: half of the prototypes' cells

    # --- prototypes and head -------------------------------------------------------------
    prototypes: int = 32
    prototype_convs: int = 3  # on the finest map, before it is enlarged to twice its size
    prototype_channels: int = 0  # of these convolutions; 0: as many as the pyramid has
    head_channels: int = 0  # of the convolution that the three outputs share; 0: likewise
    group_norm: bool = False  # in pyramid, prototypes and head: to learn from noise

    # --- matching ------------------------------------------------------------------------
    positive_iou: float = 0.5
    negative_iou: float = 0.4
    crowd_share: float = 0.7  # of an anchor in a crowd, from which it is neither
    max_crowds: int = 8  # of an image that training looks at
    box_std: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)

    # --- losses --------------------------------------------------------------------------
    negatives: float = 3.0  # hard ones for each positive
    smooth_l1_beta: float = 1.0
    mask_samples: int = 100  # positives of an image whose masks are assembled, at most

    # --- detection -----------------------------------------------------------------------
    nms: str = "fast"  # or "cross_class" (Fast NMS among all classes), "ordinary" (greedy)
    nms_candidates: int = 200  # of each class that Fast NMS compares
    faithful: bool = False  # True copies the original's faults too: see labkit/models/yolact.py

    @classmethod
    def presets(cls) -> dict[str, "YolactConfig"]:
        """YOLACT's presets by name."""
        return PRESETS

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self._not_above_zero("prototypes mask_samples nms_candidates".split())
        yield from self._not_a_share("positive_iou negative_iou crowd_share".split())
        yield from self._not_among(CHOICES)
        yield from self._of_wrong_length({"box_std": 4})
        yield from self._with_values_not_above_zero(["box_std"])
        yield from self._negative(
            "prototype_convs prototype_channels head_channels negatives smooth_l1_beta".split()
        )
        first = self.strides[:1]
        doubling = all(b == 2 * a for a, b in zip(self.strides, self.strides[1:], strict=False))
        if first not in ((4,), (8,)) or not doubling or self.strides[-1] < 32:
            yield (
                f"'strides' must begin with 4 or 8 and double up to 32 at least, got {self.strides}"
            )
        if self.negative_iou > self.positive_iou:
            yield "'negative_iou' must not be above 'positive_iou'"
        if self.inclusive_boxes:
            yield "'inclusive_boxes' is Mask R-CNN's alone: leave it False"


CHOICES = {
    "nms": ("fast", "cross_class", "ordinary"),
    "mask_paste": ("whole",),  # masks span the image
    "resize": ("stretch", "shortest_edge", "none"),
}

# YOLACT (Bolya et al. 2019) as its published weights want it.
_R50 = YolactConfig(square_anchors=True)
_R101 = _R50.replace(backbone_blocks=(3, 4, 23, 3))

PRESETS = {
    "yolact_r50": _R50,
    "yolact_darknet53": YolactConfig(
        backbone="darknet53",
        image_mean=(0.0, 0.0, 0.0),
        image_std=(255.0, 255.0, 255.0),
        square_anchors=True,
    ),
    "yolact_base": _R101,
    "yolact_im700": _R101.replace(
        image_min_side=700,
        image_max_side=700,
        anchor_sizes=(30, 61, 122, 244, 488),
        mask_samples=300,
        mini_mask=144,
    ),
    # For photographs on two CPU cores: the backbone of lite0_fpn, and as much room in the head.
    "yolact_lite0": YolactConfig(
        image_min_side=448,
        image_max_side=748,
        resize="shortest_edge",
        resize_filter="antialias",
        image_mean=(127.0, 127.0, 127.0),
        image_std=(128.0, 128.0, 128.0),
        backbone="efficientnet_lite0",
        freeze_at=3,
        batch_norm_epsilon=1e-3,
        fpn_channels=96,
        anchor_sizes=(24, 48, 96, 192, 320),
        mini_mask=56,
    ),
    # Images of 128 to 256 px and a network that learns from noise. Prototypes have a cell for every
    # two pixels, because objects of twenty pixels are outlined by them. An anchor is five cells
    # wide, where YOLACT's own are three: more anchors are positive, and see more of their object.
    "yolact_tiny": YolactConfig(
        image_min_side=128,
        image_max_side=256,
        resize="shortest_edge",
        resize_filter="antialias",
        image_mean=(127.5, 127.5, 127.5),
        image_std=(64.0, 64.0, 64.0),
        backbone="tiny",
        stem_channels=24,
        freeze_batch_norm=False,
        fpn_channels=64,
        group_norm=True,
        strides=(4, 8, 16, 32),
        anchor_sizes=(20, 40, 80, 160),
        prototypes=16,
        prototype_convs=1,
        prototype_channels=48,
        mini_mask=56,
    ),
}
