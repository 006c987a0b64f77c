"""Options that several commands share: which data to learn from, and which model of it."""

from labkit.commands.numbers import multiple_of_32, size_or_native, whole
from labkit.models.config import PRESETS


def add_training_data(group) -> None:
    """--data, or --annotations with --images."""
    group.add_argument(
        "--data",
        metavar="PATH",
        help="a folder or file of annotated pictures, in any format that `labkit inspect` knows "
        "(`labkit train` measures its validation split). Or a name: shapes (drawn), digits, "
        "nuclei, balloon, penn-fudan, coco, ... (downloaded to $LABKIT_DATA)",
    )
    group.add_argument("--annotations", metavar="FILE", help="or the annotations ...")
    group.add_argument("--images", metavar="DIR", help="... and the folder of their pictures")


def add_batches(group) -> None:
    """--batch-size and --seed."""
    group.add_argument("--batch-size", type=whole, metavar="N", help="pictures in a step")
    group.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of weights and batches: the same seed starts the same run (default: 0)",
    )


def add_model(parser) -> None:
    """The group of options that make a Config: preset, sizes, backbone, any field by name."""
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="tiny: made for two CPU cores (the default); r50_fpn: the paper's, wants a GPU",
    )
    model.add_argument(
        "--image-size",
        type=size_or_native,
        metavar="N",
        help="pixels that a picture's shorter side is resized to, or 'native' to leave its size",
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
        help="what the backbone starts from (default: imagenet, downloaded once by Keras, where "
        "the backbone has such weights: r50_fpn does, tiny does not)",
    )
    model.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a field of Config or TrainSettings; may be repeated",
    )
