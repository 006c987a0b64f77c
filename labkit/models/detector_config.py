"""The settings that every detector has: what it sees, its backbone, its pyramid, what it returns.

A detector's own settings extend these: `labkit.models.config.Config` is Mask R-CNN's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from labkit.frozen import Frozen, FrozenDict
from labkit.models.backbones import BACKBONES


@dataclass(frozen=True)
class DetectorConfig(Frozen):
    """The shape and the rules of a detector. Lengths are pixels of the resized image."""

    LOSSES: ClassVar[tuple[str, ...]] = ()  # names of the losses, in the order they are reported
    LOSS_WEIGHTS: ClassVar[dict[str, float]] = {}  # of losses whose weight is not 1 by default

    # --- image: what the network sees ----------------------------------------------------
    image_min_side: int = 800  # the shorter side is resized to this ...
    image_max_side: int = 1333  # ... unless the longer one would pass this
    resize: str = "shortest_edge"  # or "none", "square", "stretch": see labkit/models/resize.py
    resize_rounding: str = "down"  # of "shortest_edge"; or "nearest" whole pixel
    resize_filter: str = "antialias"  # or "bilinear", "black_border": see labkit/models/resize.py
    pad_multiple: int = 32  # the coarsest feature map's stride: images are padded to it
    image_mean: tuple[float, ...] = (123.68, 116.779, 103.939)  # RGB, 0..255
    image_std: tuple[float, ...] = (1.0, 1.0, 1.0)

    # --- backbone and pyramid ------------------------------------------------------------
    # Another name in `labkit.models.backbones.BACKBONES`, given to `replace` or `preset`, brings
    # what its ImageNet weights need, image_mean for one; the constructor takes fields as they are.
    backbone: str = "resnet50"
    backbone_channels: tuple[int, ...] = ()  # of C2..C5; (): what the backbone has by default
    backbone_blocks: tuple[int, ...] = ()  # of C2..C5; (): what the backbone has by default
    stem_channels: int = 64
    stem_pool_padding: str = "both_sides"  # of the 3x3 max-pool; "far_side": TensorFlow's 'same'
    stride_in_1x1: bool = True  # where a bottleneck halves the map: its 1x1 (Keras) or its 3x3
    freeze_at: int = 0  # what leads up to this map (2 for C2) is not trained; 0: all is
    freeze_batch_norm: bool = True  # batches of two are too small for statistics
    batch_norm_momentum: float = 0.99
    batch_norm_epsilon: float = 1.001e-5
    leaky_slope: float = 0.1  # of Darknet's activation below 0
    fpn_channels: int = 256
    fpn_batch_norm: bool = False
    strides: tuple[int, ...] = (4, 8, 16, 32, 64)  # pixels of the image a cell of P2..P6 covers

    # --- anchors -------------------------------------------------------------------------
    anchor_sizes: tuple[float, ...] = (32, 64, 128, 256, 512)  # sqrt(area), one a level P2..P6
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    anchor_rounding: bool = True  # whole-pixel anchors, as torchvision's
    anchor_offset: float = 0.0  # of a cell: 0 its corner, 0.5 its centre
    anchor_strides: str = "whole"  # or "exact" (YOLACT), "level" (Detectron2: `strides`)
    square_anchors: bool = False  # ratios change the size alone: see `labkit.ops.anchors`

    # --- losses --------------------------------------------------------------------------
    loss_weights: dict[str, float] | None = None  # by name; a loss that is not named has weight 1
    class_weights: tuple[float, ...] = ()  # of background and each class in the class loss

    # --- detection -----------------------------------------------------------------------
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    detections: int = 100
    inclusive_boxes: bool = False  # True: boxes end *at* their last pixel, see models/inclusive.py
    whole_pixel_boxes: bool = False  # True rounds boxes and drops those with nothing left
    mask_paste: str = "exact"  # or "integer", "in_box", "whole": see `models.detections.Detections`

    # --- training batches ----------------------------------------------------------------
    mini_mask: int = 56  # side of the stored training masks; 0 keeps masks of the image's size
    max_instances: int = 100  # an image; what exceeds it is counted and reported
    max_crowds: int = 0  # whose boxes a batch has, for detectors that spare them
    seed: int = 0  # of weights, samples and batches

    @property
    def anchors_per_cell(self) -> int:
        """How many anchors stand at each cell of a feature map."""
        return len(self.anchor_ratios)

    @property
    def canvas_multiple(self) -> int:
        """The sides of training images are multiples of this, as those of padded ones are."""
        return 1 if self.resize == "stretch" else 32

    def fitted(self, average: float, most: int) -> tuple["DetectorConfig", list[str]]:
        """This config with room for the objects of a data set, and a sentence for each change.

        Args:
            average: objects in an average image.
            most: objects in the most crowded image.
        """
        config, notes = self.replace(max_instances=max(8, most)), []
        if most > 0.7 * self.detections:
            # Half as many again as the most crowded image had: another one may be worse.
            detections = -(-most * 15 // 1000) * 100
            notes.append(f"Up to {most} objects in an image: {detections} detections are kept.")
            config = config.replace(detections=detections)
        return config, notes

    def from_noise(self) -> Self:
        """This config for a backbone of random weights: what was not trained must not be frozen."""
        return self.replace(freeze_batch_norm=False, freeze_at=0)

    def replace(self, **changes) -> Self:
        """A copy with some fields changed. Raises LabkitError for a name that does not exist.

        Another backbone brings its own channels and blocks, unless these were chosen by hand, and
        the settings that its ImageNet weights were trained with, pixels among them, unless they
        are among the changes: those of the backbone before would be wrong for it.
        """
        if changes.get("backbone", self.backbone) != self.backbone:
            changes = self._brought_by(changes["backbone"]) | changes
        return super().replace(**changes)

    def _brought_by(self, backbone: str) -> dict:
        """The fields that change with the backbone. What two backbones share stays as it is."""
        defaults = _backbone_defaults(self.backbone)
        own = {name: () for name, value in defaults.items() if getattr(self, name) == value}
        before = _backbone_settings(self.backbone)
        needed = _backbone_settings(backbone).items()
        return own | {name: value for name, value in needed if before.get(name) != value}

    def _prepare(self) -> None:
        for name, value in _backbone_defaults(self.backbone).items():
            if getattr(self, name) == ():
                self._set(name, value)
        given = weights_by_name(self.loss_weights or {}, self.LOSSES)
        if isinstance(given, dict):
            given = FrozenDict({n: self.LOSS_WEIGHTS.get(n, 1.0) for n in self.LOSSES} | given)
        self._set("loss_weights", given)

    def _problems(self) -> Iterator[str]:
        positive = "image_min_side image_max_side pad_multiple stem_channels fpn_channels"
        positive += " detections max_instances"
        yield from self._not_above_zero(positive.split())
        yield from self._not_a_share("score_threshold nms_iou anchor_offset".split())
        yield from self._not_a_share(["batch_norm_momentum", "leaky_slope"])
        yield from self._not_among(CHOICES)
        lengths = {"image_mean": 3, "image_std": 3, "anchor_sizes": len(self.strides)}
        own = _backbone_defaults(self.backbone)
        yield from self._of_wrong_length(lengths | {name: len(v) for name, v in own.items()})
        names = "image_std strides anchor_sizes anchor_ratios backbone_channels backbone_blocks"
        yield from self._with_values_not_above_zero(names.split())
        yield from self._unusable_loss_weights()
        if not self.anchor_ratios:
            yield "'anchor_ratios' must have at least one value"
        if self.class_weights and (min(self.class_weights) < 0 or max(self.class_weights) == 0):
            given = self.class_weights
            yield f"'class_weights' must not be negative, nor all of them 0, got {given}"
        if self.resize != "none" and self.image_max_side > LARGEST_SIDE:
            yield (
                f"'image_max_side' must be at most {LARGEST_SIDE}, got {self.image_max_side}: no "
                "memory holds the features of such an image; cut it into tiles"
            )
        if self.image_max_side < self.image_min_side:
            yield "'image_max_side' must not be below 'image_min_side'"
        if self.resize == "square" and self.image_max_side % self.pad_multiple:
            yield (
                "'image_max_side' must be a multiple of 'pad_multiple' where 'resize' is square, "
                f"got {self.image_max_side} and {self.pad_multiple}"
            )
        if self.resize == "stretch" and self.image_max_side != self.image_min_side:
            yield (
                "'image_min_side' and 'image_max_side' must be equal where 'resize' is stretch, "
                f"got {self.image_min_side} and {self.image_max_side}"
            )
        if self.pad_multiple % 32:
            given = self.pad_multiple
            yield f"'pad_multiple' must be a multiple of 32, the stride of C5, got {given}"
        if self.freeze_at not in (0, 2, 3, 4, 5):
            yield f"'freeze_at' must be 0 (nothing), or 2 to 5 for C2 to C5, got {self.freeze_at}"
        # An epsilon of 0: torchvision's COCO weights want that.
        yield from self._negative("mini_mask max_crowds seed batch_norm_epsilon".split())
        if self.seed >= 2**32:
            yield f"'seed' must be below 2**32, got {self.seed}: NumPy takes no larger one"

    def _unusable_loss_weights(self) -> Iterator[str]:
        weights = self.loss_weights
        if not isinstance(weights, dict):
            yield (
                f"'loss_weights' must be a dict of weights by name ({', '.join(self.LOSSES)}), got "
                f"{weights!r}"
            )
            return
        for name, weight in weights.items():
            if name not in self.LOSSES:
                yield (
                    f"'loss_weights' names the loss '{name}', which does not exist; there are: "
                    f"{', '.join(self.LOSSES)}"
                )
            elif isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
                yield (
                    f"'loss_weights' must be numbers and not negative, got {weight!r} for '{name}'"
                )

    def _not_a_share(self, names) -> Iterator[str]:
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                yield f"'{name}' must lie between 0 and 1, got {getattr(self, name)}"

    def _not_among(self, choices: dict[str, tuple[str, ...]]) -> Iterator[str]:
        for name, known in choices.items():
            if getattr(self, name) not in known:
                yield f"'{name}' must be one of {', '.join(known)}, got '{getattr(self, name)}'"

    def _of_wrong_length(self, lengths: dict[str, int]) -> Iterator[str]:
        for name, length in lengths.items():
            if len(getattr(self, name)) != length:
                yield f"'{name}' must have {length} values, got {len(getattr(self, name))}"

    def _with_values_not_above_zero(self, names) -> Iterator[str]:
        for name in names:
            if any(v <= 0 for v in getattr(self, name)):
                yield f"every value of '{name}' must be above 0, got {getattr(self, name)}"


def weights_by_name(weights, names: tuple[str, ...]):
    """Loss weights by name. Runs from before they had names hold them in the losses' order.

    Args:
        weights: a dict, or a list or tuple with a number for each name. Anything else comes back as
            it is, for the caller to refuse.
        names: the losses, in their order.
    """
    if isinstance(weights, list | tuple) and len(weights) == len(names):
        return dict(zip(names, weights, strict=True))
    return weights


def _backbone_settings(backbone: str) -> Mapping[str, object]:
    """The fields that a backbone's ImageNet weights need; none for an unknown backbone."""
    return BACKBONES[backbone].settings if backbone in BACKBONES else {}


def _backbone_defaults(backbone: str) -> dict[str, tuple[int, ...]]:
    """The fields that have a default for each backbone; none for an unknown backbone."""
    if backbone not in BACKBONES:
        return {}
    known = BACKBONES[backbone]
    return {"backbone_channels": known.channels, "backbone_blocks": known.blocks}


LARGEST_SIDE = 16384  # pixels of an image as the network sees it

CHOICES = {
    "resize": ("shortest_edge", "square", "stretch", "none"),
    "resize_rounding": ("down", "nearest"),
    "anchor_strides": ("whole", "exact", "level"),
    "resize_filter": ("antialias", "bilinear", "black_border"),
    "backbone": BACKBONES,
    "stem_pool_padding": ("both_sides", "far_side"),
    "mask_paste": ("exact", "integer", "in_box", "whole"),
}
