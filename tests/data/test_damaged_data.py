"""A valid data set, damaged at random, comes back whole, or with a sentence for each loss."""

import copy
import warnings
from urllib.parse import quote as percent_encoded

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_inputs import png, put

from labkit.data import CocoDataset
from labkit.evaluation import evaluate_results
from labkit.ops.coco_masks import encode_rle

SIZES = {"one photo.png": (24, 40), "zwei.png": (30, 20), "three.png": (16, 16)}


def whole():
    """Three pictures with eight rectangles of two classes."""
    images = [
        {"id": i, "file_name": name, "height": size[0], "width": size[1]}
        for i, (name, size) in enumerate(SIZES.items(), 1)
    ]
    annotations = []
    for number in range(8):
        x, y = 1 + number, 2 + number // 2
        polygon = [x, y, x + 6, y, x + 6, y + 7, x, y + 7]
        annotations.append(
            {
                "id": number + 1,
                "image_id": 1 + number % 3,
                "category_id": 1 + number % 2,
                "segmentation": [polygon],
                "bbox": [x, y, 6, 7],
                "area": 42,
                "iscrowd": 0,
            }
        )
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged") / "pictures"
    for name, size in SIZES.items():
        put(folder / name, png(np.zeros((*size, 3), np.uint8)))
    return folder


def set_to(field, value):
    """A damage: the field has this value; a function gets the old one."""

    def damage(entry):
        entry[field] = value(copy.deepcopy(entry[field])) if callable(value) else value

    return damage


def without(*fields):
    def damage(entry):
        for field in fields:
            entry.pop(field, None)

    return damage


NO_AREA = [[], None, [3, 4], [1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 1, 5, 5, 9, 9], [float("nan")] * 6]

#: What an image, or an annotation, may look like without any loss.
HARMLESS_IMAGE = [
    lambda image: None,
    set_to("height", float),
    set_to("width", str),
    set_to("height", -1),
    set_to("width", None),
    set_to("height", "unknown"),
    without("height", "width"),
    lambda image: image.update(height=image["width"], width=image["height"]),
    set_to("file_name", lambda name: f"C:\\Users\\anna\\{name}"),
    set_to("file_name", lambda name: f"/data/local-files/?d=up/{percent_encoded(name)}"),
    set_to("file_name", lambda name: f"https://example.org/{percent_encoded(name)}?v=1"),
    set_to("file_name", lambda name: f"upload/4/{name}"),
    set_to("file_name", str.upper),
]
HARMLESS = [
    lambda entry: None,
    set_to("id", 1),
    set_to("id", "a text"),
    without("id", "area", "bbox"),
    set_to("iscrowd", None),
    set_to("iscrowd", "0"),
    set_to("iscrowd", False),
    without("iscrowd"),
    set_to("bbox", [0, 0, 0, 0]),
    set_to("bbox", [1, 2, 3]),
    set_to("bbox", "[1, 2, 3, 4]"),
    set_to("bbox", None),
    set_to("segmentation", lambda parts: parts[0]),
    set_to("segmentation", lambda parts: np.reshape(parts[0], (-1, 2)).tolist()),
    set_to("segmentation", lambda parts: [np.reshape(parts[0], (-1, 2)).tolist()]),
    *(set_to("segmentation", lambda parts, bad=bad: [*parts, bad]) for bad in NO_AREA),
    *(set_to("segmentation", lambda parts, bad=bad: [bad, *parts]) for bad in NO_AREA),
]
#: What cannot be used: the annotation is left out, and named.
LOSSES = [
    set_to("category_id", 9),
    set_to("category_id", None),
    set_to("image_id", "nobody"),
    without("image_id"),
    set_to("iscrowd", 2),
    set_to("iscrowd", []),
    set_to("segmentation", [[1, 2, 3, 4]]),
    set_to("segmentation", [[float("nan")] * 6]),
    set_to("segmentation", [["1", "2", "3", "4", "5", "6"]]),
    set_to("segmentation", "text"),
    set_to("segmentation", {"size": [3, 3], "counts": [9]}),
    set_to("segmentation", {"counts": [9]}),
    set_to("segmentation", [[1e9, 1, 2, 2, 3, 1e9]]),
]


