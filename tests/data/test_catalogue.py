"""The catalogue: its facts, its way from an address to a data set, and what it says without one."""

import hashlib
import http.server
import io
import json
import re
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from labkit.data import catalogue, shapes
from labkit.data.catalogue import (
    CATALOGUE,
    Archive,
    Split,
    data_folder,
    describe,
    find,
    load,
    obtain,
)
from labkit.errors import LabkitError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "data"


@pytest.fixture
def server():
    """A web server of the files in `server.files`; `server.asked` are the paths asked for."""
    files, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.files, running.asked = files, asked
        running.address = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()


def zipped(files: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def picture(value, shape=(20, 30), kind="png") -> bytes:
    buffer = io.BytesIO()
    array = value if isinstance(value, np.ndarray) else np.full((*shape, 3), value, np.uint8)
    Image.fromarray(array).save(buffer, "JPEG" if kind == "jpg" else "PNG")
    return buffer.getvalue()


def serve(server, monkeypatch, name: str, *contents: bytes, checked: bool = True):
    """The entry `name` with its archives on the server, each with `contents`."""
    entry, archives = CATALOGUE[name], []
    for archive, content in zip(entry.archives, contents, strict=True):
        server.files[f"/{archive.file_name}"] = content
        digest = hashlib.sha256(content).hexdigest() if checked else archive.sha256
        archives.append(
            Archive(
                f"{server.address}/{archive.file_name}",
                archive.folder,
                len(content) if checked else archive.size,
                digest,
            )
        )
    entry = replace(entry, archives=tuple(archives))
    monkeypatch.setitem(CATALOGUE, name, entry)
    return entry


# ---- the facts -----------------------------------------------------------------------------------


def test_every_entry_says_what_it_is_and_may_be_used_for():
    wanted = {
        "shapes",
        "digits",
        "collage",
        "nuclei",
        "balloon",
        "penn-fudan",
        "coco",
        "coco-val",
        "coco-val-100",
        "coco-stuff",
        "trashcan",
        "cityscapes",
    }
    assert set(CATALOGUE) == wanted
    for name, entry in CATALOGUE.items():
        assert entry.name == name and entry.title and entry.licence and entry.page
        assert bool(entry.archives) == bool(entry.splits and not entry.by_hand)
        for archive in entry.archives:
            assert re.fullmatch(r"https?://[\w./~?=&-]+", archive.address)
            assert archive.sha256 is None or re.fullmatch("[0-9a-f]{64}", archive.sha256)
            assert archive.size is None or archive.size > 1e6
            assert archive.file_name.endswith(".zip") and archive.folder
        for split in entry.splits.values():
            assert isinstance(split, Split)
    text = describe()
    assert all(name in text for name in wanted) and "20.4 GB" in text and "CC0" in text


def test_it_is_there_when_labkit_is_imported():
    """data/README.md prints the table so."""
    code = "import labkit; print(labkit.data.catalogue.describe())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == describe().strip(), done.stderr


def test_it_says_which_are_photographs():
    others = {name for name, entry in CATALOGUE.items() if not entry.photographic}
    assert others == {"shapes", "digits", "nuclei"}


def test_names_are_found_or_suggested():
    assert find("nuclei").licence.startswith("CC0")
    with pytest.raises(LabkitError, match="did you mean balloon"):
        find("baloon")
    with pytest.raises(LabkitError, match="there are: shapes"):
        find("zzzzzz")


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    assert data_folder() == tmp_path / "data"
    monkeypatch.delenv("LABKIT_DATA")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache" / "data"


# ---- from the address to the data set ------------------------------------------------------------


def test_drawn_data_need_no_download():
    assert len(load("shapes", "val")) == 100 and len(load("shapes")) == 4000
    photos = load("collage")
    assert (len(photos), photos.height, load("collage", size=96).height) == (400, 384, 96)
    assert load("shapes").height == 128 and load("collage", "val").split == "val"
    with pytest.raises(LabkitError, match="no 'test', but train and val"):
        load("shapes", "test")
    with pytest.raises(LabkitError, match="drawn, not downloaded"):
        obtain("digits")


def test_nuclei_are_folders_of_masks(server, monkeypatch, folder):
    masks = np.zeros((2, 20, 30), np.uint8)
    masks[0, 2:8, 3:9], masks[1, 10:15, 12:20] = 255, 255
    files = {f"{i}/images/{i}.png": picture(40) for i in ("aa", "bb")}
    files |= {f"{i}/masks/{m}.png": picture(masks[m]) for i in ("aa", "bb") for m in (0, 1)}
    serve(server, monkeypatch, "nuclei", zipped(files))
    ds = load("nuclei")
    assert len(ds) == 2 and ds.class_names == ("nucleus",) and [len(s) for s in ds] == [2, 2]
    assert not list(folder.rglob("*.zip")) and not list(folder.rglob("*.part"))
    assert load("nuclei").image_ids == ds.image_ids and len(server.asked) == 1  # once is enough


def test_balloons_are_via(server, monkeypatch):
    shape = {"name": "polygon", "all_points_x": [2, 12, 12], "all_points_y": [2, 2, 12]}
    via = {
        "a.jpg1": {
            "filename": "a.jpg",
            "size": 1,
            "file_attributes": {},
            "fileref": "",
            "base64_img_data": "",
            "regions": {"0": {"shape_attributes": shape, "region_attributes": {}}},
        }
    }
    files = {"__MACOSX/balloon/._x": b"junk"}
    for part in ("train", "val"):
        files[f"balloon/{part}/via_region_data.json"] = json.dumps(via)
        files[f"balloon/{part}/a.jpg"] = picture(9, kind="jpg")
    serve(server, monkeypatch, "balloon", zipped(files))
    assert len(load("balloon", "val")) == 1 and load("balloon").class_names == ("balloon",)
    assert len(load("balloon")[0]) == 1


def test_pedestrians_are_label_maps(server, monkeypatch):
    labels = np.zeros((20, 30), np.uint8)
    labels[3:9, 4:9], labels[10:18, 15:25] = 1, 2
    files = {
        "PennFudanPed/PNGImages/FudanPed00001.png": picture(90),
        "PennFudanPed/PedMasks/FudanPed00001_mask.png": picture(labels),
        "PennFudanPed/readme.txt": b"words",
    }
    serve(server, monkeypatch, "penn-fudan", zipped(files))
    ds = load("penn-fudan")
    assert ds.class_names == ("pedestrian",) and len(ds) == 1 and len(ds[0]) == 2


def coco_json(count, name="{:012d}.jpg"):
    square = {"segmentation": [[2, 2, 12, 2, 12, 12]], "area": 50, "bbox": [2, 2, 10, 10]}
    return json.dumps(
        {
            "images": [
                {"id": i, "file_name": name.format(i), "height": 20, "width": 30}
                for i in range(count, 0, -1)
            ],
            "categories": [{"id": 1, "name": "thing"}],
            "annotations": [
                square | {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0}
                for i in range(1, count + 1)
            ],
        }
    )


def annotations_zip(count):
    return zipped(
        {
            f"annotations/{kind}_{part}2017.json": coco_json(count)
            for kind in ("instances", "person_keypoints", "captions")
            for part in ("train", "val")
        }
    )


def pictures_zip(part, count):
    return zipped({f"{part}2017/{i:012d}.jpg": picture(i, kind="jpg") for i in range(1, count + 1)})


def test_coco_and_its_parts_share_files(server, monkeypatch):
    contents = annotations_zip(2), pictures_zip("val", 2), pictures_zip("train", 2)
    serve(server, monkeypatch, "coco-val", *contents[:2])
    assert len(load("coco-val")) == 2
    serve(server, monkeypatch, "coco", *contents)
    assert [len(s) for s in load("coco", "train")] == [1, 1]
    stuff = zipped({f"annotations/stuff_{p}2017.json": coco_json(2) for p in ("train", "val")})
    serve(server, monkeypatch, "coco-stuff", stuff, *contents[1:])
    assert len(load("coco-stuff", "val")[1]) == 1
    assert len(server.asked) == len(set(server.asked)) == 4
    with pytest.raises(LabkitError, match="coco-val has no 'train'"):
        load("coco-val", "train")


def test_a_hundred_pictures_come_one_by_one(server, monkeypatch, folder):
    entry = serve(server, monkeypatch, "coco-val-100", annotations_zip(5))
    monkeypatch.setitem(CATALOGUE, "coco-val-100", replace(entry, pictures=3))
    monkeypatch.setattr(catalogue, "_COCO", f"{server.address}/")
    server.files |= {f"/val2017/{i:012d}.jpg": picture(i, kind="jpg") for i in (1, 2)}
    with pytest.raises(LabkitError, match="000000000003.jpg"):
        load("coco-val-100")
    server.files["/val2017/000000000003.jpg"] = picture(3, kind="jpg")
    ds = load("coco-val-100")
    assert sorted(ds.image_ids) == [1, 2, 3] and [len(s) for s in ds] == [1, 1, 1]
    pictures = [path for path in server.asked if path.startswith("/val2017")]
    assert pictures.count("/val2017/000000000001.jpg") == 1  # what had come was kept


def test_trashcan_has_its_two_splits(server, monkeypatch):
    files = {}
    for part in ("train", "val"):
        files[f"dataset/instance_version/instances_{part}_trashcan.json"] = coco_json(1)
        files[f"dataset/instance_version/{part}/{1:012d}.jpg"] = picture(3, kind="jpg")
        files[f"dataset/material_version/instances_{part}_trashcan.json"] = coco_json(1)
    serve(server, monkeypatch, "trashcan", zipped(files))
    assert len(load("trashcan", "val")[0]) == 1


def test_cityscapes_says_how_and_then_reads(folder):
    with pytest.raises(LabkitError, match="register at https://www.cityscapes") as error:
        load("cityscapes")
    assert str(folder / "cityscapes") in str(error.value)
    stem, root = "bonn_000000_000000", folder / "cityscapes"
    for part in ("train", "val"):
        photo = root / "leftImg8bit" / part / "bonn" / f"{stem}_leftImg8bit.png"
        truth = root / "gtFine" / part / "bonn" / f"{stem}_gtFine_polygons.json"
        for path in (photo, truth):
            path.parent.mkdir(parents=True)
        photo.write_bytes(picture(50))
        polygon = {"label": "car", "polygon": [[2, 2], [12, 2], [12, 12]]}
        truth.write_text(json.dumps({"imgHeight": 20, "imgWidth": 30, "objects": [polygon]}))
    ds = load("cityscapes", "val")
    assert len(ds) == 1 and len(ds[0]) == 1 and "car" in ds.class_names


# ---- what goes wrong -----------------------------------------------------------------------------


def test_another_file_than_expected_is_not_unpacked(server, monkeypatch, folder):
    entry = serve(server, monkeypatch, "coco-val", annotations_zip(1), pictures_zip("val", 1))
    other = replace(entry.archives[0], sha256="0" * 64)
    monkeypatch.setitem(CATALOGUE, "coco-val", replace(entry, archives=(other,)))
    with pytest.raises(LabkitError, match="SHA-256"):
        load("coco-val")
    assert not (folder / "coco" / "annotations").exists()


def test_without_a_network_one_sentence_says_what_to_put_where(monkeypatch, folder):
    entry = CATALOGUE["nuclei"]
    archive = Archive("http://127.0.0.1:9/stage1_train.zip", "train")  # nobody listens there
    monkeypatch.setitem(CATALOGUE, "nuclei", replace(entry, archives=(archive,)))
    with pytest.raises(LabkitError) as error:
        load("nuclei")
    sentence = str(error.value)
    assert sentence.count("\n") == 0 and archive.address in sentence
    assert str(folder / "nuclei" / "stage1_train.zip") in sentence


def test_a_file_put_there_by_hand_is_taken(monkeypatch, folder):
    entry = CATALOGUE["nuclei"]
    archive = Archive("http://127.0.0.1:9/stage1_train.zip", "train")
    monkeypatch.setitem(CATALOGUE, "nuclei", replace(entry, archives=(archive,)))
    mask = np.zeros((20, 30), np.uint8)
    mask[2:9, 3:9] = 255
    (folder / "nuclei").mkdir(parents=True)
    (folder / "nuclei" / "stage1_train.zip").write_bytes(
        zipped(
            {
                "a/images/a.png": picture(9),
                "a/masks/0.png": picture(mask),
                "b/images/b.png": picture(9),
                "b/masks/0.png": picture(mask),
            }
        )
    )
    assert len(load("nuclei")) == 2


def test_the_catalogue_opens_what_labkit_saves(server, monkeypatch, tmp_path):
    """A round trip through the whole chain: saved, zipped, fetched, unpacked, read."""
    ds = shapes(2, 64, seed=4)
    ds.save_coco(tmp_path / "saved" / "a.json", tmp_path / "saved" / "pictures")
    files = {
        f"set/{p.relative_to(tmp_path / 'saved').as_posix()}": p.read_bytes()
        for p in (tmp_path / "saved").rglob("*")
        if p.is_file()
    }
    entry = replace(
        CATALOGUE["trashcan"], splits={"train": Split("dataset/a.json", "dataset/pictures")}
    )
    monkeypatch.setitem(CATALOGUE, "trashcan", entry)
    serve(server, monkeypatch, "trashcan", zipped(files))
    for ours, theirs in zip(ds, load("trashcan"), strict=True):
        assert (ours.image == theirs.image).all() and (ours.masks == theirs.masks).all()
