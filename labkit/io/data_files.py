"""Files that come from strangers: json, names of pictures, and what of them is shown in a sentence.

A name in an annotation file may hold anything: `../`, another drive, a line feed, half an emoji.
`path_inside` decides where it leads, `quote` how it is shown; no other module does either.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from pathlib import Path
from typing import Any

from labkit.errors import LabkitError, opening, printable
from labkit.io.whole_file import whole_file

#: The endings of pictures, in lower case. Only folders are listed by them; a file that is named
#: may be called anything, Pillow looks at its content.
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _shorten.maxlong = 60


class Unusable(Exception):
    """Why one entry is left out; the text is the end of a sentence that begins with the entry."""


# ---- in a sentence -------------------------------------------------------------------------------


def quote(name: Any) -> str:
    """A name from a file in quotation marks, on one line and printable whatever it holds."""
    text = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False)


def shown(value: Any) -> str:
    """A value from a file, shortened: it may be a million entries long, or nested very deep."""
    return _shorten.repr(value).encode("utf-8", "backslashreplace").decode("utf-8")


# ---- json ----------------------------------------------------------------------------------------


def read_json(path: str | os.PathLike) -> Any:
    """The content of a json file in UTF-8, with or without a byte order mark.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it cannot be opened, or is not json.
    """
    text = read_text(path)
    try:
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
    """The content of a text file in UTF-8. Raises as `read_json`."""
    try:
        with opening(path):
            return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise LabkitError(f"{path} is not text in UTF-8; save it as UTF-8.") from None


def whole(entry: dict[str, Any], field: str) -> int:
    """The whole number in a field of an entry; `Unusable` if it is anything else."""
    value = entry.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f'"{field}" is {shown(value)}, not a whole number')
    return value


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits a float (`true` is none, nor is NaN)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; its folder is made."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: Any, indent: int | None = None) -> None:
    """Write a json file in UTF-8, whole or not at all; its folder is made."""
    write_text(path, json.dumps(content, indent=indent))


# ---- where a name leads --------------------------------------------------------------------------


def path_inside(folder: str | os.PathLike, name: str) -> Path:
    """The file that a name from an annotation file means, which must lie inside `folder`.

    Both "/" and a backslash separate folders, on every system: a file written on Windows is read
    on Linux, and what is refused on one is refused on the other.

    Raises:
        Unusable: the name is absolute, leads out of the folder by `..`, or is no name at all.
    """
    base = os.path.abspath(folder)
    plain = name
    if "\\" in name and not os.path.exists(os.path.join(base, name)):
        plain = name.replace("\\", "/")
    path = os.path.normpath(os.path.join(base, plain))
    if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise Unusable(f"has the file_name {quote(name)}, which no file can have")
    outside = path == base or not path.startswith(base.rstrip(os.sep) + os.sep)
    if outside or re.match("/|[A-Za-z]:/", plain):
        raise Unusable(f"has the file_name {quote(name)}, which is not inside {folder}")
    return Path(path)


def refuse_links_out(folder: str | os.PathLike, path: Path) -> None:
    """Raise LabkitError if a file inside `folder` is (or lies behind) a link that leads out of it.

    The folder itself may be a link.
    """
    base = os.path.realpath(folder)
    if not os.path.realpath(path).startswith(base.rstrip(os.sep) + os.sep):
        raise LabkitError(
            f"{printable(path)} is a link that leads out of {folder}; put the file itself there, "
            "or give the folder that it is in."
        )


def image_files(folder: str | os.PathLike) -> list[Path]:
    """The pictures directly in a folder, by their endings, in the order of their names."""
    return [
        path
        for path in list_folder(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]


def subfolders(folder: str | os.PathLike) -> list[Path]:
    """The folders directly in a folder, in the order of their names; hidden ones are left out."""
    return [path for path in list_folder(folder) if path.is_dir()]


def list_folder(folder: str | os.PathLike) -> list[Path]:
    """What is in a folder, sorted, without hidden files.

    Raises:
        MissingFileError, LabkitError: there is no such folder, or it cannot be read.
    """
    with opening(folder, "folder"):
        return sorted(path for path in Path(folder).iterdir() if not path.name.startswith("."))
