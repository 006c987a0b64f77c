"""Files from unknown sources: JSON, the file names in it, and how messages quote both.

A name in an annotation file may hold anything: `../`, another drive, a line feed, half an emoji.
`path_inside` decides which file it means and `quote` how a message shows it; no other module does.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError, opening, printable
from labkit.io.many_objects import making_many_objects
from labkit.io.whole_file import whole_file

#: The endings of image files, in lower case. They matter only where a folder is listed; a file that
#: is given by name may have any ending, because Pillow looks at the content.
IMAGE_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".tif", ".tiff", ".bmp", ".gif", ".webp"),
    *(".avif", ".heic", ".heif", ".jp2", ".j2k", ".pbm", ".pgm", ".ppm", ".tga"),
}

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _shorten.maxlong = 60


class Unusable(Exception):
    """Why an entry is left out. The text ends a sentence that begins with the entry."""


# ---- in a sentence -------------------------------------------------------------------------------


def quote(name: Any) -> str:
    """A name from a file in quotation marks, on one line and printable whatever is in it."""
    text = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False)


def shown(value: Any) -> str:
    """A value from a file, shortened: it may have a million entries, or be deeply nested."""
    return _shorten.repr(value).encode("utf-8", "backslashreplace").decode("utf-8")


# ---- JSON ----------------------------------------------------------------------------------------


def read_json(path: str | os.PathLike) -> Any:
    """The content of a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it cannot be opened, or is not JSON.
    """
    text = read_text(path)
    try:
        with making_many_objects():
            return json.loads(text)
    except json.JSONDecodeError as error:
        raise LabkitError(
            f"{path} is not json: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise LabkitError(f"{path} is nested too deeply to be an annotation file.") from None
    except ValueError:  # Python's own limit
        raise LabkitError(f"{path} holds a number of thousands of digits; correct it.") from None


def read_text(path: str | os.PathLike) -> str:
    """The content of a text file in UTF-8, with or without a byte order mark.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it cannot be opened, or is not UTF-8.
    """
    try:
        with opening(path):
            return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise LabkitError(f"{path} is not text in UTF-8; save it as UTF-8.") from None


def whole(entry: dict[str, Any], field: str) -> int:
    """The whole number in a field of an entry.

    Raises:
        Unusable: the field is missing or holds something else.
    """
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f'"{field}" is {shown(value)}, not a whole number')
    return value


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits a float. `true` and NaN are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all, and make its folder."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: Any, indent: int | None = None) -> None:
    """Write a JSON file in UTF-8, whole or not at all, and make its folder."""
    write_text(path, json.dumps(content, indent=indent))


# ---- where a name leads --------------------------------------------------------------------------


def path_inside(folder: str | os.PathLike, name: str) -> Path:
    """The file that a name from an annotation file means, which must be inside `folder`.

    Both "/" and a backslash separate folders, on every system: a file that was written on Windows
    can be read on Linux, and a name is refused on both or on neither.

    Raises:
        Unusable: the name is absolute, leads out of the folder by `..`, or no file can have it.
    """
    base = os.path.abspath(folder)
    plain = name
    if "\\" in name and not os.path.exists(os.path.join(base, name)):
        plain = name.replace("\\", "/")
    path = os.path.normpath(os.path.join(base, plain))
    if not can_be_a_name(name):
        raise Unusable(f"has the file_name {quote(name)}, which no file can have")
    outside = path == base or not path.startswith(base.rstrip(os.sep) + os.sep)
    if outside or re.match("/|[A-Za-z]:/", plain):
        raise Unusable(f"has the file_name {quote(name)}, which is not inside {folder}")
    return Path(path)


def can_be_a_name(name: str) -> bool:
    """Whether a file can have this name on any system: no NUL, no half characters."""
    return "\0" not in name and not any("\ud800" <= c <= "\udfff" for c in name)


def refuse_links_out(folder: str | os.PathLike, path: Path) -> None:
    """Refuse a file inside `folder` that is, or is reached through, a link that leads out of it.

    The folder itself may be a link.

    Raises:
        LabkitError: there is such a link.
    """
    base = os.path.realpath(folder)
    if not os.path.realpath(path).startswith(base.rstrip(os.sep) + os.sep):
        raise LabkitError(
            f"{printable(path)} is a link that leads out of {folder}; put the file itself there, "
            "or give the folder that it is in."
        )


def image_files(folder: str | os.PathLike) -> list[Path]:
    """The image files directly in a folder, found by their endings and sorted by name."""
    return [
        path
        for path in list_folder(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]


def subfolders(folder: str | os.PathLike) -> list[Path]:
    """The folders directly in a folder, sorted by name, without hidden ones."""
    return [path for path in list_folder(folder) if path.is_dir()]


def list_folder(folder: str | os.PathLike) -> list[Path]:
    """The content of a folder, sorted, without hidden files.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: it cannot be read.
    """
    with opening(folder, "folder"):
        return sorted(path for path in Path(folder).iterdir() if not path.name.startswith("."))
