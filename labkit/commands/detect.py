"""`labkit detect`: pictures in, pictures with masks and a COCO json out."""

import json
import sys
from pathlib import Path

from labkit.commands.sources import image_files
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow


def run(args) -> int:
    files = image_files(args.images)
    import_tensorflow()
    from labkit.io.data_files import write_json
    from labkit.io.images import read_image
    from labkit.weights.runs import load_model

    model = load_model(args.weights)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    written = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(model.class_names, 1)],
    }
    taken, broken = {on_disk(path) for path in files}, 0  # --out may be the pictures' own folder
    for number, path in enumerate(files, 1):
        try:
            image = read_image(path)
        except LabkitError as error:  # one bad picture does not stop a folder of good ones
            print(f"labkit detect: {error}", file=sys.stderr)
            broken += 1
            continue
        found = model.detect(image, score_threshold=args.score, max_detections=args.max_dets)
        picture = unused(out / f"{path.stem}.png", taken)
        found.save(picture)
        height, width = image.shape[:2]
        written["images"].append(
            {"id": number, "file_name": path.as_posix(), "height": height, "width": width}
        )
        for area, result in zip(found.areas, found.to_coco(image_id=number), strict=True):
            number_of = len(written["annotations"]) + 1
            result |= {"id": number_of, "area": float(area), "iscrowd": 0}
            written["annotations"].append(result)
        if not args.json:
            print(f"{path}: {counts(found.names)} -> {picture}")
    if broken == len(files):  # and whatever an earlier command left stays
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


def unused(path: Path, taken: set[str]) -> Path:
    """path, or path-2, path-3 ... where the pictures, or others' results, have that name."""
    candidate, number = path, 1
    while on_disk(candidate) in taken:
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    taken.add(on_disk(candidate))
    return candidate


def on_disk(path: Path) -> str:
    """The same for all paths that may lead to one file: some disks take a.PNG for a.png."""
    return str(path.resolve()).casefold()


def counts(names: list[str]) -> str:
    """ "3 disc, 1 square"."""
    return ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names))) or "nothing"
