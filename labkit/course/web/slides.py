"""`make slides`: each notebook as one HTML file to present from, without a network.

    python -m labkit.course.web.slides OUT notebooks/*.ipynb

Every section of a notebook is a column of slides: a text that is too long for one slide is divided
at its paragraphs, a picture or an explorer gets a slide of its own, and code is shown where it is
short. Exercises, their solutions and the questions stay in the notebook. The arrow keys move, Esc
gives an overview. The slides are reveal.js's, taken from the package sphinx-revealjs.
"""

import copy
import re
import sys
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat

from labkit.course.notebooks import command
from labkit.course.web.page import body, file, filled, framed, title_of
from labkit.io.data_files import write_text

MOST_LINES = 14  # of code on a slide; longer code is in the notebook
MOST_CHARACTERS = 650  # of text on a slide
LEFT_OUT = re.compile(r"[\d· ]*(Exercise|Quick question|Further reading)")


@dataclass
class Section:
    """A column of slides: a heading, and the cells of each slide."""

    title: str
    slides: list[list[Any]] = field(default_factory=list)


def sections_of(notebook) -> list[Section]:
    """The slides of a notebook, section by section."""
    sections: list[Section] = []
    left_out = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"\n(?=#{1,3} )", cell.source):
                if heading := re.match(r"(#{1,3}) (.+)", part):
                    left_out = bool(LEFT_OUT.match(heading.group(2)))
                    if len(heading.group(1)) < 3:
                        sections.append(Section(heading.group(2)))
                if sections and not left_out:
                    sections[-1].slides += [[_text(piece)] for piece in _pieces(part)]
        elif sections and not left_out and (shown := _shown(cell)):
            sections[-1].slides.append([shown])
    return [section for section in sections if section.slides]


def deck(title: str, sections: list[Section], folder: Path) -> str:
    """Sections as a page of slides; `folder` has the pictures that their text refers to."""
    alive: set[str] = set()
    columns = []
    for section in sections:
        slides = []
        for cells in section.slides:
            html, found = body(nbformat.v4.new_notebook(cells=cells), folder, _no_link)
            alive |= found
            slides.append(f"<section>{html}</section>")
        columns.append(f"<section>{''.join(slides)}</section>")
    script = _reveal("dist/reveal.js").replace("</script", "<\\/script")
    inside = filled("slides.html", slides="\n".join(columns), reveal=script)
    style = _reveal("dist/reveal.css") + file("slides.css")
    return framed(title, inside, style=style, alive=alive)


def _reveal(name: str) -> str:
    return (files("sphinx_revealjs") / "_static" / "revealjs" / name).read_text("utf-8")


def _no_link(target: str) -> str:
    return ""  # a deck is one file


def _text(source: str):
    return nbformat.v4.new_markdown_cell(source)


def _pieces(markdown: str) -> list[str]:
    """Text divided at its paragraphs, so that each piece fits on a slide."""
    markdown = re.sub(r"<details>.*?</details>", "", markdown, flags=re.S)
    paragraphs = [p for p in re.split(r"\n\s*\n", markdown) if p.strip()]
    pieces: list[str] = []
    for paragraph in paragraphs:
        together = f"{pieces[-1]}\n\n{paragraph}" if pieces else paragraph
        heading_alone = bool(pieces) and pieces[-1].startswith("#") and "\n" not in pieces[-1]
        if heading_alone or (pieces and len(together) <= MOST_CHARACTERS):
            pieces[-1] = together
        else:
            pieces.append(paragraph)
    return pieces


def _shown(cell) -> Any | None:
    """A code cell as it appears on a slide; None if it has nothing to show."""
    cell = copy.deepcopy(cell)
    pictures = [o for o in cell.outputs if {"text/html", "image/png"} & set(o.get("data", ()))]
    if pictures:
        cell.source, cell.outputs = "", pictures
        return cell
    if "check(" in cell.source or "import " in cell.source or not cell.outputs:
        return None
    if cell.source.count("\n") >= MOST_LINES:
        cell.source = ""
    return cell


def main(arguments=None) -> int:
    parser = command("web.slides", __doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.notebooks:
        notebook = nbformat.read(path, as_version=4)
        target = options.out / f"{path.stem}.html"
        sections = sections_of(notebook)
        write_text(target, deck(title_of(notebook), sections, path.parent))
        count = sum(len(section.slides) for section in sections)
        print(f"{target}: {count} slides, {target.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
