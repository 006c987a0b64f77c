"""Numbers in prose: what counts as prose, and where a number must occur."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit.course.prose_numbers import numbers, prose, unsupported


def notebook(text, code="", printed="", given=None):
    outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    cells = [new_markdown_cell(text), new_code_cell(code, outputs=outputs)]
    made = new_notebook(cells=cells)
    made.metadata["labkit"] = {"given": given or {}}
    return nbformat.from_dict(made)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("There are 16,368 anchors, 0.3 of them", ["16368", "0.3"]),
        ("P2 and C5, conv3x3, x_12", []),
        ("from 12 to 24.", ["12", "24"]),
        ("25 % of 1,200", ["25", "1200"]),
        ("version 2.20.1", []),
    ],
)
def test_numbers(text, expected):
    assert numbers(text)[: len(expected)] == expected and (expected or not numbers("P2, C5"))


@pytest.mark.parametrize(
    "text",
    [
        "`f(77)`",
        "$77 + x$",
        "$$\n77\n$$",
        "```\n77\n```",
        "[this](https://example.org/77)",
        "<img width=77>",
        "## 77 · A title",
        "<details><summary>A solution</summary>77</details>",
    ],
)
def test_what_is_no_statement_is_skipped(text):
    assert "77" not in prose(text)


def test_a_number_must_be_printed_written_in_code_or_given():
    text = "It finds 417 objects."
    assert unsupported(notebook(text)) == [("417", text)]
    assert unsupported(notebook(text, printed="417 found")) == []
    assert unsupported(notebook(text, code="count = 417")) == []
    assert unsupported(notebook(text, given={"417": "Somebody et al. 2017, table 3"})) == []
    assert unsupported(notebook(text, printed="4170 and 0.417")) == [("417", text)]


def test_spellings_of_one_number():
    assert unsupported(notebook("It has 1,234,567 of them.", code="n = 1_234_567")) == []
    assert unsupported(notebook("It has 1,234 of them.", printed="1,234")) == []
    assert unsupported(notebook("That is 25 %.", printed="0.25")) == []


def test_small_whole_numbers_are_words():
    assert unsupported(notebook("three of 5 boxes, 10 at most")) == []
    assert unsupported(notebook("0.5 of 11")) == [("0.5", "0.5 of 11"), ("11", "0.5 of 11")]


def test_a_stale_number_is_found():
    made = notebook("mask AP is 0.554", printed="mask AP 0.554")
    assert unsupported(made) == []
    made.cells[1].outputs[0].text = "mask AP 0.551"
    assert unsupported(made) == [("0.554", "mask AP is 0.554")]
