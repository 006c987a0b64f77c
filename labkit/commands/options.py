"""Options that several commands share: on which data, with which model, as JSON or not."""

from labkit.commands.numbers import multiple_of_32, positive_int, size_or_native
from labkit.commands.weights import SOURCES
from labkit.models.registry import presets


def add_training_data(group) -> None:
    """--data, or --annotations with --images."""
    group.add_argument(
        "--data",
        metavar="PATH",
        help="a folder or file of annotated pictures, in any format that `labkit inspect` knows "
        "(`labkit train` measures its validation split). Or a name: shapes (drawn), digits, "
        "collage, nuclei, balloon, penn-fudan, coco, ... (downloaded to $LABKIT_DATA)",
    )
    group.add_argument("--annotations", metavar="FILE", help="or the annotations ...")
    group.add_argument("--images", metavar="DIR", help="... and the folder of their pictures")


def add_evaluation_data(group) -> None:
    """--annotations with --images, or --data with --split and --image-size."""
    group.add_argument("--annotations", metavar="FILE", help="the ground truth: a COCO json ...")
    group.add_argument("--images", metavar="DIR", help="... and the folder of its pictures")
    group.add_argument(
        "--data",
        metavar="PATH",
        help="or a folder or file in any format (its validation split), or a name of the "
        "catalogue: of shapes, digits and collage, 100 pictures that `labkit train` never shows",
    )
    group.add_argument("--split", metavar="NAME", help="another split of --data, e.g. test")
    group.add_argument(
        "--image-size",
        type=positive_int,
        metavar="N",
        help="side of drawn pictures in pixels (default: 128; collage: 384)",
    )


def add_batches(group) -> None:
    """--batch-size and --seed."""
    group.add_argument("--batch-size", type=positive_int, metavar="N", help="pictures in a step")
    group.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of weights and batches: the same seed starts the same run (default: 0)",
    )


def add_model(parser) -> None:
    """The group of options that make a Config: preset, sizes, backbone, any field by name."""
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--preset",
        choices=tuple(presets()),
        help="lite0_fpn: pretrained, fine-tunes on photographs on two CPU cores (the default for "
        "pictures); tiny: small, learns from noise (the default for drawn data); r50_fpn: the "
        "paper's, needs a GPU. yolact_lite0, yolact_tiny and yolact_r50 are their counterparts "
        "with YOLACT, which finds masks in one pass. The others are the networks that torchvision, "
        "Matterport and YOLACT publish weights for",
    )
    model.add_argument(
        "--weights",
        metavar="SOURCE",
        help=f"start from {SOURCES}. They bring their network; classes that they know by name keep "
        "what they have learnt of them, the others start anew",
    )
    model.add_argument(
        "--image-size",
        type=size_or_native,
        metavar="N",
        help="pixels that a picture's shorter side is resized to (both sides, where the preset "
        "stretches pictures to a square), or 'native' to keep its size",
    )
    model.add_argument(
        "--crop",
        type=multiple_of_32,
        metavar="N",
        help="side of the windows that training sees, a multiple of 32 (default: whole pictures "
        "where they fit, else 256)",
    )
    model.add_argument(
        "--backbone-weights",
        choices=("imagenet", "none"),
        help="what the backbone starts from (default: imagenet, where the backbone has such "
        "weights: those of lite0_fpn come with labkit, those of r50_fpn are downloaded once by "
        "Keras, and tiny has none)",
    )
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a field of Config or TrainSettings; may be repeated",
    )


def add_json(group) -> None:
    """--json."""
    group.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")
