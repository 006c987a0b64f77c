"""The picture that an annotation file means, where it lies on this machine.

Annotations are made elsewhere: their names hold another machine's folders, a server's address, a
URL, backslashes, percent signs, another case, or another Unicode form of the same letters. If
exactly one file inside the given folder can be meant, it is taken, and the reader says so. Nothing
outside the folder is ever looked at, and nothing is fetched.

A missing picture must not be replaced by another one of the same name, for example by its mask. So
another folder is searched only if the folder that the name asks for is not there at all, folders
of masks are never searched, and no file is taken for two names.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from labkit.io.data_files import (
    IMAGE_SUFFIXES,
    Unusable,
    can_be_a_name,
    path_inside,
    quote,
)

_MOST_FILES = 500_000  # in and below the folder; beyond that only exact names are found
_NO_PICTURES = re.compile(
    "masks?|labels?|label.?maps?|annotations?|segm.*|gt|gt.?fine|ground.?truth", re.IGNORECASE
)
_SIMPLE = re.compile(r"[^/\\?%:]*[^/\\?%:.][^/\\?%:]*")  # no folder, drive or address in it
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile("[A-Za-z]:")

FOUND = "Pictures were found by a part of their name"


class Found(NamedTuple):
    """A picture's file.

    Attributes:
        name: relative to the folder, with "/".
        path: the file; nothing is there if `exists` is false.
        exists: whether it is there.
        how: "" for the very name, otherwise how the file was found, e.g. "as pics/b.png".
    """

    name: str
    path: Path
    exists: bool
    how: str = ""


class PictureFinder:
    """Finds the files that names mean, in one folder.

    The folder is listed once, so that many names cost little; files that are added later are not
    seen.

    Args:
        folder: no file outside it is found.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self._listed: dict[str, _Listing] = {}
        self._index: dict[str, list[str]] | None = None  # plain base name -> relative paths

    def find(self, name: str) -> Found:
        """The file that a name means.

        Raises:
            Unusable: no file can have this name; or it is not inside the folder, and none or
                several of the files there can be meant.
        """
        exact = self._exact(name)
        if exact is not None:
            return exact
        if self._plainly_missing(name):
            return Found(name, self.folder / name, False)
        inside = problem = None
        try:
            inside = path_inside(self.folder, name)
        except Unusable as error:
            if not can_be_a_name(name):
                raise
            problem = error
        meant = self._meant(name, inside)
        if len(meant) == 1:
            return Found(meant[0], self.folder / meant[0], True, f"as {quote(meant[0])}")
        if len(meant) > 1:
            raise Unusable(
                f"has the file_name {quote(name)}, which may be any of {len(meant)} files in "
                f"{self.folder} ({quote(meant[0])}, {quote(meant[1])}{', …' * (len(meant) > 2)}); "
                "write which one"
            )
        if inside is None:
            raise Unusable(f"{problem}, and no file of that name is there")
        return Found(name, inside, os.path.isfile(inside))

    def find_all(self, names: Sequence[str]) -> list[Found | Unusable]:
        """`find` for all names of a file; an error stands in its place in the list.

        A file that has the very name of one picture, or could be meant by several names, is not
        taken for another one.
        """
        found = [self._find_or_error(name) for name in names]
        owners: dict[str, set[str]] = {}
        for name, one in zip(names, found, strict=True):
            if isinstance(one, Found) and one.exists:
                owners.setdefault(one.name, set()).add(name)
        for i, (name, one) in enumerate(zip(names, found, strict=True)):
            if isinstance(one, Found) and one.how and len(owners[one.name]) > 1:
                found[i] = _taken(name, one)
        return found

    def _find_or_error(self, name: str) -> Found | Unusable:
        try:
            return self.find(name)
        except Unusable as error:
            return error

    # ---- the very name -------------------------------------------------------------------------

    def _exact(self, name: str) -> Found | None:
        """The file of this very name, without asking the system where a listing tells."""
        if "/" not in name and "\\" not in name:
            there = name in self._listing("").files
            return Found(name, self.folder / name, True) if there else None
        try:
            path = path_inside(self.folder, name)
        except Unusable:
            return None
        relative = os.path.relpath(path, os.path.abspath(self.folder)).replace(os.sep, "/")
        place, _, base = relative.rpartition("/")
        return Found(name, path, True) if base in self._listing(place).files else None

    def _listing(self, place: str) -> _Listing:
        if place not in self._listed:
            try:
                with os.scandir(self.folder / place) as entries:
                    names = [(entry.name, entry.is_file()) for entry in entries]
            except (OSError, ValueError):
                names = []
            self._listed[place] = _Listing(names)
        return self._listed[place]

    def _plainly_missing(self, name: str) -> bool:
        """Whether a simple name is not there, in a folder of pictures: the common case, quickly."""
        simple = _SIMPLE.fullmatch(name) and can_be_a_name(name)
        return bool(simple) and self._listing("").has_pictures and not self._beside("", name)

    # ---- what else it may mean -----------------------------------------------------------------

    def _meant(self, name: str, inside: Path | None) -> list[str]:
        """The files that may be meant, by the rule that fits best."""
        for parts in _readings(name):
            place = self._place(parts[:-1])
            beside = [] if place is None else self._beside(place, parts[-1])
            if beside:
                return beside
        if self._is_missing(name, inside):
            return []
        for parts in _readings(name):
            candidates = self._everywhere().get(_plain(parts[-1]), [])
            if candidates:
                exact = [path for path in candidates if path.rpartition("/")[2] == parts[-1]]
                return _longest(exact or candidates, parts)
        return []

    def _is_missing(self, name: str, inside: Path | None) -> bool:
        """Whether the folder that a name asks for is there, with pictures, but not this one."""
        if inside is not None and not re.search("[?%]|://", name):
            place = os.path.relpath(inside.parent, os.path.abspath(self.folder))
            return self._listing("" if place == "." else place).has_pictures
        places = (self._place(parts[:-1]) for parts in _readings(name))
        return any(place and self._listing(place).has_pictures for place in places)

    def _place(self, folders: list[str]) -> str | None:
        """The longest end of a path that is a folder here; "" is the folder itself."""
        for start in range(len(folders)):
            place = "/".join(folders[start:])
            if self._listing(place).any:
                return place
        return "" if not folders or folders[-1] == self.folder.name else None

    def _beside(self, place: str, base: str) -> list[str]:
        """The files of this name in a folder; in another case, Unicode form or format."""
        listing, prefix = self._listing(place), f"{place}/" if place else ""
        names = [base] if base in listing.files else listing.by_plain_name.get(_plain(base))
        names = names or listing.by_stem.get(_plain(_stem(base)), [])
        return sorted(prefix + name for name in names if not self._leads_out(prefix + name))

    def _everywhere(self) -> dict[str, list[str]]:
        if self._index is None:
            self._index = {}
            for relative in self._walk():
                self._index.setdefault(_plain(relative.rpartition("/")[2]), []).append(relative)
        return self._index

    def _walk(self) -> Iterator[str]:
        seen = 0
        for above, folders, files in os.walk(self.folder):
            folders[:] = sorted(f for f in folders if not _NO_PICTURES.fullmatch(f) and f[0] != ".")
            place = os.path.relpath(above, self.folder).replace(os.sep, "/")
            for name in sorted(files):
                relative = name if place == "." else f"{place}/{name}"
                if not self._leads_out(relative):
                    yield relative
            seen += len(files)
            if seen > _MOST_FILES:
                return

    def _leads_out(self, relative: str) -> bool:
        path = self.folder / relative
        if not (os.path.islink(path) or "/" in relative):
            return False
        base = os.path.realpath(self.folder).rstrip(os.sep) + os.sep
        return not os.path.realpath(path).startswith(base)


