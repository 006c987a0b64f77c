"""The site's search: the sections of all pages, and a script that looks through them.

The index is inside the page, so that it works without a server: a browser does not read files
beside a page that was opened from a folder.
"""

import json
import re
from html import unescape

from labkit.course.web.page import file

_HEADING = re.compile(r'<h([1-3])[^>]*id="([^"]*)"[^>]*>(.*?)</h\1>', re.S)
_NO_TEXT = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]*>", re.S)
LONGEST = 6000  # letters of a section that are searched; outputs can be long


def sections(page: str, html: str) -> list[dict]:
    """The sections of a page: dicts with page, id, title and text.

    Args:
        page: the name of its file, without ".html".
        html: its body, whose headings have ids (see `labkit.course.web.page.body`).
    """
    found = list(_HEADING.finditer(html))
    ends = [match.start() for match in found[1:]] + [len(html)]
    return [
        {
            "page": page,
            "id": match.group(2),
            "title": _text(match.group(3)),
            "text": _text(html[match.end() : end])[:LONGEST],
        }
        for match, end in zip(found, ends, strict=True)
    ]


def _text(html: str) -> str:
    return " ".join(unescape(_NO_TEXT.sub(" ", html)).split())


def search_page(index: list[dict], titles: dict[str, str]) -> str:
    """The inside of the search page.

    Args:
        index: the sections of all pages.
        titles: the title of each page by its name.
    """
    data = json.dumps({"sections": index, "titles": titles}, ensure_ascii=False)
    data = data.replace("<", "\\u003c")  # no word of a notebook ends the script
    return (
        "<h1>Search the course</h1>"
        '<p><label for="words">Words</label> <input id="words" type="search" autocomplete="off">'
        ' <span id="found" role="status"></span></p><ol id="results"></ol>'
        f'<script type="application/json" id="index">{data}</script>'
        f"<script>{file('search.js')}</script>"
        "<noscript><p>The search needs JavaScript.</p></noscript>"
    )
