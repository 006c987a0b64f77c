"""Label maps of every depth, and which map belongs to which picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from labkit.data import LabelMapDataset, load_dataset
from labkit.data.readers.label_maps import (
    boxes_of,
    picture_folder,
    read_label_map,
    separate,
    values_in,
)
from labkit.data.readers.map_doubts import doubts_about
from labkit.errors import LabkitError, MissingFileError
from labkit.ops.mask_boxes import boxes_from_masks

MAP = np.zeros((30, 40), np.uint16)
MAP[2:9, 3:12], MAP[20:28, 30:39] = 7, 400


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def photo(path, seed=0, size=(30, 40)):
    return save(path, np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


@pytest.fixture
def folder(tmp_path):
    """images/a.jpg and images/b.jpg, and their maps in masks/."""
    for name, label_map in (("a", MAP), ("b", np.zeros_like(MAP))):
        photo(tmp_path / "images" / f"{name}.jpg")
        save(tmp_path / "masks" / f"{name}.png", label_map)
    return tmp_path


def test_reading(folder):
    ds = LabelMapDataset(folder / "masks", class_name="cell", strict=True)
    assert ds.class_names == ("cell",) and ds.category_ids == (1,) and len(ds) == 2
    sample, empty = ds
    assert sample.masks.shape == (2, 30, 40) and (sample.masks[0] == (MAP == 7)).all()
    assert (sample.masks[1] == (MAP == 400)).all() and sample.name == "a.jpg"
    assert len(empty) == 0 and not sample.crowd.any() and ds.check() == []
    assert ds.max_instances == 2 and ds.instance_sizes()[0].tolist() == [7, 8]
    for path in (folder, folder / "masks", folder / "images"):
        assert type(load_dataset(path)) is LabelMapDataset
        assert len(load_dataset(path)[0]) == 2


@given(
    label_map=hnp.arrays(
        np.int64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0, 0, 1, 2, 255, 40_000, 2**32 - 1]),
    ),
    more=st.lists(st.sampled_from([3, 70_000]), unique=True),
)
def test_boxes_by_value_are_those_of_the_masks(label_map, more):
    values = [*more, *values_in(label_map)]  # some do not occur, and they are not in order
    assert values[len(more) :] == sorted(set(label_map.ravel().tolist()) - {0})
    boxes = boxes_of(label_map, values)
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, boxes_from_masks(separate(label_map, values)))


def test_labels_paint_no_mask(folder, monkeypatch):
    expected = LabelMapDataset(folder / "masks")[0].boxes

    def painted(*_):
        raise AssertionError("masks were painted to count the instances")

    monkeypatch.setattr("labkit.data.readers.label_maps.separate", painted)
    ds = LabelMapDataset(folder / "masks")
    assert ds.labels(0).boxes.tolist() == expected.tolist() and ds.max_instances == 2
    assert ds.describe().instances == 2


@pytest.mark.parametrize(
    "suffix, dtype",
    [
        ("png", np.uint8),
        ("png", np.uint16),
        ("tif", np.uint8),
        ("tif", np.uint16),
        ("tif", np.int32),
        ("tif", np.uint32),
        ("tif", np.float32),
    ],
)
@given(
    array=hnp.arrays(
        np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 255)
    )
)
def test_every_depth_gives_its_values(tmp_path_factory, suffix, dtype, array):
    path = tmp_path_factory.mktemp("maps") / f"a.{suffix}"
    if dtype == np.uint32:
        array = array * 16_000_000  # beyond 31 bits
        Image.fromarray(array.astype(np.uint32).view(np.int32)).save(path)
    else:
        array = array if dtype == np.uint8 else array * 128
        save(path, array.astype(dtype))
    assert (read_label_map(path) == array).all()


def test_of_a_palette_the_indices_count(tmp_path):
    image = Image.fromarray(np.array([[0, 3], [7, 255]], np.uint8), "L").convert("P")
    image.putpalette([9] * 768)
    image.putdata([0, 3, 7, 255])
    image.save(tmp_path / "a.png")
    assert read_label_map(tmp_path / "a.png").tolist() == [[0, 3], [7, 255]]


def test_one_bit(tmp_path):
    save(tmp_path / "a.png", np.eye(3, dtype=bool))
    assert (read_label_map(tmp_path / "a.png") == np.eye(3)).all()


@pytest.mark.parametrize(
    "array, words",
    [
        (np.full((4, 4, 3), (1, 2, 3), np.uint8), "3 channels"),
        (np.full((4, 4, 4), (1, 2, 3, 255), np.uint8), "colours, in 4 channels"),
        (np.full((4, 4), 0.5, np.float32), "no whole numbers"),
        (np.full((4, 4), np.nan, np.float32), "no whole numbers"),
        (np.full((4, 4), -3, np.float32), "negative"),
        (np.full((4, 4), 1e12, np.float32), "above 32 bits"),
    ],
)
def test_what_is_no_label_map(tmp_path, array, words):
    path = save(tmp_path / "a.tif", array)
    with pytest.raises(LabkitError, match=words) as error:
        read_label_map(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("alpha", [False, True])
def test_grey_that_was_saved_as_colours_is_one_value(tmp_path, alpha):
    channels = np.stack([MAP.astype(np.uint8)] * 3 + [np.full_like(MAP, 255)] * alpha, -1)
    path = save(tmp_path / "a.png", channels.astype(np.uint8))
    assert (read_label_map(path) == MAP % 256).all()


def test_several_pages_are_refused(tmp_path):
    pages = [Image.fromarray(MAP), Image.fromarray(MAP)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(LabkitError, match="2 pages"):
        read_label_map(tmp_path / "a.tif")


def test_the_limit_of_pixels_can_be_raised(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", MAP)
    monkeypatch.setattr("labkit.io.images.MAX_PIXELS", 30 * 40 - 1)
    with pytest.raises(LabkitError, match=r"limit of 1199.*labkit\.io\.images\.MAX_PIXELS"):
        read_label_map(path)
    monkeypatch.setattr("labkit.io.images.MAX_PIXELS", 30 * 40)
    assert read_label_map(path).shape == (30, 40)


def test_separate():
    masks = separate(MAP, [7, 400, 5])
    assert masks.dtype == bool and masks.sum((1, 2)).tolist() == [63, 72, 0]
    assert separate(MAP, []).shape == (0, 30, 40)


# ---- pairs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "picture, label_map",
    [
        ("a.jpg", "a_mask.png"),
        ("a_img.tif", "a_masks.tif"),
        ("a.png", "a_cp_masks.png"),
        ("a_image.png", "a_labels.tiff"),
    ],
)
def test_maps_beside_their_pictures(tmp_path, picture, label_map):
    photo(tmp_path / picture)
    save(tmp_path / label_map, MAP)
    ds = LabelMapDataset(tmp_path, strict=True)
    assert len(ds) == 1 and ds[0].name == picture and len(ds[0]) == 2
    assert type(load_dataset(tmp_path)) is LabelMapDataset


def test_a_picture_called_like_a_mask(tmp_path):
    photo(tmp_path / "images" / "a_mask.png")
    save(tmp_path / "maps" / "a_mask.png", MAP)
    assert LabelMapDataset(tmp_path / "maps", strict=True)[0].name == "a_mask.png"


def test_of_the_folders_beside_the_one_with_the_same_names_is_taken(folder):
    photo(folder / "more" / "a.png")  # one of two
    photo(folder / "others" / "x.png")
    assert picture_folder(folder / "masks") == folder / "images"


def test_what_has_no_partner_is_named(folder):
    photo(folder / "images" / "c.jpg")
    save(folder / "masks" / "d.png", MAP)
    with pytest.warns(UserWarning, match="2 problems"):
        ds = LabelMapDataset(folder / "masks")
    assert len(ds) == 2
    assert "c.jpg has no label map" in ds.problems[0] and "d.png has no picture" in ds.problems[1]
    with pytest.raises(LabkitError, match="c.jpg"):
        LabelMapDataset(folder / "masks", strict=True)


def test_sizes_that_differ_are_named(folder):
    photo(folder / "images" / "b.jpg", size=(30, 41))
    with pytest.warns(UserWarning, match='has 30 x 40 .* but its picture "b.jpg" has 30 x 41'):
        assert len(LabelMapDataset(folder / "masks")) == 1


def test_broken_files(folder):
    whole = (folder / "masks" / "a.png").read_bytes()
    (folder / "masks" / "a.png").write_bytes(whole[: len(whole) // 2])
    ds = LabelMapDataset(folder / "masks")
    with pytest.raises(LabkitError, match="a.png is damaged"):
        ds[0]
    assert len(ds.check()) == 1
    (folder / "masks" / "a.png").write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="a.png cannot be used"):
        assert len(LabelMapDataset(folder / "masks")) == 1


def test_folders_of_no_use(tmp_path):
    with pytest.raises(MissingFileError):
        LabelMapDataset(tmp_path / "none")
    with pytest.raises(LabkitError, match="images=FOLDER"):
        LabelMapDataset(tmp_path)
    (tmp_path / "images").mkdir(), (tmp_path / "maps").mkdir()
    with pytest.raises(LabkitError, match="no label map"):
        LabelMapDataset(tmp_path / "maps", tmp_path / "images")


def test_a_photo_in_grey_is_not_taken_for_a_map(tmp_path):
    """What is one by its pixels is not asked for where the format is named."""
    grey = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    photo(tmp_path / "images" / "a.png")
    save(tmp_path / "depth" / "a.png", grey)
    with pytest.raises(LabkitError, match="no data set was recognised"):
        load_dataset(tmp_path)
    assert len(load_dataset(tmp_path / "depth", format="label_maps")) == 1


# ---- maps that may mean something else -----------------------------------------------------------


def two(array, tmp_path, suffix="png"):
    """A data set of two pictures with this map."""
    for name in "ab":
        photo(tmp_path / "images" / f"{name}.png", seed=ord(name), size=array.shape[:2])
        save(tmp_path / "maps" / f"{name}.{suffix}", array)
    return tmp_path / "maps"


def discs(value=255):
    rows, columns = np.ogrid[:120, :160]
    centres = ((40, 40, 18), (70, 100, 25))
    inside = [((rows - y) ** 2 + (columns - x) ** 2 < r * r) for y, x, r in centres]
    return np.where(inside[0] | inside[1], value, 0).astype(np.uint8)


def smoothed():
    picture = Image.fromarray(discs())
    return np.array(picture.resize((320, 240), Image.Resampling.BICUBIC))


def test_smoothed_maps_are_loud_and_have_a_way_out(tmp_path):
    folder = two(smoothed(), tmp_path)
    with pytest.warns(UserWarning, match="scattered pixels.*--connected-components"):
        ds = LabelMapDataset(folder)
    assert len(ds.labels(0).class_ids) > 8 and '"a.png" and 1 more (of 2' in ds.problems[0]
    ds = LabelMapDataset(folder, connected_components=True, strict=True)
    assert ds.problems == [] and len(ds[0]) == 2 and ds.check() == []
    expected = np.array(Image.fromarray(discs()).resize((320, 240), Image.Resampling.NEAREST)) > 0
    union = ds[0].masks.any(0)
    assert (union & expected).sum() / (union | expected).sum() > 0.98


def test_of_large_maps_a_part_is_enough(tmp_path):
    large = np.kron(discs(), np.ones((20, 20), np.uint8))  # 7.7 million pixels
    assert doubts_about(large.astype(np.int64)) == {"parts": 255}
    soft = Image.fromarray(discs()).resize((3200, 2400), Image.Resampling.BICUBIC)
    assert doubts_about(np.array(soft).astype(np.int64)) == {"soft": 255}


def test_maps_in_jpeg_files(tmp_path):
    folder = two(discs(), tmp_path, "jpg")
    for path in (folder, tmp_path):
        with pytest.warns(UserWarning, match="saved as JPEG"):
            assert type(load_dataset(path)) is LabelMapDataset
    sample = LabelMapDataset(folder, connected_components=True, strict=True)[0]
    assert len(sample) == 2 and (sample.masks.any(0) == (discs() > 0)).mean() > 0.999


@pytest.mark.parametrize("value", [1, 255])
def test_a_foreground_of_several_parts(tmp_path, value):
    folder = two(discs(value), tmp_path)
    with pytest.warns(UserWarning, match="several separate parts each.*--connected-components"):
        ds = LabelMapDataset(folder)
    assert len(ds[0]) == 1
    ds = LabelMapDataset(folder, connected_components=True)
    assert (
        ds.problems == []
        and len(ds[0]) == 2
        and ds.labels(0).boxes.tolist()
        == [
            [23, 23, 58, 58],
            [46, 76, 95, 125],
        ]
    )


def test_the_mark_of_pixels_that_are_not_labelled(tmp_path):
    label_map = np.zeros((60, 80), np.uint8)
    label_map[10:20, 10:30], label_map[30:50, 40:60], label_map[8:10, 8:32] = 1, 2, 255
    with pytest.warns(UserWarning, match=r"void=\[255\] \(--void 255\)"):
        ds = LabelMapDataset(two(label_map, tmp_path))
    assert len(ds[0]) == 3
    ds = LabelMapDataset(tmp_path / "maps", void=[255], strict=True)
    assert ds.problems == [] and len(ds[0]) == 2


def test_a_background_that_is_not_0(tmp_path):
    label_map = np.full((60, 80), 9, np.uint8)
    label_map[10:20, 10:30], label_map[30:50, 40:60] = 0, 3
    with pytest.warns(UserWarning, match="covers the border.*--background 9"):
        ds = LabelMapDataset(two(label_map, tmp_path))
    ds = LabelMapDataset(tmp_path / "maps", background=9, strict=True)
    assert ds.problems == []
    assert sorted(ds[0].masks.sum((1, 2))) == [200, 400]


def test_maps_with_colours(tmp_path):
    label_map = np.zeros((60, 80, 3), np.uint8)
    label_map[10:20, 10:30], label_map[30:50, 40:60] = (255, 0, 0), (255, 0, 9)
    folder = two(label_map, tmp_path)
    with pytest.raises(LabkitError, match="label maps with colours.*--colour-coded"):
        load_dataset(tmp_path)
    with pytest.raises(LabkitError, match="a.png has colours.*colour_coded=True"):
        load_dataset(folder, format="label_maps")
    for path in (folder, tmp_path):
        ds = load_dataset(path, format="label_maps", colour_coded=True, strict=True)
        assert ds.problems == [] and ds[0].masks.sum((1, 2)).tolist() == [200, 400]


def test_good_maps_are_not_doubted(tmp_path):
    rng = np.random.default_rng(1)
    cells = np.zeros((200, 200), np.uint16)
    for value in range(1, 80):  # many small objects, some cut in two by a later one
        y, x = rng.integers(0, 190, 2)
        cells[y : y + rng.integers(1, 30), x : x + rng.integers(1, 10)] = value
    ds = LabelMapDataset(two(cells, tmp_path), strict=True)
    assert ds.problems == [] and ds.check() == []


def test_check_looks_at_every_map(tmp_path):
    for i in range(20):
        photo(tmp_path / "images" / f"{i:02d}.png", seed=i, size=(120, 160))
        save(tmp_path / "maps" / f"{i:02d}.png", discs() if i == 19 else np.zeros_like(discs()))
    ds = LabelMapDataset(tmp_path / "maps")
    assert ds.problems == [] and '"19.png" (of 20' in ds.check()[0]