class _Listing:
    """The files of one folder, by their names and by what their names have in common.

    Args:
        entries: the name of each entry, and whether it is a file.
    """

    def __init__(self, entries: Sequence[tuple[str, bool]]) -> None:
        self.any = bool(entries)
        self.files = {name for name, is_file in entries if is_file}

    @functools.cached_property
    def by_plain_name(self) -> dict[str, list[str]]:
        return _grouped(self.files, _plain)

    @functools.cached_property
    def by_stem(self) -> dict[str, list[str]]:
        return _grouped(filter(_is_picture, self.files), lambda name: _plain(_stem(name)))

    @functools.cached_property
    def has_pictures(self) -> bool:
        return any(map(_is_picture, self.files))


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


# ---- names ---------------------------------------------------------------------------------------


def _readings(name: str) -> Iterator[list[str]]:
    """The ways to read a name, as lists of folders with the file at the end."""
    path, _, query = name.partition("?")
    texts = [name, path]
    texts += [value for pair in query.split("&") if (value := pair.partition("=")[2])][:4]
    seen = []
    for text in [*texts, *(unquote(text) for text in texts if "%" in text)]:
        text = _ADDRESS.sub("", text).replace("\\", "/")
        parts = [part for part in text.split("/") if part not in ("", ".", "..")]
        if parts and _DRIVE.fullmatch(parts[0]):
            parts = parts[1:]
        if parts and parts not in seen:
            seen.append(parts)
            yield parts


def base_name(name: str) -> str:
    """The file's name at the end of a path or URL; "" if there is none."""
    bases = [parts[-1] for parts in _readings(name)]
    pictures = [base for base in bases if _is_picture(base) and "?" not in base]
    return min(pictures or bases or [""], key=lambda base: "%" in base)


def _plain(name: str) -> str:
    """A name without the differences of case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()


def _stem(name: str) -> str:
    return name.rpartition(".")[0] if _is_picture(name) else name


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _longest(paths: list[str], parts: list[str]) -> list[str]:
    """Those whose folders agree with the name's in most places, from the end."""

    def agreeing(path: str) -> int:
        pairs = zip(reversed(path.split("/")), reversed(parts), strict=False)
        return sum(1 for _ in takewhile(lambda pair: _plain(pair[0]) == _plain(pair[1]), pairs))

    most = max(map(agreeing, paths))
    best = [path for path in paths if agreeing(path) == most]
    on_top = [path for path in best if "/" not in path]  # the folder of the pictures itself
    return on_top if len(on_top) == 1 else best


def _taken(name: str, found: Found) -> Unusable:
    return Unusable(
        f"has the file_name {quote(name)}, and the only file of that name, {quote(found.name)}, "
        "belongs to another picture"
    )
