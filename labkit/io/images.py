"""Reading an image from a path, bytes, a Pillow image or an array.

The result is always uint8 `[H, W, 3]` RGB. What cannot be converted is refused with one sentence.

The rules, for files and arrays alike:

* grey becomes RGB with three equal channels; palette indices become their colours;
* **alpha is dropped**, not blended: no background colour would be right for all images, and most
  alpha channels in practice (microscopes, screenshots) are opaque everywhere;
* 16-bit samples are divided by 257, so that 0 stays 0 and 65535 becomes 255; if none is above
  4095, they are the 12 bits of a camera in a 16-bit file, and 4095 becomes 255;
* floats are in `[0, 1]` if no value is above 1, otherwise in `[0, 255]`; NaN, infinity and values
  outside these ranges are refused;
* the EXIF orientation of a photo is applied;
* of an animation or a file of several pages, the first is read, with a warning.

`labkit.io.picture_remarks` says which files were read by one of the rules that may be wrong.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from labkit.errors import LabkitError, opening, printable


def _limit_from(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise LabkitError(f"LABKIT_MAX_PIXELS is {text!r}; set it to a number of pixels.") from None


#: The largest image that is read by default, in pixels. A few kilobytes of a crafted PNG can unpack
#: to gigabytes; 80 million pixels is more than common cameras have, and less than the 89 million
#: where Pillow warns. For larger images, set the environment variable LABKIT_MAX_PIXELS before
#: labkit starts, or `labkit.io.images.MAX_PIXELS`; Pillow's own limit then rises with it.
MAX_PIXELS = _limit_from(os.environ.get("LABKIT_MAX_PIXELS") or "80_000_000")

#: The highest value of 12 bits, which many cameras and microscopes write into files of 16.
TWELVE_BITS = 4095

# The EXIF orientations with a rotation by 90 degrees, which swap height and width.
_QUARTER_TURNS = {5, 6, 7, 8}
_EXIF_ORIENTATION = 0x0112

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
TIFF_CHANNELS, _TIFF_COLOURS, _TIFF_RGB = 277, 262, 2  # two tags, and a value of the second

#: What to do about a picture above the limit; the end of a sentence.
ENLARGE = (
    "make it smaller or, if you trust it, set the environment variable LABKIT_MAX_PIXELS (in "
    "Python labkit.io.images.MAX_PIXELS, or max_pixels=) to a larger number"
)


def read_image(
    source: Any,
    name: str | None = None,
    max_pixels: int | None = None,
    *,
    upright: bool = True,
    warn: bool = True,
) -> np.ndarray:
    """Read one image as uint8 `[H, W, 3]` RGB.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image, or an array or
            tensor `[H, W]`, `[H, W, 1]`, `[H, W, 2]` (grey and alpha), `[H, W, 3]` or `[H, W, 4]`
            of bool, integers or floats. The module's docstring has the rules.
        name: the image's name in error messages; by default its path, or a description.
        max_pixels: files with more pixels are refused before they are unpacked; by default
            `MAX_PIXELS`.
        upright: apply the EXIF orientation; False gives the pixels as they are stored.
        warn: warn of a file of several pages, of which the first is read.

    Returns:
        A new uint8 array `[H, W, 3]`; it never shares memory with `source`.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it is not an image, is damaged, is too large or has values out of range.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return _read_file(_open_path(path), name or printable(path), max_pixels, upright, warn)
    if isinstance(source, (bytes, bytearray, memoryview)):
        stream, label = io.BytesIO(bytes(source)), name or "the given bytes"
        return _read_file(stream, label, max_pixels, upright, warn)
    if isinstance(source, Image.Image):
        label = name or getattr(source, "filename", "") or "the given Pillow image"
        return _from_pillow(source, label, max_pixels, upright)
    if hasattr(source, "read"):
        label = name or str(getattr(source, "name", "the given file object"))
        return _read_file(io.BytesIO(source.read()), label, max_pixels, upright, warn)
    if isinstance(source, (list, tuple)) or hasattr(source, "__array__"):
        return _from_array(source, name or "the given array")
    raise LabkitError(
        f"{name or 'The picture'} is a {type(source).__name__}; give a path, bytes, a Pillow image "
        "or an array [H, W, 3]."
    )


