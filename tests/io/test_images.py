"""read_image: every kind of thing people hold becomes uint8 RGB, or one clear sentence."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, features

from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import IMAGE_SUFFIXES
from labkit.io.images import image_size, read_image

RGB = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) * 4


def one_sentence(error) -> str:
    text = str(error.value)
    assert text.endswith(".") and "\n" not in text and "Errno" not in text
    return text


def saved(tmp_path, picture: Image.Image, name="a.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


# ---- arrays --------------------------------------------------------------------------------------


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_an_rgb_array_is_taken_as_it_is_and_copied(array):
    image = read_image(array)
    assert image.dtype == np.uint8 and (image == array).all()
    assert not np.shares_memory(image, array)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))))
def test_any_number_of_channels_becomes_three(array):
    image = read_image(array)
    assert image.shape == (*array.shape[:2], 3)
    expected = array[:, :, :1] if array.shape[2] < 3 else array[:, :, :3]  # alpha is dropped
    assert (image == expected).all()


@given(hnp.arrays(np.uint16, (3, 4)))
def test_sixteen_bits_are_scaled_to_the_whole_range(array):
    white = 4095 if array.max() <= 4095 else 65535  # a camera's 12 bits in a file of 16
    image = read_image(array)
    assert (np.abs(image[:, :, 0] - array / white * 255) <= 0.5 + 1e-9).all()
    assert read_image(np.full((1, 1), 65535, np.uint16))[0, 0, 0] == 255
    assert read_image(np.full((1, 1), 4095, np.uint16))[0, 0, 0] == 255


@pytest.mark.parametrize(
    "array, expected",
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 0.5]]), [0, 128]),
        (np.array([[0.0, 1.0]], np.float16), [0, 255]),
        (np.array([[1.0, 254.6]], np.float32), [1, 255]),
        (np.array([[7, 255]], np.int64), [7, 255]),
        ([[0, 9]], [0, 9]),
    ],
)
def test_other_types_of_values(array, expected):
    assert read_image(array)[0, :, 1].tolist() == expected


def test_tensors_are_arrays_too():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return RGB

    assert (read_image(Tensor()) == RGB).all()


@pytest.mark.parametrize("shape", [(1, 1000), (1000, 1), (1, 1)])
def test_extreme_shapes(shape):
    assert read_image(np.zeros(shape, np.uint8)).shape == (*shape, 3)


@pytest.mark.parametrize(
    "array, words",
    [
        (np.full((2, 2, 3), np.nan), "NaN"),
        (np.full((2, 2), np.inf), "NaN or infinite"),
        (np.full((2, 2), -1), "-1"),
        (np.full((2, 2), 300, np.int32), "300"),
        (np.array([[-0.5, 0.5]]), "-0.5"),
        (np.zeros((3, 40, 50)), "channels last"),
        (np.zeros((1, 40, 50, 3)), "one at a time"),
        (np.zeros((40, 50, 7)), "(40, 50, 7)"),
        (np.zeros(5), "(5,)"),
        (np.zeros((0, 5, 3)), "empty"),
        (np.array([["a", "b"]]), "type <U1"),
        (np.zeros((2, 2), complex), "complex"),
        ([[1, 2], [3]], "array"),
        (None, "NoneType"),
        (7, "int"),
    ],
)
def test_what_is_no_picture_is_refused(array, words):
    with pytest.raises(LabkitError) as error:
        read_image(array, name="Photo 3")
    assert words in one_sentence(error)
    assert "Photo 3" in str(error.value)


# ---- files ---------------------------------------------------------------------------------------


def test_the_same_picture_by_path_text_bytes_file_and_pillow(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB))
    sources = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), Image.open(path)]
    for source in sources:
        assert (read_image(source) == RGB).all()
    with path.open("rb") as stream:
        assert (read_image(stream) == RGB).all()
    assert image_size(path) == (4, 5)


OLD_PILLOW = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 misreads YCbCr TIFFs"
)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGBA", "CMYK", pytest.param("YCbCr", marks=OLD_PILLOW)]
)
def test_the_modes_of_files(tmp_path, mode):
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    path = saved(tmp_path, Image.fromarray(RGB).convert(mode), f"a.{suffix}")
    assert read_image(path).shape == (4, 5, 3)


def test_transparency_is_dropped(tmp_path):
    rgba = np.dstack([RGB, np.zeros((4, 5), np.uint8)])
    assert (read_image(saved(tmp_path, Image.fromarray(rgba))) == RGB).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_files(tmp_path, suffix):
    grey = np.array([[0, 257, 25700, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(grey), f"deep.{suffix}")
    assert read_image(path)[0, :, 2].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(RGB), exif=exif)
    upright = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB, -1),
        7: np.rot90(RGB, 2).swapaxes(0, 1),
        8: np.rot90(RGB),
    }[orientation]
    assert np.array_equal(read_image(path), upright)
    assert image_size(path) == upright.shape[:2]
    assert np.array_equal(read_image(path, upright=False), RGB)
    assert image_size(path, upright=False) == RGB.shape[:2]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert (read_image(path) == RGB).all()
    assert image_size(path) == (4, 5)


@pytest.mark.parametrize("name", ["a.gif", "a.tif"])
def test_of_an_animation_or_stack_the_first_frame_with_a_warning(tmp_path, name):
    frames = [Image.fromarray(np.full((4, 5), v, np.uint8)) for v in (10, 200)]
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match=f"{name} holds 2 pages; the first is read"):
        assert (read_image(path) == 10).all()
    assert (read_image(path, warn=False) == 10).all()


@pytest.mark.parametrize(
    "suffix, format", [("mpo", "MPO"), ("jfif", "JPEG"), ("jp2", "JPEG2000"), ("avif", "AVIF")]
)
def test_what_cameras_and_phones_write(tmp_path, suffix, format):
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("#808080", "#ffffff")]
    more = {"save_all": True, "append_images": frames[1:]} if format == "MPO" else {}
    path = saved(tmp_path, frames[0], f"a.{suffix}", format=format, **more)
    image = read_image(path)  # the second view of an MPO is no further page: no warning
    assert image.shape == (40, 50, 3) and np.abs(image.astype(int) - 128).max() <= 2
    assert path.suffix in IMAGE_SUFFIXES


def test_heic_names_the_package_or_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(LabkitError, match="install pillow-heif"):
        read_image(path)
    monkeypatch.undo()
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", (50, 40), "#808080")).save(path)
    assert image_size(path) == (40, 50)
    assert np.abs(read_image(path).astype(int) - 128).max() <= 2


@pytest.mark.parametrize("channels, depth", [(5, np.uint8), (8, np.uint16)])
def test_the_channels_of_a_multispectral_tiff_are_named(tmp_path, channels, depth):
    tifffile = pytest.importorskip("tifffile")
    values = np.zeros((4, 5, channels), depth)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig")
    with pytest.raises(LabkitError, match=f"a TIFF of {channels} channels"):
        read_image(tmp_path / "a.tif")


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError) as error:
        read_image(tmp_path / "none.jpg")
    assert str(tmp_path / "none.jpg") in one_sentence(error)
    assert isinstance(error.value, FileNotFoundError) and isinstance(error.value, LabkitError)
    with pytest.raises(MissingFileError):
        image_size(tmp_path / "none.jpg")


def test_a_folder(tmp_path):
    with pytest.raises(LabkitError, match="is a folder"):
        read_image(tmp_path)


def test_a_name_that_no_file_can_have():
    with pytest.raises(LabkitError, match="cannot be opened"):
        read_image("a\0b.png")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB))
    path.chmod(0)
    with pytest.raises(LabkitError, match="cannot be opened"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_a_file_that_is_no_picture(tmp_path, content):
    path = tmp_path / "odd\nname.png"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(LabkitError) as error:
            read_image(source, name="odd.png")
        assert "odd.png" in one_sentence(error)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp"])
def test_a_file_cut_off_in_the_middle(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LabkitError) as error:
        read_image(path)
    assert str(path) in one_sentence(error)


@given(st.binary(max_size=300))
def test_rubbish_never_raises_anything_else(content):
    png = io.BytesIO()
    Image.fromarray(RGB).save(png, "PNG")
    for data in (content, png.getvalue()[:40] + content):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert read_image(data).dtype == np.uint8
            except LabkitError as error:
                assert "the given bytes" in str(error)


def bomb(side: int) -> bytes:
    """The header of a PNG of side x side pixels, and no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e"


