"""Options that say how files of annotations are read: the arguments of the readers, as options.

They are the same for every command that takes files, and all of them are kept in one place,
`args.reader`, from which `labkit.commands.sources` hands them to `load_dataset`. A format has its
own few; where another one is given, the error lists them.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

from labkit.commands.numbers import positive_int


def names(text: str) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in text.split(",")]


def values(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [value(number) for number in text.split(",")]


def value(text: str) -> int:
    """The value of a pixel in a label map."""
    return 0 if text.strip() == "0" else positive_int(text.strip())


class ReaderOption(NamedTuple):
    """An argument of readers as an option; without a metavar it is a switch."""

    name: str
    help: str
    metavar: str | None = None
    type: Callable = str


READER_OPTIONS = (
    ReaderOption(
        "format",
        "the format of the annotations, where several fit, e.g. coco, yolo, label_maps",
        "NAME",
    ),
    ReaderOption("class_attribute", "VIA: the region attribute that holds the class", "NAME"),
    ReaderOption(
        "class_names", "the classes in their order, where the files do not say", "A,B,...", names
    ),
    ReaderOption("class_name", "label maps and mask folders: the name of the one class", "NAME"),
    ReaderOption("boxes_as_masks", "take a box without a mask for a rectangular mask"),
    ReaderOption("crowds_as_instances", "COCO: take what is marked as a crowd for one object"),
    ReaderOption(
        "connected_components",
        "label maps and mask folders: each connected part of a value or mask is an object",
    ),
    ReaderOption("background", "label maps: the value that is no object (default: 0)", "N", value),
    ReaderOption("void", "label maps: further values that are no objects", "N,N,...", values),
    ReaderOption("colour_coded", "label maps with colours: each colour is an object"),
    ReaderOption("stuff", "COCO panoptic: 'skip' leaves segments of stuff out", "WHAT"),
)


def add_reader_options(parser) -> None:
    """The group of options of readers; what is given is in `args.reader`, by the readers' names."""
    group = parser.add_argument_group(
        "how the files are read", "labkit looks into them; say here what it cannot see"
    )
    for option in READER_OPTIONS:
        more = {"nargs": 0} if option.metavar is None else {"metavar": option.metavar}
        group.add_argument(
            f"--{option.name.replace('_', '-')}",
            action=_Keep,
            dest="reader",
            default={},
            const=option.name,
            type=option.type,
            help=option.help,
            **more,
        )


class _Keep(argparse.Action):
    """Adds an argument to the dictionary `args.reader`."""

    def __call__(self, parser, namespace, given, option_string=None):
        given = True if self.nargs == 0 else given
        setattr(namespace, self.dest, getattr(namespace, self.dest) | {self.const: given})