def read_samples(source: str | os.PathLike | bytes, name: str | None = None) -> np.ndarray:
    """The values that an image file stores, for files whose values are labels and not colours.

    Args:
        source: a path, or the bytes of a file with one image of at most `MAX_PIXELS` pixels.
        name: the image's name in error messages.

    Returns:
        `[H, W]` or `[H, W, C]` in the file's own type, and palette indices instead of colours.
        Neither the EXIF orientation nor a scale is applied.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: as in `read_image`, or the file has several pages.
    """
    if isinstance(source, bytes):
        stream, label = io.BytesIO(source), name or "the given bytes"
    else:
        stream, label = _open_path(Path(source)), name or printable(source)
    with stream, open_picture(stream, label) as picture:
        _load_pixels(picture, label, MAX_PIXELS)
        if getattr(picture, "n_frames", 1) > 1:
            raise LabkitError(
                f"{label} holds {picture.n_frames} pages; give every picture a file of its own."
            )
        return np.array(picture)


def image_size(
    path: str | os.PathLike, name: str | None = None, *, upright: bool = True
) -> tuple[int, int]:
    """The size of the image that `read_image` returns, from the file's header alone.

    Args:
        path: the file.
        name: the image's name in error messages.
        upright: as in `read_image`.

    Returns:
        (height, width) in pixels.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: as in `read_image`, as far as the header tells.
    """
    label = name or printable(path)
    with _open_path(Path(path)) as stream, open_picture(stream, label) as picture:
        width, height = picture.size
        turned = upright and exif_orientation(picture) in _QUARTER_TURNS
    return (width, height) if turned else (height, width)


def size_problem(path: str | os.PathLike, wanted: tuple[int, int], label: str) -> str:
    """What is wrong with the size of a picture; "" if it has it, upright or as it is stored.

    Args:
        path: the file; only its header is read.
        wanted: (height, width) that its annotations are for.
        label: what messages call the annotations.

    Raises:
        MissingFileError, LabkitError: as `image_size`; or it has more than `MAX_PIXELS` pixels.
    """
    found = image_size(path)
    _check_pixels(found[1], found[0], printable(path), MAX_PIXELS)
    if wanted == found or wanted == image_size(path, upright=False):
        return ""
    swapped = " (height and width are swapped)" if wanted == found[::-1] else ""
    return (
        f"{printable(path)} has {found[0]} x {found[1]} pixels (height x width) but {label} says "
        f"{wanted[0]} x {wanted[1]}{swapped}; correct the annotations, or use the pictures they "
        "were made for."
    )


def page_count(picture: Image.Image) -> int:
    """The pages or frames of an opened file; 1 for the several views of one photo in an MPO."""
    return 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)


def exif_orientation(picture: Image.Image) -> int:
    """How an opened photo is turned, from 1 (upright) to 8, by its EXIF; 1 if that is damaged."""
    try:
        return picture.getexif().get(_EXIF_ORIENTATION) or 1
    except Exception:
        return 1


def _open_path(path: Path) -> io.BufferedReader:
    try:
        with opening(path, "image file"):
            if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe may block
                raise LabkitError(f"{printable(path)} is a pipe or a device, not a file.")
            return path.open("rb")
    except LabkitError:
        raise
    except ValueError as error:  # a name with a NUL byte
        raise LabkitError(f"{printable(path)} cannot be opened ({error}).") from None


def open_picture(stream: Any, label: str, max_pixels: int | None = None) -> Image.Image:
    """Pillow's lazy image of an open file: only the header is read, the pixels are not.

    Raises:
        LabkitError: it is not a picture, has channels that Pillow cannot read, or is too large.
    """
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    if Image.MAX_IMAGE_PIXELS is not None and limit > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit  # labkit's limit was raised, and this one would come first
    start = stream.read(32)
    stream.seek(0)
    _refuse_channels(stream, start, label)
    try:
        return _open_heif(stream, label) if _is_heif(start) else Image.open(stream)
    except UnidentifiedImageError:
        raise LabkitError(
            f"{label} is not a picture Pillow can read; give a PNG, JPEG, TIFF, BMP or WebP file."
        ) from None
    except Image.DecompressionBombError:
        raise LabkitError(
            f"{label} has more than {2 * Image.MAX_IMAGE_PIXELS} pixels; {ENLARGE}."
        ) from None
    except LabkitError:
        raise
    except Exception as error:  # a damaged header makes Pillow raise nearly anything
        raise LabkitError(_broken(label, error)) from None


def _refuse_channels(stream: Any, start: bytes, label: str) -> None:
    """Name the channels of a TIFF that has too many; Pillow only says that it is no picture."""
    if start[:4] not in (b"II*\0", b"MM\0*"):
        return
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(start[:8])
        stream.seek(tags.next)
        tags.load(stream)
        channels, colours = tags.get(TIFF_CHANNELS, 1), tags.get(_TIFF_COLOURS)
    except Exception:  # damaged; Pillow says so
        return
    finally:
        stream.seek(0)
    if channels > 4 and colours != _TIFF_RGB:
        raise LabkitError(
            f"{label} is a TIFF of {channels} channels, and a picture has 1 to 4; save the three "
            "that show the objects best as an RGB file."
        )


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS


