"""A download against a server on this machine that can be told to misbehave."""

import errno
import hashlib
import json
import multiprocessing
import os
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from terminal import on_terminal

from labkit.errors import LabkitError
from labkit.io import download, progress
from labkit.io.download import cache_folder, fetch

CONTENT = bytes(range(256)) * 4096  # one MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]


@dataclass
class Site:
    """What the server does, and what it was asked."""

    address: str = ""
    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    shift: int = 0  # what is added to the beginning of a range that is sent
    has_length: bool = True
    drops: list[int] = field(default_factory=list)  # bytes after which a response breaks off
    failures: list[int] = field(default_factory=list)  # statuses of the first responses
    redirect: str | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # paths and ranges


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        site = self.server.site
        asked = self.headers.get("Range")
        site.asked.append((self.path, asked))
        self.close_connection = True
        if site.failures:
            return self.send_error(site.failures.pop(0))
        if site.redirect and self.path != "/moved":
            return self.answer(302, b"", {"Location": site.redirect})
        if self.path == "/missing":
            return self.send_error(404)
        validator = site.etag or site.modified
        fits = not site.heeds_if_range or self.headers.get("If-Range") == validator
        if asked and site.ranges and fits:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) + site.shift
            total = len(site.content)
            if start >= total:
                return self.send_error(416)
            extent = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
            return self.answer(206, site.content[start:], extent)
        self.answer(200, site.content, {})

    def answer(self, status, body, headers):
        site = self.server.site
        self.send_response(status)
        headers |= {"ETag": site.etag, "Last-Modified": site.modified}
        if site.has_length:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: site.drops.pop(0)] if site.drops else body)


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.site = Site(address=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """No test waits between tries; how long it would have is kept."""
    waited = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    return waited


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "weights.pth"


def leave_part(site, target, share=0.5, **notes):
    """What a download of the site's file that was interrupted leaves."""
    target.parent.mkdir(exist_ok=True)
    part = target.with_name("weights.pth.part")
    part.write_bytes(CONTENT[: int(len(CONTENT) * share)])
    known = {"url": f"{site.address}/w", "validator": '"one"'} | notes
    target.with_name("weights.pth.part.json").write_text(json.dumps(known))
    return part


def left_over(target) -> set[str]:
    return {p.name for p in target.parent.iterdir()} - {"weights.pth.lock"}


# ---------------------------------------------------------------- the good cases


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8], SHA256.upper(), None])
def test_a_file_is_downloaded_checked_and_alone(site, target, sha256):
    assert fetch(f"{site.address}/w", target, sha256=sha256, size=len(CONTENT)) == target
    assert target.read_bytes() == CONTENT
    assert left_over(target) == {"weights.pth"}


def test_a_file_that_is_there_is_not_downloaded_again(site, target, capsys):
    for _ in range(3):
        fetch(f"{site.address}/w", str(target), sha256=SHA256)
    assert len(site.asked) == 1
    target.write_bytes(b"mine")
    assert fetch(f"{site.address}/w", target).read_bytes() == b"mine"  # nothing says it is wrong
    capsys.readouterr()
    assert fetch(f"{site.address}/w", target, sha256=SHA256).read_bytes() == CONTENT
    assert "is not the file that is wanted" in capsys.readouterr().err


def test_a_file_that_is_there_needs_no_writable_folder(site, target, monkeypatch):
    fetch(f"{site.address}/w", target)
    monkeypatch.setattr(Path, "mkdir", None)
    monkeypatch.setattr(download.filelock, "FileLock", None)
    assert fetch(f"{site.address}/w", target, sha256=SHA256) == target


def test_an_empty_file(site, target):
    site.content = b""
    assert fetch(f"{site.address}/w", target, size=0).read_bytes() == b""


def test_a_server_that_tells_no_length(site, target):
    site.has_length = False
    assert fetch(f"{site.address}/w", target, sha256=SHA256).read_bytes() == CONTENT


def test_a_redirect_is_followed(site, target):
    site.redirect = f"{site.address}/moved"
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == ["/w", "/moved"]


