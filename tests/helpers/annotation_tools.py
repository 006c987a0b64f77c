"""The same pictures as CVAT, Label Studio, LabelMe, VIA, Roboflow and makesense export them.

Each function writes a folder as the tool's users have it, and returns the path they would give.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("apple", "pear")


def drawn(folder: Path, count: int = 10) -> list[dict]:
    """Ten pictures in a folder: [{"file", "size": (width, height), "objects": [(class, polygon)]}].

    A polygon is a list of (x, y). One picture has no object, and half of them are upright.
    """
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    pictures = []
    for number in range(count):
        width, height = (160, 120) if number % 2 else (120, 160)
        objects = []
        for place in range(0 if number == 4 else 1 + number % 3):
            x, y = 10 + 35 * place + rng.random() * 5, 10 + 30 * place + rng.random() * 9
            corners = [(0, 0), (20, 3), (28, 25), (12, 30), (14, 12)]
            polygon = [(round(x + a, 2), round(y + b, 2)) for a, b in corners]
            objects.append((CLASSES[(number + place) % 2], polygon))
        name = f"photo_{number:02d}.png"
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
        pictures.append({"file": name, "size": (width, height), "objects": objects})
    return pictures


def _put(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def _flat(polygon) -> list[float]:
    return [value for point in polygon for value in point]


def _box(polygon) -> tuple[float, float, float, float]:
    xs, ys = zip(*polygon, strict=True)
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _copy(pictures, source: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        shutil.copy(source / picture["file"], to / picture["file"])


def _annotations(pictures, first_id=1, first_image=1, first_class=1, **more) -> list[dict]:
    objects = [(i, o) for i, p in enumerate(pictures, first_image) for o in p["objects"]]
    return [
        {
            "id": number,
            "image_id": image,
            "category_id": CLASSES.index(name) + first_class,
            "segmentation": [_flat(polygon)],
            "area": 500.0,
            "bbox": list(_box(polygon)),
            "iscrowd": 0,
            **more,
        }
        for number, (image, (name, polygon)) in enumerate(objects, first_id)
    ]


# ---- CVAT ----------------------------------------------------------------------------------------


def cvat_coco(pictures, source: Path, root: Path, subset="") -> Path:
    """CVAT's "COCO 1.0" with pictures; `subset` is a folder below images."""
    _copy(pictures, source, root / "images" / subset)
    images = [
        {
            "id": i,
            "width": p["size"][0],
            "height": p["size"][1],
            "file_name": p["file"],
            "license": 0,
            "flickr_url": "",
            "coco_url": "",
            "date_captured": 0,
        }
        for i, p in enumerate(pictures, 1)
    ]
    content = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": ""},
        "categories": [
            {"id": i, "name": name, "supercategory": ""} for i, name in enumerate(CLASSES, 1)
        ],
        "images": images,
        "annotations": _annotations(pictures, attributes={"occluded": False}),
    }
    _put(root / "annotations" / "instances_default.json", content)
    return root


def cvat_xml(pictures, source: Path, root: Path) -> Path:
    """CVAT's "CVAT for images 1.1" with pictures."""
    _copy(pictures, source, root / "images")
    labels = "".join(
        f"<label><name>{name}</name><color>#fa3253</color><type>any</type><attributes></attributes>"
        "</label>"
        for name in CLASSES
    )
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>',
        f"<job><id>7</id><size>{len(pictures)}</size><mode>annotation</mode>",
        f"<labels>{labels}</labels></job><dumped>2026-09-01 10:00:00.0+00:00</dumped></meta>",
    ]
    for i, p in enumerate(pictures):
        width, height = p["size"]
        lines.append(f'<image id="{i}" name="{p["file"]}" width="{width}" height="{height}">')
        for name, polygon in p["objects"]:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
            lines.append(
                f'<polygon label="{name}" source="manual" occluded="0" points="{points}" '
                'z_order="0"></polygon>'
            )
        lines.append("</image>")
    _put(root / "annotations.xml", "\n".join([*lines, "</annotations>\n"]))
    return root


# ---- Label Studio --------------------------------------------------------------------------------


def label_studio(pictures, source: Path, root: Path, prefix=False, minimal=False) -> Path:
    """Label Studio's JSON beside the folder of the pictures; `prefix`: as it renamed uploads."""
    tasks = []
    for i, p in enumerate(pictures):
        uploaded = f"{i:08x}-{p['file']}"
        (root / "images").mkdir(parents=True, exist_ok=True)
        shutil.copy(source / p["file"], root / "images" / (uploaded if prefix else p["file"]))
        (width, height), result = p["size"], []
        for number, (name, polygon) in enumerate(p["objects"]):
            points = [[x / width * 100, y / height * 100] for x, y in polygon]
            result.append(
                {
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {"points": points, "closed": True, "polygonlabels": [name]},
                    "id": f"r{i}_{number}",
                    "from_name": "label",
                    "to_name": "image",
                    "type": "polygonlabels",
                    "origin": "manual",
                }
            )
        task = {"id": i + 1, "data": {"image": f"/data/upload/4/{uploaded}"}, "predictions": []}
        task["annotations"] = [{"id": 50 + i, "was_cancelled": False, "result": result}]
        task |= {"file_upload": uploaded, "inner_id": i + 1, "project": 4}
        if minimal:
            regions = [
                {**r["value"], "original_width": width, "original_height": height} for r in result
            ]
            task = {"image": task["data"]["image"], "id": i + 1, "annotator": 1, "lead_time": 2.5}
            task |= {"label": regions} if regions else {}
        tasks.append(task)
    _put(root / "project-4-at-2026-09-01-10-00-a1b2c3d4.json", tasks)
    return root


