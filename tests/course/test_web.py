"""The course as web pages and slides: complete without a kernel, a network or a second file."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import labkit
from labkit.course.web import explorers, site
from labkit.course.web.formulas import with_mathml
from labkit.course.web.page import body, file, page
from labkit.course.web.search import search_page, sections
from labkit.errors import LabkitError
from labkit.widgets import explore_deltas, explore_iou, explore_nms
from labkit.widgets.explorer import STATE

ROOT = Path(__file__).resolve().parents[2]
# What a browser would fetch: all but data in the page, and links that a reader follows.
FETCHED = re.compile(r"""(?:<\w+[^>]*\bsrc=|<link[^>]*href=|@import\s)["']?(?!data:|#)[^\s"')]+""")


def html_of(*cells, folder=ROOT / "notebooks", link=lambda target: "") -> str:
    return body(new_notebook(cells=list(cells)), folder, link)[0]


def explorer_cell(explorer):
    data = explorer._repr_mimebundle_()[0]
    return new_code_cell("explore()", outputs=[new_output("display_data", data=dict(data))])


# --- formulas -------------------------------------------------------------------------------------


def test_formulas_become_mathml():
    html = html_of(new_markdown_cell("Let $a_i \\le b$, then\n\n$$\\frac{a}{b} < 1$$\n\nholds."))
    assert html.count("<math") == 2 and 'display="block"' in html and "<mfrac>" in html
    assert "$" not in html


@pytest.mark.parametrize(
    "text",
    ["`$HOME` and `$x$`", "```bash\necho $a $b\n```", "costs $5 or $6", "\\$x$ alone", "a $ b $ c"],
)
def test_what_is_no_formula_stays(text):
    assert with_mathml(text) == text


def test_every_formula_of_the_course_can_be_read():
    """None of them leaves a piece of LaTeX behind."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                text = re.sub(r"```.*?```|`[^`\n]*`", "", with_mathml(cell.source), flags=re.S)
                assert not re.search(r"\\(?:frac|text|sum|mathrm|left)\b", text), path.name


# --- pages ----------------------------------------------------------------------------------------


def test_links_lead_to_pages_or_are_no_links():
    cell = new_markdown_cell("[a](01_x.ipynb#part) [b](../labkit/x.py) [c](https://example.org)")
    html = html_of(cell, link=lambda target: "01_x.html" if target == "01_x.ipynb" else "")
    assert 'href="01_x.html#part"' in html and 'href="https://example.org"' in html
    assert "labkit/x.py" not in html


def test_drawings_are_part_of_the_page():
    html = html_of(new_markdown_cell("![The network](architecture.svg)"))
    assert "<svg" in html and "<title" in html and "architecture.svg" not in html
    assert "nothing.svg" in html_of(new_markdown_cell("![x](nothing.svg)"))


def test_names_from_elsewhere_are_text():
    whole = page('<script>alert("x")</script>', "")
    assert "<script>alert" not in whole


def test_the_site_is_complete_in_itself(tmp_path):
    assert site.main([str(tmp_path), "--root", str(ROOT)]) == 0
    pages = {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.html")}
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert {f"{path.stem}.html" for path in notebooks} < set(pages)
    assert all(f'href="{path.stem}.html"' in pages["index.html"] for path in notebooks)
    for name, html in pages.items():
        assert FETCHED.findall(html) == [], name
        for target, place in re.findall(r'<a\b[^>]*href="([^"#:]*)(?:#([^"]*))?"', html):
            assert (target or name) in pages, (name, target)
            assert not place or f'id="{place}"' in pages[target or name], (name, target, place)
        for image in re.findall(r"<img\b[^>]*>", html):
            assert re.search(r'alt="[^"]+"', image), (name, image[:80])
        assert html.count("<h1") == 1 and '<html lang="en">' in html, name


def test_launch_links_lead_to_the_repository(tmp_path):
    for name in ("notebooks/a.ipynb", "docs/glossary.md"):
        (tmp_path / name).parent.mkdir()
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A")]), tmp_path / "notebooks/a.ipynb")
    (tmp_path / "docs/glossary.md").write_text("# Glossary")
    site.build(tmp_path, tmp_path, repository="someone/labkit")
    html = (tmp_path / "a.html").read_text("utf-8")
    links = re.findall(r'href="(https://[^"]+)">Run in', html)
    assert [link.split("/")[2] for link in links] == ["colab.research.google.com", "mybinder.org"]
    assert all("someone/labkit" in link and "a.ipynb" in link for link in links)
    assert "Run in" not in (tmp_path / "glossary.html").read_text("utf-8")
    with pytest.raises(SystemExit):
        site.main([str(tmp_path), "--repository", "https://elsewhere"])


@pytest.mark.slow
def test_the_reference_describes_what_is_public(tmp_path):
    pytest.importorskip("pdoc", reason="the extra `teach` brings pdoc")
    from labkit.course.web.reference import write_reference

    first = write_reference(tmp_path)
    html = (tmp_path / "labkit.html").read_text("utf-8")
    assert first.is_file() and all(f'id="{name}"' in html for name in labkit.__all__)
    assert (tmp_path / "labkit/ops/boxes.html").is_file()
    assert not (tmp_path / "labkit/parity.html").exists()


# --- search -------------------------------------------------------------------------------------


def test_sections_have_their_own_text_and_an_address():
    cells = [
        new_markdown_cell("# Title\n\nOne &amp; two.\n\n## Part\n\nThree.\n\n## Part"),
        new_code_cell("four = 4"),
    ]
    html, _ = body(new_notebook(cells=cells), ROOT, lambda target: "")
    found = sections("page", html)
    assert [(s["title"], s["id"]) for s in found] == [
        ("Title", "title"),
        ("Part", "part"),
        ("Part", "part-2"),
    ]
    assert [s["text"] for s in found] == ["One & two.", "Three.", "four = 4"]


def test_words_of_a_notebook_are_only_text_in_the_search():
    section = {"page": "a", "id": "b", "title": "</script><b>", "text": "<img onerror=x>"}
    html = search_page([section], {"a": "A"})
    assert html.count("</script>") == 2 and "<img" not in html


def test_all_words_must_occur_and_titles_come_first():
    mini_racer = pytest.importorskip("py_mini_racer")
    engine = mini_racer.MiniRacer()
    engine.eval(file("search.js"))
    rows = [
        {"title": "Training", "text": "an anchor that is far away"},
        {"title": "Anchors", "text": "boxes of a fixed size"},
        {"title": "Boxes", "text": "no such word, but anchors"},
    ]
    engine.eval(f"var rows = {json.dumps(rows)}")

    def titles(query):
        call = f"JSON.stringify(search(rows, {json.dumps(query)}).map((s) => s.title))"
        return json.loads(engine.eval(call))

    assert titles("anchor") == ["Anchors", "Training", "Boxes"]
    assert titles("ANCHOR boxes") == ["Anchors", "Boxes"]
    assert titles("nowhere") == [] and titles("  ") == []
    assert "anchor" in engine.eval('excerpt(rows[0].text, "Anchor")')


# --- explorers ------------------------------------------------------------------------------------


def test_an_explorer_that_needs_no_kernel_brings_its_state():
    made = explore_iou([[0, 0, 10, 10], [0, 5, 10, 15]])
    state = made._repr_mimebundle_()[0][STATE]
    assert state["explorer"] == "iou" and state["values"]["boxes"] == made.boxes
    assert json.loads(json.dumps(state)) == state
    assert STATE not in explore_nms()._repr_mimebundle_()[0]  # Python computes what it shows


def test_a_page_brings_explorers_to_life():
    cells = [explorer_cell(explore_iou()), explorer_cell(explore_deltas())]
    html, alive = body(new_notebook(cells=cells), ROOT, lambda target: "")
    assert alive == {"iou", "deltas"}
    assert html.count("data-explorer=") == 2 and html.count('class="still"') == 2
    whole = page("x", html, alive=alive)
    assert 'bringToLife("iou", start)' in whole and 'bringToLife("deltas", start)' in whole
    assert "export default" not in whole


def test_no_name_ends_the_page_s_script_early():
    state = {"explorer": "iou", "values": {"caption": "</script><b>x"}}
    html = explorers.element(state, "still")
    assert html.count("</script>") == 1


def test_the_page_s_model_is_one_that_explorers_can_use():
    mini_racer = pytest.importorskip("py_mini_racer")
    engine = mini_racer.MiniRacer()
    engine.eval(explorers.MODEL)
    engine.eval("""
        var seen = [], m = pageModel({ score: 1 }), call = () => seen.push(m.get("score"));
        m.on("change:score", call); m.set("score", 2); m.save_changes();
        m.off("change:score", call); m.set("score", 3);
    """)
    assert json.loads(engine.eval("JSON.stringify([seen, m.get('score')])")) == [[2], 3]


@pytest.mark.parametrize("name", ["nms", "../iou", "os", ""])
def test_other_names_are_refused(name):
    with pytest.raises(LabkitError, match="which labkit does not know"):
        explorers.scripts({name})


# --- slides ---------------------------------------------------------------------------------------


@pytest.fixture
def slides():
    pytest.importorskip("sphinx_revealjs", reason="the extra `teach` brings reveal.js")
    from labkit.course.web import slides

    return slides


def test_slides_follow_the_sections(slides):
    picture = new_output("display_data", data={"text/html": '<img alt="a" src="data:,">'})
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# 01 · Title\n\nThe question."),
            new_code_cell("import labkit", outputs=[new_output("stream", text="x")]),
            new_markdown_cell("## 1 · One\n\n" + "long " * 100 + "\n\n" + "longer " * 100),
            new_code_cell("draw()", outputs=[picture]),
            new_code_cell("print(1)", outputs=[new_output("stream", text="1")]),
            new_markdown_cell("### Exercise 1\n\nDo it."),
            new_code_cell('check("iou", x)', outputs=[new_output("stream", text="no")]),
            new_markdown_cell("## 2 · Two\n\nText.\n\n## Exercises\n\nMore."),
            new_code_cell("print(2)", outputs=[new_output("stream", text="2")]),
        ]
    )
    found = slides.sections_of(notebook)
    assert [section.title for section in found] == ["01 · Title", "1 · One", "2 · Two"]
    assert [len(section.slides) for section in found] == [1, 4, 1]
    shown = [cells[0] for cells in found[1].slides[2:]]
    assert [cell.source for cell in shown] == ["", "print(1)"]  # a picture without its code


def test_a_deck_is_one_file(slides):
    path = ROOT / "notebooks" / "01a_boxes_and_iou.ipynb"
    sections = slides.sections_of(nbformat.read(path, as_version=4))
    html = slides.deck("01", sections, path.parent)
    without_scripts = re.sub(r"<script>.*?</script>", "", html, flags=re.S)  # reveal.js itself
    assert FETCHED.findall(without_scripts) == [] and "Reveal.initialize" in html
    assert html.count("<section>") > 20
