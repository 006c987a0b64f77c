"""XML is read without what makes XML dangerous."""

import time

import pytest

from labkit.errors import LabkitError, MissingFileError
from labkit.io.xml_files import read_xml


def test_reading(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text('<?xml version="1.0" encoding="utf-8"?><a b="ä&amp;"><c>d</c></a>', "utf-8")
    root = read_xml(path)
    assert root.tag == "a" and root.get("b") == "ä&" and root.findtext("c") == "d"
    path.write_bytes('<?xml version="1.0" encoding="utf-16"?><a b="ä"/>'.encode("utf-16"))
    assert read_xml(path).get("b") == "ä"


BOMB = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 20))


@pytest.mark.parametrize(
    "declared",
    [
        f'<!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]><x>&a19;</x>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>',
    ],
)
def test_document_types_are_refused_at_once(tmp_path, declared):
    (tmp_path / "a.xml").write_text('<?xml version="1.0"?>' + declared)
    start = time.monotonic()
    with pytest.raises(LabkitError, match="a.xml declares a document type"):
        read_xml(tmp_path / "a.xml")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("content", ["", "text", "<a>", "<a>&b;</a>", '<?xml encoding="x"?><a/>'])
def test_what_is_no_xml(tmp_path, content):
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(LabkitError, match="a.xml is not xml: "):
        read_xml(tmp_path / "a.xml")


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_xml(tmp_path / "a.xml")