def test_progress_is_shown_on_stderr_or_not_at_all(site, target, capsys):
    fetch(f"{site.address}/w", target)
    out, err = capsys.readouterr()
    first, start, end = err.splitlines()
    assert out == "" and first == f"downloading {site.address}/w"
    assert start.startswith("weights.pth:   0%|") and " 0.00/1.05M [" in start
    assert end.startswith("weights.pth: 100%|") and " 1.05M/1.05M [" in end
    fetch(f"{site.address}/w", target.with_name("b"), progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_one_line_that_grows(site, target, monkeypatch):
    monkeypatch.setattr(progress, "REDRAW", 0)
    monkeypatch.setattr(download, "_CHUNK", 2**18)
    site.drops = [2**19]
    with on_terminal() as terminal:
        fetch(f"{site.address}/w", target)
    first, half, trying_again, whole = terminal.screen()
    assert first == f"downloading {site.address}/w"
    assert half.startswith("weights.pth:  50%|")
    assert "524,288 of 1,048,576 bytes; trying again" in trying_again
    assert whole.startswith("weights.pth: 100%|") and "weights.pth:  75%|" in terminal.getvalue()


def test_a_server_that_tells_no_length_is_shown_how_much_has_come(site, target, capsys):
    site.has_length = False
    fetch(f"{site.address}/w", target)
    assert "weights.pth: 1.05MB [" in capsys.readouterr().err.splitlines()[-1]


def test_the_opener_can_be_anothers(site, target):
    seen = []

    def opener(request, timeout):
        seen.append((request.full_url, timeout))
        return urllib.request.urlopen(request, timeout=timeout)

    fetch(f"{site.address}/w", target, opener=opener)
    assert seen == [(f"{site.address}/w", download.TIMEOUT)]


# ---------------------------------------------------------------- interrupted and resumed


def test_a_dropped_connection_is_resumed_where_it_broke(site, target, waits):
    site.drops = [300_000, 200_000]
    assert fetch(f"{site.address}/w", target, sha256=SHA256).read_bytes() == CONTENT
    # each goes on one byte before the end of what has come
    assert [r for _, r in site.asked] == [None, "bytes=299999-", "bytes=499998-"]
    assert waits == [1, 2]


def test_a_later_call_goes_on(site, target):
    site.drops = [1000, 1000, 1000, 1000]
    with pytest.raises(LabkitError, match="closed after 3,997 of 1,048,576 bytes .tried 4 times"):
        fetch(f"{site.address}/w", target)
    assert not target.exists()
    site.drops, site.asked = [], []
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
    assert site.asked == [("/w", "bytes=3996-")]


def test_last_modified_serves_where_there_is_no_etag(site, target):
    site.etag, site.modified, site.drops = None, "Wed, 21 Oct 2015 07:28:00 GMT", [1000]
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
    assert site.asked[1] == ("/w", "bytes=999-")


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
def test_without_a_strong_validator_nothing_is_resumed(site, target, etag):
    site.etag, site.drops = etag, [1000]
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
    assert site.asked == [("/w", None)] * 2


def test_a_whole_part_is_taken(site, target):
    leave_part(site, target, share=1)
    assert fetch(f"{site.address}/w", target, sha256=SHA256).read_bytes() == CONTENT
    assert site.asked == [("/w", f"bytes={len(CONTENT) - 1}-")]


def test_a_server_without_ranges_sends_all_again(site, target):
    site.ranges = False
    leave_part(site, target)
    assert fetch(f"{site.address}/w", target, sha256=SHA256).read_bytes() == CONTENT
    assert len(site.asked) == 1 and left_over(target) == {"weights.pth"}


def test_a_part_of_another_file_is_found_out_by_the_server(site, target):
    site.content, site.etag = OTHER, '"two"'
    leave_part(site, target)
    assert fetch(f"{site.address}/w", target).read_bytes() == OTHER


def test_a_server_that_ignores_if_range_is_found_out_by_its_etag(site, target):
    site.content, site.etag, site.heeds_if_range = OTHER, '"two"', False
    leave_part(site, target)
    assert fetch(f"{site.address}/w", target).read_bytes() == OTHER
    assert [r for _, r in site.asked] == [f"bytes={len(CONTENT) // 2 - 1}-", None]


def test_a_part_of_another_file_is_found_out_by_the_digest(site, target):
    part = leave_part(site, target)
    part.write_bytes(OTHER[: len(OTHER) // 2])
    assert fetch(f"{site.address}/w", target, sha256=SHA256).read_bytes() == CONTENT
    assert len(site.asked) == 2


def test_a_part_of_another_address_or_of_unknown_origin_is_not_used(site, target):
    leave_part(site, target, url="http://elsewhere/w")
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
    assert site.asked == [("/w", None)]
    target.unlink()
    for damage in ("", "[]", "{}", '{"url": 1}', "null"):
        leave_part(site, target)
        target.with_name("weights.pth.part.json").write_text(damage)
        assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
        target.unlink()


def test_a_part_longer_than_the_file(site, target):
    part = leave_part(site, target)
    part.write_bytes(CONTENT * 2)
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT


def test_a_range_that_begins_elsewhere_is_not_believed(site, target):
    site.shift = 5
    leave_part(site, target)
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(site, target, status):
    site.failures = [status, status]
    assert fetch(f"{site.address}/w", target).read_bytes() == CONTENT
    assert len(site.asked) == 3


# ---------------------------------------------------------------- one sentence that says what to do


def refusal(url, target, **options) -> str:
    with pytest.raises(LabkitError) as caught:
        fetch(url, target, **options)
    text = str(caught.value)
    assert url in text and str(target) in text and "\n" not in text
    assert not target.exists()
    return text


def test_a_wrong_digest(site, target):
    text = refusal(f"{site.address}/w", target, sha256="0badc0de")
    assert f"its SHA-256 is {SHA256[:8]}, not 0badc0de" in text
    assert left_over(target) == set() and len(site.asked) == 1


def test_a_wrong_length(site, target):
    text = refusal(f"{site.address}/w", target, size=5)
    assert "1,048,576 bytes instead of 5" in text and left_over(target) == set()
    site.has_length = False
    assert "1,048,576 bytes instead of 5" in refusal(f"{site.address}/w", target, size=5)


def test_a_missing_file(site, target):
    text = refusal(f"{site.address}/missing", target, sha256=SHA256[:8])
    assert "404 Not Found" in text and f"SHA-256: {SHA256[:8]}..." in text
    assert len(site.asked) == 1


def test_a_server_that_stays_in_trouble(site, target):
    site.failures = [503] * 9
    assert "503 Service Unavailable (tried 4 times)" in refusal(f"{site.address}/w", target)


def test_no_network(target):
    def opener(request, timeout):
        raise urllib.error.URLError(OSError(-3, "Temporary failure in name resolution"))

    assert "name resolution" in refusal("https://a.invalid/w", target, opener=opener)


def test_nobody_listens(site, target):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
    assert "refused" in refusal(f"http://127.0.0.1:{port}/w", target)


def test_a_server_that_never_answers(target):
    def opener(request, timeout):
        raise TimeoutError("timed out")

    text = refusal("https://a.invalid/w", target, opener=opener)
    assert "no answer for 30 seconds (tried 4 times)" in text


def test_a_disk_that_is_full(site, target, monkeypatch):
    def fsync(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download.os, "fsync", fsync)
    assert "No space left on device" in refusal(f"{site.address}/w", target)


def test_a_folder_that_cannot_be_made(site, tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "weights.pth"
    assert "File exists" in refusal(f"{site.address}/w", target)
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(LabkitError, match="folder could not be downloaded: .*directory"):
        fetch(f"{site.address}/w", target)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://a/b", "data:,x", "/etc/hostname"])
def test_only_http(target, url):
    assert "not an http or https address" in refusal(url, target)


@pytest.mark.parametrize("elsewhere", ["file:///etc/hostname", "ftp://a.invalid/w", "data:,x"])
def test_a_redirect_to_another_protocol_is_not_followed(site, target, elsewhere):
    site.redirect = elsewhere
    refusal(f"{site.address}/w", target)


def test_a_redirect_from_https_to_http_is_not_followed():
    handler = download._Redirects()
    secure = urllib.request.Request("https://a.invalid/w")
    with pytest.raises(urllib.error.URLError, match="not https"):
        handler.redirect_request(secure, None, 302, "Found", {}, "http://a.invalid/w")
    followed = handler.redirect_request(secure, None, 302, "Found", {}, "https://b.invalid/w")
    assert followed.full_url == "https://b.invalid/w"


@pytest.mark.parametrize("digits", ["", "abc", "1234567", "x" * 8, "0" * 65])
def test_what_is_not_a_digest(target, digits):
    with pytest.raises(LabkitError, match="not a SHA-256 digest"):
        fetch("https://a.invalid/w", target, sha256=digits)


# ---------------------------------------------------------------- two at once


def fetch_quietly(address, target):
    fetch(f"{address}/w", target, sha256=SHA256, progress=False)


def test_two_threads_download_once(site, target):
    threads = [threading.Thread(target=fetch_quietly, args=(site.address, target)) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT and len(site.asked) == 1


def test_two_processes_download_once(site, target):
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=fetch, args=(f"{site.address}/w", target), kwargs={"sha256": SHA256})
        for _ in "12"
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0, 0]
    assert target.read_bytes() == CONTENT and len(site.asked) == 1


# ---------------------------------------------------------------- where files live


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("LABKIT_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_CACHE", "relative")
    assert cache_folder() == tmp_path / "relative"


@pytest.mark.parametrize("value", [None, ""])
def test_or_else_where_the_system_keeps_caches(monkeypatch, value):
    monkeypatch.delenv("LABKIT_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("LABKIT_CACHE", value)
    assert cache_folder().name.lower() in ("labkit", "cache") and cache_folder().is_absolute()
    assert "labkit" in cache_folder().parts
