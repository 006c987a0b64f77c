"""Every number of the model in one frozen place.

A `Config` is made from a preset and changed by keyword:

    Config.preset("tiny", image_min_side=192, detections=300)

It refuses names it does not know and values that cannot work, so that a typo costs a second and
not a night of training. The presets' numbers and where they come from stand beside them.
"""

import dataclasses
import difflib
import json
from dataclasses import dataclass

from labkit.errors import LabkitError
from labkit.frozen import check_types, make_tuples
from labkit.models.backbones import BACKBONES


@dataclass(frozen=True)
class Config:
    """The shape and the rules of a Mask R-CNN. Lengths are pixels of the resized image."""

    # --- image: what the network sees ----------------------------------------------------
    image_min_side: int = 800  # the shorter side is resized to this ...
    image_max_side: int = 1333  # ... unless the longer one would pass this
    resize: str = "shortest_edge"  # or "none", or "square": see labkit/resize.py
    resize_filter: str = "antialias"  # or "bilinear", "black_border": see labkit/resize.py
    pad_multiple: int = 32  # the coarsest feature map's stride: images are padded to it
    image_mean: tuple[float, ...] = (123.68, 116.779, 103.939)  # RGB, 0..255
    image_std: tuple[float, ...] = (1.0, 1.0, 1.0)

    # --- backbone and pyramid ------------------------------------------------------------
    backbone: str = "resnet50"  # or another name in `labkit.models.backbones.BACKBONES`
    backbone_channels: tuple[int, ...] = ()  # of C2..C5; (): what the backbone has by default
    backbone_blocks: tuple[int, ...] = ()  # of C2..C5; (): what the backbone has by default
    stem_channels: int = 64
    stem_pool_padding: str = "both_sides"  # of the 3x3 max-pool; "far_side": TensorFlow's 'same'
    stride_in_1x1: bool = True  # where a bottleneck halves the map: its 1x1 (Keras) or its 3x3
    freeze_batch_norm: bool = True  # batches of two are too small for statistics
    batch_norm_momentum: float = 0.99
    batch_norm_epsilon: float = 1.001e-5
    fpn_channels: int = 256
    fpn_batch_norm: bool = False

    # --- anchors -------------------------------------------------------------------------
    anchor_sizes: tuple[float, ...] = (32, 64, 128, 256, 512)  # sqrt(area), one a level P2..P6
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    anchor_rounding: bool = True  # whole-pixel anchors, as torchvision's
    anchor_offset: float = 0.0  # of a cell: 0 its corner, 0.5 its centre

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
    mini_mask: int = 56  # side of the stored training masks; 0 keeps masks of the image's size

    # --- losses --------------------------------------------------------------------------
    smooth_l1_beta: float = 1 / 9
    loss_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)  # in the order of LOSS_NAMES
    class_weights: tuple[float, ...] = ()  # of background and each class in the class loss
    class_focal: float = 0.0  # gamma of the focal class loss (Lin et al. 2017); 0: cross-entropy

    # --- detection -----------------------------------------------------------------------
    inclusive_boxes: bool = False  # True: deltas and IoU of boxes that end *at* their last pixel
    detection_rule: str = "every_class"  # or "top_class": a RoI is only what it most likely is
    box_passes: int = 1  # how often the box head refines a box, looking again at what it made
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    detections: int = 100
    whole_pixel_boxes: bool = False  # True rounds boxes and drops those with nothing left
    mask_paste: str = "exact"  # or "integer", "in_box": see `labkit.models.detections.Detections`

    # --- training batches ----------------------------------------------------------------
    max_instances: int = 100  # an image; what exceeds it is counted and reported
    seed: int = 0  # of weights, samples and batches

    def __post_init__(self):
        make_tuples(self)
        check_types(self)
        for name, value in _backbone_defaults(self.backbone).items():
            if getattr(self, name) == ():
                object.__setattr__(self, name, value)
        for problem in _problems(self):
            raise LabkitError(f"Config: {problem}.")

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image a cell of P2..P6 covers."""
        return (4, 8, 16, 32, 64)

    @property
    def anchors_per_cell(self) -> int:
        return len(self.anchor_ratios)

    def replace(self, **changes) -> "Config":
        """A copy with some fields changed. Raises LabkitError for a name that does not exist.

        Another backbone brings its own channels and blocks, unless these were chosen by hand.
        """
        known = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise LabkitError(f"Config: there is no field '{name}'{hint}")
        if changes.get("backbone", self.backbone) != self.backbone:
            for name, value in _backbone_defaults(self.backbone).items():
                if getattr(self, name) == value:
                    changes.setdefault(name, ())
        return dataclasses.replace(self, **changes)

    @classmethod
    def preset(cls, name: str, **changes) -> "Config":
        """The preset of that name, with changes. See `PRESETS` for the names."""
        if name not in PRESETS:
            known = ", ".join(PRESETS)
            raise LabkitError(f"Config: there is no preset '{name}'; there are: {known}.")
        return PRESETS[name].replace(**changes)

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Config":
        return cls().replace(**values)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)


def _backbone_defaults(backbone: str) -> dict[str, tuple[int, ...]]:
    """The fields that have a default for each backbone; none for an unknown backbone."""
    if backbone not in BACKBONES:
        return {}
    known = BACKBONES[backbone]
    return {"backbone_channels": known.channels, "backbone_blocks": known.blocks}


def _problems(c: Config):
    """Sentences for values that are of the right type and cannot work."""
    positive = (
        "image_min_side image_max_side pad_multiple stem_channels fpn_channels rpn_convs "
        "rpn_samples proposals_before_nms_train proposals_train proposals_before_nms proposals "
        "roi_samples box_pool mask_pool mask_channels detections max_instances roi_canonical_size"
    )
    for name in positive.split():
        if getattr(c, name) <= 0:
            yield f"'{name}' must be above 0, got {getattr(c, name)}"
    fractions = (
        "rpn_positive_iou rpn_negative_iou rpn_positive_fraction rpn_nms_iou roi_positive_iou "
        "roi_positive_fraction score_threshold nms_iou anchor_offset batch_norm_momentum"
    )
    for name in fractions.split():
        if not 0 <= getattr(c, name) <= 1:
            yield f"'{name}' must lie between 0 and 1, got {getattr(c, name)}"
    for name, choices in CHOICES.items():
        if getattr(c, name) not in choices:
            yield f"'{name}' must be one of {', '.join(choices)}, got '{getattr(c, name)}'"
    lengths = dict(
        image_mean=3,
        image_std=3,
        anchor_sizes=5,
        rpn_box_std=4,
        roi_box_std=4,
        loss_weights=5,
    )
    lengths |= {name: len(value) for name, value in _backbone_defaults(c.backbone).items()}
    for name, length in lengths.items():
        if len(getattr(c, name)) != length:
            yield f"'{name}' must have {length} values, got {len(getattr(c, name))}"
    for name in (
        "image_std",
        "anchor_sizes",
        "anchor_ratios",
        "rpn_box_std",
        "roi_box_std",
        "backbone_channels",
        "backbone_blocks",
        "box_convs",
        "box_dense",
        "mask_convs",
    ):
        if any(v <= 0 for v in getattr(c, name)):
            yield f"every value of '{name}' must be above 0, got {getattr(c, name)}"
    if not c.anchor_ratios:
        yield "'anchor_ratios' must have at least one value"
    if any(w < 0 for w in c.loss_weights):
        yield f"'loss_weights' must not be negative, got {c.loss_weights}"
    if c.class_weights and (min(c.class_weights) < 0 or max(c.class_weights) == 0):
        yield f"'class_weights' must not be negative, nor all of them 0, got {c.class_weights}"
    if c.class_focal < 0:
        yield f"'class_focal' must not be negative, got {c.class_focal}"
    if c.box_passes < 1:
        yield f"'box_passes' must be at least 1, got {c.box_passes}"
    if c.box_passes > 1 and not c.class_agnostic:
        yield "'box_passes' above 1 needs 'class_agnostic': a RoI must have one box to go on from"
    if c.rpn_negative_iou > c.rpn_positive_iou:
        yield "'rpn_negative_iou' must not be above 'rpn_positive_iou'"
    if c.image_max_side < c.image_min_side:
        yield "'image_max_side' must not be below 'image_min_side'"
    if c.resize == "square" and c.image_max_side % c.pad_multiple:
        yield (
            "'image_max_side' must be a multiple of 'pad_multiple' where 'resize' is square, got "
            f"{c.image_max_side} and {c.pad_multiple}"
        )
    if c.pad_multiple % 32:
        yield f"'pad_multiple' must be a multiple of 32, the stride of C5, got {c.pad_multiple}"
    if min(c.mini_mask, c.roi_sampling_ratio, c.seed, c.rpn_channels) < 0:
        yield "'mini_mask', 'roi_sampling_ratio', 'seed', 'rpn_channels' must not be negative"
    if c.seed >= 2**32:
        yield f"'seed' must be below 2**32, got {c.seed}: NumPy takes no larger one"
    for name in ("smooth_l1_beta", "rpn_min_size", "batch_norm_epsilon"):
        if getattr(c, name) < 0:  # a norm's 0: torchvision's COCO weights want that
            yield f"'{name}' must not be negative, got {getattr(c, name)}"


CHOICES = {
    "resize": ("shortest_edge", "square", "none"),
    "resize_filter": ("antialias", "bilinear", "black_border"),
    "backbone": BACKBONES,
    "stem_pool_padding": ("both_sides", "far_side"),
    "roi_op": ("align", "pool", "crop_and_resize"),
    "roi_level_rounding": ("down", "nearest"),
    "detection_rule": ("every_class", "top_class"),
    "mask_paste": ("exact", "integer", "in_box"),
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
    # Made for two CPU cores: images of 128 to 256 px and a network of some two million parameters.
    # What differs from the paper, and why, is told in notebook 05's table of choices.
    "tiny": Config(
        image_min_side=128,
        image_max_side=256,
        image_mean=(127.5, 127.5, 127.5),
        image_std=(64.0, 64.0, 64.0),
        backbone="tiny",
        stem_channels=24,
        freeze_batch_norm=False,
        fpn_channels=64,
        anchor_sizes=(12, 24, 48, 96, 160),
        anchor_rounding=False,  # half a pixel matters to a 12 px anchor
        anchor_offset=0.5,
        rpn_positive_iou=0.6,
        rpn_samples=128,
        rpn_box_std=(0.2, 0.2, 0.3, 0.3),
        rpn_nms_iou=0.6,
        proposals_before_nms_train=200,
        proposals_train=48,  # about ten an object; more would only be worse ones
        proposals_before_nms=400,
        proposals=200,
        roi_positive_iou=0.6,
        roi_samples=24,
        roi_positive_fraction=0.5,
        roi_sampling_ratio=1,
        roi_aligned=True,
        class_agnostic=True,  # every object teaches boxes and masks, whatever its class
        box_convs=(64,),
        box_dense=(256,),
        mask_convs=(64, 64),
        mask_channels=64,
        mini_mask=56,
        box_passes=2,  # a short training refines in small steps
    ),
}
