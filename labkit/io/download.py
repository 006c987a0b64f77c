"""Download of one file: resumed, checked, and there whole or not at all.

A download is written to `<target>.part`. Only if it has the right length and SHA-256 is it renamed
to `<target>`, which happens entirely or not at all. `<target>.part.json` keeps the address and the
server's validator (ETag or Last-Modified): an interrupted download goes on where it stopped if the
server still has the same file, and starts again if not. While one process downloads, the lock
`<target>.lock` makes others wait, which then find the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import filelock
import platformdirs

from labkit.errors import LabkitError
from labkit.io.progress import progress_bar
from labkit.io.whole_file import move

ATTEMPTS = 4
TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 2**20
_WORTH_ANOTHER_TRY = {408, 416, 429, 500, 502, 503, 504}


def cache_folder() -> Path:
    """The folder for downloads: $LABKIT_CACHE, or labkit's folder in the system's cache.

    On Linux that is $XDG_CACHE_HOME/labkit, ~/.cache/labkit by default. It need not exist yet.
    """
    chosen = os.environ.get("LABKIT_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("labkit", appauthor=False)


def fetch(
    url: str,
    target: str | os.PathLike,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: bool = True,
    opener: Callable[..., Any] | None = None,
) -> Path:
    """Download `url` to `target`, unless the right file is there already.

    Args:
        url: an http or https address. It may redirect to another one, but not from https to http.
        target: where the file goes; its folder is made.
        sha256: the digest in hexadecimal, or its first digits (at least eight), as torchvision puts
            them into file names. Without it a file that is there already counts as the right one.
        size: the number of bytes, where it is known.
        progress: show messages and a progress bar on stderr.
        opener: a function that opens a `urllib.request.Request`, takes the keyword `timeout` and
            returns the response; by default urllib's, which respects the usual proxy variables.

    Returns:
        The target.

    Raises:
        LabkitError: no network, no such file, wrong content or a full disk. The message says how to
            put the file there by hand.
    """
    target = Path(target)
    job = _Job(url, target, _digits(sha256), size, progress, opener or _opener())
    if urlsplit(url).scheme not in ("http", "https"):
        raise LabkitError(
            f"{url} is not an http or https address; download it by hand to {target}."
        )
    try:
        if not job.has_target():
            target.parent.mkdir(parents=True, exist_ok=True)
            with job.lock():
                if not job.has_target():  # another process may have brought it meanwhile
                    job.run()
    except OSError as error:  # of the disk: errors of the network are caught where it is used
        raise job.failure(error.strerror or str(error)) from error
    return target


def _digits(sha256: str | None) -> str | None:
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise LabkitError(f"'{sha256}' is not a SHA-256 digest: give 8 to 64 hexadecimal digits.")
    return sha256.lower() if sha256 else None


class _Broken(Exception):
    """The connection failed, and another try may help; the message is the reason."""


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        schemes = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in schemes:
            raise URLError(f"the server redirects to {newurl[:200]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> Callable[..., Any]:
    return build_opener(_Redirects).open


@dataclass
class _Job:
    """One download: the arguments of `fetch`, and the steps."""

    url: str
    target: Path
    sha256: str | None
    size: int | None
    progress: bool
    opener: Callable[..., Any]

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def notes(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Let only one process download. The empty .lock stays: removing it would be a race."""
        lock = filelock.FileLock(f"{self.target}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            self.say(f"{self.target.name}: another process is downloading it, waiting ...\n")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def say(self, text: str) -> None:
        if self.progress:
            print(text, end="", file=sys.stderr, flush=True)

    def failure(self, reason: str) -> LabkitError:
        reason = " ".join(reason.split()).rstrip(".")
        dots = "..." if len(self.sha256 or "") < 64 else ""
        digest = f" (its SHA-256: {self.sha256}{dots})" if self.sha256 else ""
        return LabkitError(
            f"{self.target.name} could not be downloaded: {reason}; get it in another way from "
            f"{self.url}{digest} and put it at {self.target.absolute()}."
        )

    # --- is it the file?

    def has_target(self) -> bool:
        return self.target.is_file() and self.complaint(self.target) is None

    def complaint(self, file: Path) -> str | None:
        """What is wrong with a file that should be the one we want; None if it is right."""
        length = file.stat().st_size
        if self.size is not None and length != self.size:
            return f"it has {length:,} bytes instead of {self.size:,}"
        if self.sha256 is None:
            return None
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if not found.startswith(self.sha256):
            return f"its SHA-256 is {found[: len(self.sha256)]}, not {self.sha256}"
        return None

    # --- getting it

    def run(self) -> None:
        """Download the part, check it, and rename it to the target."""
        if self.target.exists():
            self.say(f"{self.target} is not the file that is wanted; it will be replaced\n")
        self.say(f"downloading {self.url}\n")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                kept = self.receive()
            except _Broken as error:
                if attempt == ATTEMPTS:
                    raise self.failure(f"{error} (tried {ATTEMPTS} times)") from error
                self.say(f"{self.target.name}: {error}; trying again ...\n")
                time.sleep(2.0 ** (attempt - 1))
                continue
            wrong = self.complaint(self.part)
            if wrong is None:
                move(self.part, self.target)
                self.notes.unlink(missing_ok=True)
                return
            self.discard()
            # The part that was kept may belong to another file: try once more without it.
            if not kept or attempt == ATTEMPTS:
                raise self.failure(f"the server sent another file: {wrong}")
            self.say(f"{self.target.name}: the part that was kept did not fit; starting again\n")

    def receive(self) -> int:
        """Complete the part.

        Returns:
            The number of bytes that were kept from an earlier download.

        Raises:
            _Broken: another try may help.
            LabkitError: it will not.
        """
        kept, validator = self.kept()
        headers = {"Accept-Encoding": "identity", "User-Agent": "labkit"}
        if kept:
            headers |= {"Range": f"bytes={kept}-", "If-Range": validator}
        with self.open(Request(self.url, headers=headers)) as response:
            start, total = _extent(response)
            if start not in (0, kept) or (start and _validator(response) not in (validator, "")):
                self.discard()
                raise _Broken("the server sent another part than was asked for")
            if None not in (self.size, total) and self.size != total:
                self.discard()
                raise self.failure(f"the server has {total:,} bytes instead of {self.size:,}")
            notes = {"url": self.url, "validator": _validator(response)}
            self.notes.write_text(json.dumps(notes), encoding="utf-8")
            with self.part.open("r+b" if start else "wb") as file:
                file.seek(start)
                for chunk in self.with_bar(_chunks(response), start, total):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                length = file.tell()
        if total is not None and length != total:
            raise _Broken(f"the connection closed after {length:,} of {total:,} bytes")
        return start

    def kept(self) -> tuple[int, str]:
        """Where to go on in the part, and the validator of the file that the part belongs to.

        We go on one byte before its end, because a server refuses to send the rest of a part that
        is complete already.
        """
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            length = self.part.stat().st_size
            if notes["url"] == self.url and notes["validator"] and length > 1:
                return length - 1, str(notes["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no part, or nothing that says which file it belongs to
        self.discard()
        return 0, ""

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def open(self, request: Request):
        try:
            return self.opener(request, timeout=TIMEOUT)
        except HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code == 416:  # range not satisfiable: the server's file is shorter
                self.discard()
            if error.code in _WORTH_ANOTHER_TRY:
                raise _Broken(reason) from error
            raise self.failure(reason) from error
        except (URLError, HTTPException, OSError) as error:
            inner = getattr(error, "reason", None) or error
            if isinstance(inner, TimeoutError | ConnectionResetError | HTTPException):
                raise _Broken(_reason(inner)) from error
            raise self.failure(_reason(inner)) from error

    def with_bar(self, chunks: Iterator[bytes], start: int, total: int | None) -> Iterator[bytes]:
        """The chunks, while a progress bar counts their bytes."""
        with progress_bar(
            desc=self.target.name,
            initial=start,
            total=total,
            unit="B",
            unit_scale=True,
            shown=self.progress,
        ) as bar:
            for chunk in chunks:
                yield chunk
                bar.update(len(chunk))


def _extent(response) -> tuple[int | None, int | None]:
    """Where in the file the response's body begins, and the length of the file; None: unknown."""
    if response.status != 206:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not found:
        return None, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _validator(response) -> str:
    """What changes when the file at an address changes; "" where the server does not say."""
    etag = response.headers.get("ETag", "")
    # A weak ETag does not promise the same bytes, which resuming needs.
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _chunks(response) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (HTTPException, OSError) as error:
        raise _Broken(_reason(error)) from error


def _reason(error: Exception | str) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT:.0f} seconds"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
