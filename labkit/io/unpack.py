"""A downloaded archive as a folder: unpacked entirely or not at all, and never outside the folder.

Archives may be malicious. A name that leads out of the folder, a link, a device, a password, or far
more bytes than images and annotations can unpack to is refused before anything is written.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from labkit.errors import LabkitError, MissingFileError
from labkit.io.whole_file import move

# Images hardly get smaller in an archive, annotations ten times. More than this is a zip bomb.
MOST_TIMES = 30
ALWAYS_ALLOWED = 64 << 20  # bytes; a few empty masks may get a hundred times smaller
MOST_ENTRIES = 2_000_000  # COCO has 164,000 images
_LEFTOVERS = {"__MACOSX", ".DS_Store", "Thumbs.db"}  # what file managers add to archives


def unpack(archive: str | os.PathLike, target: str | os.PathLike) -> Path:
    """Unpack a zip archive into the new folder `target`.

    If everything in the archive is in one folder, that folder becomes `target`. What file managers
    add to archives (`__MACOSX`, `.DS_Store`) is left out.

    Args:
        archive: the zip file. It is not removed.
        target: the folder to make.

    Returns:
        The folder.

    Raises:
        MissingFileError: there is no such archive.
        LabkitError: it is damaged or not a zip archive, an entry is refused, the disk is full, or
            `target` exists already.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise MissingFileError(f"{archive}: there is no such archive; check the path.")
    if target.exists():
        raise LabkitError(f"{target} exists already; remove it to unpack {archive.name} again.")
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(opened.infolist(), archive)
            draft.mkdir(parents=True)
            _refuse_full_disk(entries.values(), draft, archive)
            for path, entry in entries.items():
                _write(opened, entry, draft / path)
        move(draft, target)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error):
        raise LabkitError(
            f"{archive} is damaged or not a zip archive; remove it and download it again."
        ) from None
    except OSError as error:
        raise LabkitError(
            f"{archive} could not be unpacked into {target} ({error.strerror or error})."
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _checked(entries: list[zipfile.ZipInfo], archive: Path) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files of an archive by the path they get; LabkitError if one must not be unpacked."""
    allowed = ALWAYS_ALLOWED + MOST_TIMES * archive.stat().st_size
    total = sum(entry.file_size for entry in entries)
    if total > allowed or len(entries) > MOST_ENTRIES:
        raise LabkitError(
            f"{archive} would unpack to {total:,} bytes in {len(entries):,} files, which no honest "
            "archive of its size does; it is not unpacked."
        )
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for entry in entries:
        path = _safe_path(entry, archive)
        if entry.is_dir() or _LEFTOVERS & set(path.parts):
            continue
        if path in files:
            raise LabkitError(f"{archive} holds {entry.filename!r} twice; it is not unpacked.")
        files[path] = entry
    if len({path.parts[0] for path in files}) == 1 and all(len(p.parts) > 1 for p in files):
        return {PurePosixPath(*path.parts[1:]): entry for path, entry in files.items()}
    return files


def _safe_path(entry: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    name, mode = entry.filename, entry.external_attr >> 16
    path = PurePosixPath(name)
    out = path.is_absolute() or ".." in path.parts or not path.parts
    # On Windows "a\\..\\b" is a path too, and "C:b" is one on another drive.
    if out or "\\" in name or ":" in name or "\0" in name:
        raise LabkitError(f"{archive} holds {name!r}, which leads out of it; it is not unpacked.")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LabkitError(f"{archive} holds a link or device, {name!r}; it is not unpacked.")
    if entry.flag_bits & 1:
        raise LabkitError(f"{archive} is locked with a password ({name!r}); unpack it by hand.")
    return path


def _refuse_full_disk(entries: Iterable[zipfile.ZipInfo], folder: Path, archive: Path) -> None:
    needed, free = sum(entry.file_size for entry in entries), shutil.disk_usage(folder).free
    if needed > free:
        raise LabkitError(
            f"{archive} unpacks to {needed / 1e9:,.1f} GB and {free / 1e9:,.1f} GB are free; make "
            "room, or set LABKIT_DATA to a folder on another disk."
        )


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    # Never more than the size that was checked: zipfile stops there and compares the CRC.
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, path.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
