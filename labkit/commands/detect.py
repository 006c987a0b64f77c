"""`labkit detect`: pictures in, pictures with masks and a COCO json out."""

import json
import sys
import time
from pathlib import Path

from labkit.commands.numbers import fraction, positive_int
from labkit.commands.sources import image_files
from labkit.commands.weights import SOURCES, model_of
from labkit.errors import LabkitError, counted, printable
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
    from labkit.io.images import read_image
    from labkit.io.picture_remarks import remarks_on

    model = model_of(args.weights)
    out = Path(args.out)
    # Names that no drawn picture may have: --out may be the pictures' own folder.
    taken, broken = {file_key(path) for path in files}, 0
    with Results(out / "detections.json", model) as results:
        for number, path in enumerate(files, 1):
            try:
                image = read_image(path, warn=False)
            except LabkitError as error:  # one bad picture does not stop a folder of good ones
                print(f"labkit detect: {error}", file=sys.stderr)
                broken += 1
                continue
            found = model.detect(image, score_threshold=args.score, max_detections=args.max_dets)
            picture = unused_path(out / f"{path.stem}.png", taken)
            out.mkdir(parents=True, exist_ok=True)
            found.save(picture)
            results.add(number, path, found)
            if not args.json:
                words = count_names(found.names)
                print(f"{printable(path)}: {words} -> {printable(picture)}", flush=True)
    for remark in remarks_on(files):
        print(f"labkit detect: {remark}", file=sys.stderr)
    if broken == len(files):  # the results of an earlier command stay as they are
        raise LabkitError("no picture could be read; nothing was written.")
    if args.json:
        print(json.dumps(results.content, indent=2))
    else:
        objects, pictures = (len(results.content[name]) for name in ("annotations", "images"))
        found = f"{counted(objects, 'object')} in {counted(pictures, 'picture')}"
        print(f"{found}: {results.path}")
    return 2 if broken else 0


class Results:
    """What was found so far, as a COCO data set in a file: `with Results(...) as results`.

    The file is there whole at any time. It is written at the end of the block, however that ends,
    and on the way: again and again, but so rarely that writing takes a twentieth of the time.
    """

    def __init__(self, path: Path, model):
        from labkit.models.class_names import unused_slots

        unused = unused_slots(model.class_names)
        classes = enumerate(zip(model.category_ids, model.class_names, strict=True), 1)
        categories = [{"id": i, "name": name} for n, (i, name) in classes if n not in unused]
        self.path = path
        self.content = {"images": [], "annotations": [], "categories": categories}
        self._due = 0.0  # when it is written again
        self._changed = False

    def add(self, number: int, path: Path, found) -> None:
        """Add what was found in a picture, whose id is `number`."""
        height, width = found.image_size
        image = {"id": number, "file_name": path.as_posix(), "height": height, "width": width}
        self.content["images"].append(image)
        for result in found.to_coco(image_id=number):
            annotation_id = len(self.content["annotations"]) + 1
            more = {"id": annotation_id, "area": area_of(result), "iscrowd": 0}
            self.content["annotations"].append(result | more)
        self._changed = True
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        from labkit.io.data_files import write_json

        began = time.monotonic()
        write_json(self.path, self.content)
        self._due = time.monotonic() + 20 * (time.monotonic() - began)
        self._changed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._changed:
            self.write()


def area_of(result: dict) -> float:
    """The pixels of a COCO result: of its mask, or of its box if it has none."""
    from pycocotools import mask as coco_mask

    if "segmentation" in result:
        return float(coco_mask.area(result["segmentation"]))
    return result["bbox"][2] * result["bbox"][3]


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
    counts = (f"{names.count(name)} {printable(name)}" for name in sorted(set(names)))
    return ", ".join(counts) or "nothing"
