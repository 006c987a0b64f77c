"""`labkit detect`: pictures in, pictures with masks and a COCO json out."""

import json
import sys
from pathlib import Path

from labkit.commands.numbers import fraction, positive_int
from labkit.commands.sources import image_files
from labkit.commands.weights import SOURCES, model_of
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow

NAME = "detect"
HELP = "find objects in pictures"
EPILOG = """\
examples:
  labkit detect --weights runs/demo photo.jpg
  labkit detect --weights coco-r50-fpn photos/          COCO's 80 classes
  labkit detect --weights runs/nuclei --score 0.7 --max-dets 500 --out found/ slides/

The folder of --out gets a picture for every picture, with the masks drawn on it, and
detections.json: all objects as a COCO data set (images, annotations with scores, categories).
"""


def add_options(parser) -> None:
    parser.add_argument("images", nargs="+", metavar="PICTURE", help="files, or folders of them")
    parser.add_argument("--weights", required=True, metavar="SOURCE", help=f"the model: {SOURCES}")
    parser.add_argument(
        "--out",
        default="detections",
        metavar="DIR",
        help="folder for the results (default: detections/)",
    )
    parser.add_argument(
        "--score",
        type=fraction,
        default=0.5,
        metavar="X",
        help="leave out objects with a lower score (default: 0.5)",
    )
    parser.add_argument(
        "--max-dets",
        type=positive_int,
        metavar="N",
        help="objects in a picture at most (default: the model's, 100)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print detections.json too, and nothing else, on stdout"
    )


def run(args) -> int:
    files = image_files(args.images)
    import_tensorflow()
    from labkit.io.data_files import write_json
    from labkit.io.images import read_image
    from labkit.io.picture_remarks import remarks_on
    from labkit.models.detections import unused_slots

    model = model_of(args.weights)
    unused = unused_slots(model.class_names)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    written = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": i, "name": name}
            for i, name in enumerate(model.class_names, 1)
            if i not in unused
        ],
    }
    # Names that no drawn picture may have: --out may be the pictures' own folder.
    taken, broken = {file_key(path) for path in files}, 0
    for number, path in enumerate(files, 1):
        try:
            image = read_image(path, warn=False)
        except LabkitError as error:  # one bad picture does not stop a folder of good ones
            print(f"labkit detect: {error}", file=sys.stderr)
            broken += 1
            continue
        found = model.detect(image, score_threshold=args.score, max_detections=args.max_dets)
        picture = unused_path(out / f"{path.stem}.png", taken)
        found.save(picture)
        height, width = image.shape[:2]
        written["images"].append(
            {"id": number, "file_name": path.as_posix(), "height": height, "width": width}
        )
        for area, result in zip(found.areas, found.to_coco(image_id=number), strict=True):
            annotation_id = len(written["annotations"]) + 1
            result |= {"id": annotation_id, "area": float(area), "iscrowd": 0}
            written["annotations"].append(result)
        if not args.json:
            print(f"{path}: {count_names(found.names)} -> {picture}")
    for remark in remarks_on(files):
        print(f"labkit detect: {remark}", file=sys.stderr)
    if broken == len(files):  # the results of an earlier command stay as they are
        raise LabkitError("no picture could be read; nothing was written.")
    write_json(out / "detections.json", written)
    if args.json:
        print(json.dumps(written, indent=2))
    else:
        print(
            f"{len(written['annotations'])} objects in {len(written['images'])} pictures: "
            f"{out / 'detections.json'}"
        )
    return 2 if broken else 0


def unused_path(path: Path, taken: set[str]) -> Path:
    """The path, or path-2, path-3 ... where that name is taken; it is then taken, too."""
    candidate, number = path, 1
    while file_key(candidate) in taken:
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    taken.add(file_key(candidate))
    return candidate


def file_key(path: Path) -> str:
    """The same text for all paths that may lead to one file: to some disks, a.PNG is a.png."""
    return str(path.resolve()).casefold()


def count_names(names: list[str]) -> str:
    """Words like "3 disc, 1 square"; "nothing" for no names."""
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names))) or "nothing"
