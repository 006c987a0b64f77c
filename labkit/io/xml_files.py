"""XML from unknown sources."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from labkit.errors import LabkitError, opening


class _NoDeclarations(ElementTree.TreeBuilder):
    """Refuses a document type: a few lines of entities in one can unpack to gigabytes."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DocumentType


class _DocumentType(Exception):
    pass


def read_xml(path: str | os.PathLike) -> ElementTree.Element:
    """The root element of an XML file. Nothing that it names is opened or fetched.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it cannot be opened, is not XML, or declares a document type (`<!DOCTYPE …>`),
            which no annotation tool writes.
    """
    with opening(path):
        content = Path(path).read_bytes()
    parser = ElementTree.XMLParser(target=_NoDeclarations())
    try:
        # In pieces, so that the parser ends at a document type before it reads what it declares.
        for start in range(0, len(content), 4096):
            parser.feed(content[start : start + 4096])
        return parser.close()
    except _DocumentType:
        raise LabkitError(
            f"{path} declares a document type (<!DOCTYPE …>), as no annotation tool does; remove "
            "the declaration."
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise LabkitError(f"{path} is not xml: {error}.") from None