def renamed_ids(content, data) -> None:
    """Ids of images and categories as another program writes them, in any spelling."""
    kinds = [lambda n: n, str, float, lambda n: f"no {n}", lambda n: 2**64 + n]
    for part, field in (("images", "image_id"), ("categories", "category_id")):
        kind = data.draw(st.sampled_from(kinds))
        for entry in content[part]:
            entry["id"] = kind(entry["id"])
        spelling = {str: [str, int, float], float: [str, int, float]}.get(kind, [kind])
        for entry in content["annotations"]:
            entry[field] = data.draw(st.sampled_from(spelling))(entry[field])


def masks_of(ds):
    """The masks with their classes, by the picture's size, which tells the pictures apart."""
    return {
        sample.image.shape[:2]: sorted(
            (ds.class_names[c - 1], mask.tobytes())
            for c, mask in zip(sample.class_ids, sample.masks, strict=True)
        )
        for sample in ds
    }


def opened(content, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CocoDataset(content, folder)


MANY = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@MANY
@given(data=st.data())
def test_harmless_damage_loses_nothing(folder, data):
    content = whole()
    truth = masks_of(opened(content, folder))
    for image in content["images"]:
        data.draw(st.sampled_from(HARMLESS_IMAGE))(image)
    for entry in content["annotations"]:
        data.draw(st.sampled_from(HARMLESS))(entry)
    renamed_ids(content, data)
    given = repr(content)
    ds = opened(content, folder)
    assert repr(content) == given
    assert ds.problems == [] and masks_of(ds) == truth
    assert ds.check() == []
    coco = ds.to_coco()
    assert len({a["id"] for a in coco["annotations"]}) == 8
    assert sorted(tuple(a["bbox"]) for a in coco["annotations"]) == sorted(
        tuple(a["bbox"]) for a in whole()["annotations"]
    )


@MANY
@given(data=st.data())
def test_every_loss_has_a_sentence(folder, data):
    content = whole()
    lost = data.draw(st.sets(st.integers(0, 7), max_size=7))
    truth = copy.deepcopy(content)
    truth["annotations"] = [a for i, a in enumerate(truth["annotations"]) if i not in lost]
    renamed_ids(content, data)
    for number, entry in enumerate(content["annotations"]):
        data.draw(st.sampled_from(LOSSES if number in lost else HARMLESS))(entry)
    ds = opened(content, folder)
    assert masks_of(ds) == masks_of(opened(truth, folder))
    assert len(ds.problems) == len(lost)
    for number in lost:
        assert sum(f"annotations[{number}]" in problem for problem in ds.problems) == 1


@MANY
@given(data=st.data())
def test_evaluation_reads_what_the_data_set_reads(folder, data):
    content = whole()
    for entry in content["annotations"]:
        data.draw(st.sampled_from(HARMLESS))(entry)
    renamed_ids(content, data)
    ds = opened(content, folder)
    categories = dict(zip(ds.class_names, (c["id"] for c in content["categories"]), strict=True))
    results = [
        {
            "image_id": info.get("original_id", info["id"]),
            "category_id": categories[ds.class_names[class_id - 1]],
            "score": 0.5,
            "segmentation": encode_rle(mask),
        }
        for info, sample in zip(map(ds.image_info, range(len(ds))), ds, strict=True)
        for class_id, mask in zip(sample.class_ids, sample.masks, strict=True)
    ]
    found = evaluate_results(content, results)
    assert found.segm["AP"] == pytest.approx(1) and found.objects == 8
    assert found.results_for_file()[0]["image_id"] == results[0]["image_id"]
    assert evaluate_results(ds.to_coco(), found.results).objects == 8
