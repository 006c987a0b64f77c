"""A notebook, or a Markdown document, as HTML: text, code, outputs, formulas, live explorers."""

import functools
import itertools
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from labkit.course.web.explorers import element, scripts
from labkit.course.web.formulas import with_mathml
from labkit.widgets.explorer import STATE

_SVG = re.compile(r"!\[([^\]]*)\]\(([\w./-]+\.svg)\)")
_LINK = re.compile(r'href="(?![a-z]+:|#|/)([^"#]+)(#[^"]*)?"')


def body(notebook, folder: Path, link: Callable[[str], str]) -> tuple[str, set[str]]:
    """The cells of a notebook as HTML.

    Args:
        notebook: an nbformat notebook; it is not changed.
        folder: where the pictures lie that its text refers to.
        link: of a relative link's target, what it is on the page; "" for what is not there.

    Returns:
        The HTML, and the names of the explorers in it that can be brought to life.
    """
    notebook, alive = nbformat.from_dict(notebook), set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _with_drawings(with_mathml(cell.source), folder)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if STATE in data:
                alive.add(data[STATE]["explorer"])
                data["text/html"] = element(data[STATE], still=data["text/html"])
    html, _ = _exporter().from_notebook_node(notebook)
    html = html.replace("<th></th>", "<td></td>")  # a heading without words is none
    return _with_ids(_linked(html, link)), alive


def document(markdown: str):
    """A Markdown document as a notebook of a single cell."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(markdown)])


def title_of(notebook) -> str:
    """The first heading."""
    for cell in notebook.cells:
        if found := re.search(r"^# (.+)$", cell.source, re.M):
            return found.group(1)
    return "labkit"


def page(title: str, main: str, *, alive: set[str] = frozenset(), navigation: str = "") -> str:
    """A page of the site, which needs no other file."""
    inside = filled("page.html", navigation=navigation, main=main)
    return framed(title, inside, style=file("page.css"), alive=alive)


def framed(title: str, inside: str, *, style: str, alive: set[str] = frozenset()) -> str:
    """A whole HTML file around `inside`, with its style sheet and the explorers that are alive."""
    style += HtmlFormatter(style="default").get_style_defs(".highlight")
    return filled(
        "frame.html", title=escape(title), style=style, inside=inside, scripts=scripts(alive)
    )


def filled(name: str, **values: str) -> str:
    """One of the templates beside this file, with its values."""
    return Template(file(name)).substitute(values)


def file(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


@functools.cache
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    return exporter


def _with_drawings(markdown: str, folder: Path) -> str:
    """Drawings (SVG) become part of the page, so that the links in them work."""

    def drawing(match: re.Match) -> str:
        path = folder / match.group(2)
        if not path.is_file():
            return match.group()
        code = re.sub(r"\n\s*\n", "\n", path.read_text("utf-8"))  # a blank line would end the HTML
        return f'<div class="drawing">{code}</div>'

    return _SVG.sub(drawing, markdown)


def _with_ids(html: str) -> str:
    """Headings with ids, so that a link can lead to them."""
    taken: set[str] = set()

    def heading(match: re.Match) -> str:
        level, inside = match.groups()
        words = re.sub(r"<[^>]*>|&[#\w]+;", "", inside).lower()
        slug = re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "section"
        name = next(
            n for k in itertools.count(1) if (n := slug if k == 1 else f"{slug}-{k}") not in taken
        )
        taken.add(name)
        return f'<h{level} id="{name}">{inside}</h{level}>'

    return re.sub(r"<h([1-4])>(.*?)</h\1>", heading, html, flags=re.S)


def _linked(html: str, link: Callable[[str], str]) -> str:
    def target(match: re.Match) -> str:
        new = link(match.group(1))
        return f'href="{new}{match.group(2) or ""}"' if new else 'class="elsewhere"'

    return _LINK.sub(target, html)