# ---- LabelMe, VIA --------------------------------------------------------------------------------


def labelme(pictures, source: Path, root: Path) -> Path:
    """LabelMe 5: a json beside each picture."""
    _copy(pictures, source, root)
    for p in pictures:
        shapes = [
            {
                "label": name,
                "points": [list(point) for point in polygon],
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for name, polygon in p["objects"]
        ]
        content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": p["file"]}
        content |= {"imageData": None, "imageHeight": p["size"][1], "imageWidth": p["size"][0]}
        _put(root / f"{Path(p['file']).stem}.json", content)
    return root


def _via_regions(objects, attribute) -> list[dict]:
    return [
        {
            "shape_attributes": {
                "name": "polygon",
                "all_points_x": [x for x, _ in polygon],
                "all_points_y": [y for _, y in polygon],
            },
            "region_attributes": {attribute: name},
        }
        for name, polygon in objects
    ]


def via(pictures, source: Path, root: Path) -> Path:
    """VIA 2's exported annotations, in the folder of the pictures."""
    _copy(pictures, source, root)
    content = {}
    for p in pictures:
        size = (root / p["file"]).stat().st_size
        content[f"{p['file']}{size}"] = {
            "filename": p["file"],
            "size": size,
            "regions": _via_regions(p["objects"], "fruit"),
            "file_attributes": {},
        }
    _put(root / "via_export_json.json", content)
    return root


# ---- Roboflow ------------------------------------------------------------------------------------


def _roboflow_name(picture, number: int) -> str:
    return f"{picture['file'].replace('.', '_')}.rf.{number:032x}.jpg"


def _roboflow_pictures(pictures, source: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, p in enumerate(pictures):
        Image.open(source / p["file"]).save(folder / _roboflow_name(p, number), quality=95)


def roboflow_coco(pictures, source: Path, root: Path) -> Path:
    """Roboflow's COCO: an empty parent category, and pictures with new names."""
    _roboflow_pictures(pictures, source, root / "train")
    images = [
        {
            "id": i,
            "license": 1,
            "file_name": _roboflow_name(p, i),
            "height": p["size"][1],
            "width": p["size"][0],
            "date_captured": "2026-09-01T10:00:00+00:00",
            "extra": {"name": p["file"]},
        }
        for i, p in enumerate(pictures)
    ]
    categories = [{"id": 0, "name": "fruits", "supercategory": "none"}]
    categories += [
        {"id": i, "name": name, "supercategory": "fruits"} for i, name in enumerate(CLASSES, 1)
    ]
    content = {
        "info": {"year": "2026", "version": "1", "description": "Exported from roboflow.com"},
        "licenses": [{"id": 1, "url": "", "name": "CC BY 4.0"}],
        "categories": categories,
        "images": images,
        "annotations": _annotations(pictures, first_id=0, first_image=0),
    }
    _put(root / "train" / "_annotations.coco.json", content)
    _put(root / "README.roboflow.txt", "fruits - v1\n")
    _put(root / "README.dataset.txt", "# fruits > v1\n")
    return root


def roboflow_yolo(pictures, source: Path, root: Path) -> Path:
    """Roboflow's YOLOv8 segmentation."""
    _roboflow_pictures(pictures, source, root / "train" / "images")
    for number, p in enumerate(pictures):
        lines = [
            f"{CLASSES.index(name)} "
            + " ".join(f"{v / p['size'][i % 2]}" for i, v in enumerate(_flat(polygon)))
            for name, polygon in p["objects"]
        ]
        stem = _roboflow_name(p, number).removesuffix(".jpg")
        _put(root / "train" / "labels" / f"{stem}.txt", "\n".join(lines))
    _put(
        root / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
        f"nc: {len(CLASSES)}\nnames: {list(CLASSES)}\n\n"
        "roboflow:\n  workspace: lab\n  project: fruits\n  version: 1\n  license: CC BY 4.0\n",
    )
    _put(root / "README.roboflow.txt", "fruits - v1\n")
    return root


# ---- makesense -----------------------------------------------------------------------------------


def makesense_coco(pictures, source: Path, root: Path) -> Path:
    """makesense.ai's COCO json, put into the folder of the pictures by its user."""
    _copy(pictures, source, root)
    content = {
        "info": {"description": "my-project-name"},
        "images": [
            {"id": i, "width": p["size"][0], "height": p["size"][1], "file_name": p["file"]}
            for i, p in enumerate(pictures, 1)
        ],
        "annotations": _annotations(pictures, first_id=0),
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)],
    }
    _put(root / "labels_my-project-name_2026-09-01-10-00-00.json", content)
    return root


def makesense_via(pictures, source: Path, root: Path) -> Path:
    """makesense.ai's VGG json: regions by number, and no entry for pictures without objects."""
    _copy(pictures, source, root)
    content = {
        p["file"]: {
            "fileref": "",
            "size": (root / p["file"]).stat().st_size,
            "filename": p["file"],
            "base64_img_data": "",
            "file_attributes": {},
            "regions": dict(
                (str(i), region) for i, region in enumerate(_via_regions(p["objects"], "label"))
            ),
        }
        for p in pictures
    }
    _put(root / "labels_my-project-name_2026-09-01-10-00-00.json", content)
    return root