def _open_heif(stream: Any, label: str) -> Image.Image:
    """A photo of an iPhone, which Pillow reads with the help of another package."""
    try:
        import pillow_heif
    except ImportError:
        raise LabkitError(
            f"{label} is a HEIC picture, which needs another package: install pillow-heif "
            "(pip install pillow-heif), or save it as JPEG."
        ) from None
    pillow_heif.register_heif_opener()
    return Image.open(stream)


def _read_file(
    stream: Any, label: str, max_pixels: int | None, upright: bool, warn: bool
) -> np.ndarray:
    with stream, open_picture(stream, label, max_pixels) as picture:
        if warn and page_count(picture) > 1:
            warnings.warn(
                f"{label} holds {page_count(picture)} pages; the first is read. Save the others as "
                "files of their own to use them.",
                stacklevel=3,
            )
        return _from_pillow(picture, label, max_pixels, upright)


def _check_pixels(width: int, height: int, label: str, limit: int) -> None:
    if width * height > limit:
        raise LabkitError(
            f"{label} has {width} x {height} pixels, more than the limit of {limit}; {ENLARGE}."
        )


def _load_pixels(picture: Image.Image, label: str, limit: int) -> None:
    """Unpack an image, unless that would be more than `limit` pixels."""
    _check_pixels(*picture.size, label, limit)
    try:
        picture.load()
    except Exception as error:  # truncated or corrupt: every decoder raises its own errors
        raise LabkitError(_broken(label, error)) from None


def _from_pillow(
    picture: Image.Image, label: str, max_pixels: int | None, upright: bool
) -> np.ndarray:
    _load_pixels(picture, label, MAX_PIXELS if max_pixels is None else max_pixels)
    try:
        picture = ImageOps.exif_transpose(picture) if upright else picture
    except Exception:  # damaged EXIF; the pixels may be fine
        pass
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _from_array(_deep_samples(picture), label)
    return _from_array(np.array(picture.convert("RGB")), label)


def _deep_samples(picture: Image.Image) -> np.ndarray:
    """Samples of more than 8 bits: Pillow reads some 16-bit grey files as mode "I" (32 bits)."""
    samples = np.array(picture)
    if picture.mode == "F" or not samples.size:
        return samples
    low, high = int(samples.min()), int(samples.max())
    return samples.astype(np.uint16) if 0 <= low and high <= 65535 else samples


def _broken(label: str, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{label} is damaged or incomplete and cannot be read ({reason}); replace the file."


def _from_array(source: Any, label: str) -> np.ndarray:
    try:
        array = np.asarray(source)
    except Exception as error:
        raise LabkitError(f"{label} cannot be made an array ({error}).") from None
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise LabkitError(f"{label} has shape {array.shape}; {_shape_remedy(array.shape)}")
    if 0 in array.shape:
        raise LabkitError(f"{label} is empty: its shape is {array.shape}.")
    grey = array.shape[2] < 3
    bytes_ = _to_uint8(array[:, :, :1] if grey else array[:, :, :3], label)
    return np.repeat(bytes_, 3, axis=2) if grey else np.array(bytes_, order="C")


def _shape_remedy(shape: tuple[int, ...]) -> str:
    if len(shape) == 4:
        return "pass the pictures one at a time, each [H, W, 3]."
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "put the channels last, [H, W, 3] (np.moveaxis(array, 0, -1))."
    return "a picture is [H, W], or [H, W, C] with 1 to 4 channels."


def _to_uint8(array: np.ndarray, label: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16 and array.max() <= TWELVE_BITS:
        return ((array.astype(np.uint32) * 255 + TWELVE_BITS // 2) // TWELVE_BITS).astype(np.uint8)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.integer):
        _refuse_outside(array, 255, label)
        return array.astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        return _float_to_uint8(array.astype(np.float64), label)
    raise LabkitError(
        f"{label} holds values of type {array.dtype}; a picture holds integers, floats or bools."
    )


def _float_to_uint8(array: np.ndarray, label: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise LabkitError(
            f"{label} holds NaN or infinite values; replace them first (np.nan_to_num)."
        )
    _refuse_outside(array, 255, label)
    scale = 255.0 if array.max() <= 1.0 else 1.0
    return np.rint(array * scale).astype(np.uint8)


def _refuse_outside(array: np.ndarray, largest: int, label: str) -> None:
    low, high = array.min(), array.max()
    if low < 0 or high > largest:
        raise LabkitError(
            f"{label} holds values from {low} to {high}; scale them to 0..255 (or floats to 0..1), "
            "and undo any mean subtraction, before passing it on."
        )