@pytest.mark.parametrize("side", [9_200, 60_000])
def test_pictures_that_would_not_fit_into_memory_are_refused(side):
    with pytest.raises(LabkitError) as error:
        read_image(bomb(side), name="bomb.png")
    assert "bomb.png" in one_sentence(error)


def test_pillows_limit_rises_with_labkits(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(LabkitError, match="LABKIT_MAX_PIXELS") as error:
        read_image(path, max_pixels=4000)
    assert str(path) in one_sentence(error)
    assert read_image(path, max_pixels=10_000).shape == (100, 100, 3)


@pytest.mark.parametrize("value, expected", [("200_000_000", "200000000"), ("much", "a number")])
def test_the_limit_from_the_environment(value, expected):
    code = "from labkit.io import images; print(images.MAX_PIXELS)"
    env = os.environ | {"LABKIT_MAX_PIXELS": value}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert expected in done.stdout + done.stderr


def test_the_limit_can_be_set():
    with pytest.raises(LabkitError, match="5 x 4 pixels, more than the limit of 19"):
        read_image(Image.fromarray(RGB), max_pixels=19)
    assert read_image(Image.fromarray(RGB), max_pixels=20).shape == (4, 5, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_with_the_name_of_a_picture_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    for read in (read_image, image_size):
        with pytest.raises(LabkitError, match="x.png is a pipe or a device"):
            read(tmp_path / "x.png")
