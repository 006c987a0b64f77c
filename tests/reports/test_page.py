"""The building blocks of a page."""

from matplotlib.figure import Figure

from labkit.reports.page import Page, figure, paragraph, table


def test_texts_are_escaped_everywhere():
    evil = "<i>&\"'"
    page = Page(evil, evil)
    blocks = page.section(evil)
    blocks += [paragraph(evil), table([evil], [[evil, evil]], evil), figure(Figure(), evil, evil)]
    assert "<i>" not in page.html()
    assert page.html().count("&lt;i&gt;") == 13


def test_tables_print_numbers_and_mark_the_best():
    rows = [["one", 0.5, 1234, -1.0], ["two", 0.25, 7, float("nan")], ["three", 0.5, "–", 0.1]]
    html = table(["", "AP", "objects", "APs"], rows, "Runs.", best="column")
    assert "<td>1,234</td>" in html and html.count("<td>–</td>") == 3
    assert html.count("<td class='best'>0.500</td>") == 2 and "0.250</td>" in html
    assert "class='best'>0.100" not in html  # alone in its column it is no best
    assert "The best of each column is bold, with a star." in html
    by_row = table(["", "first", "second"], [["AP", 0.1, 0.3], ["AR", 0.2, 0.2]], best="row")
    assert by_row.count("class='best'") == 1 and "class='best'>0.300" in by_row
    assert "star" not in table(["", "AP"], [["one", 0.5]], best="row")


def test_an_empty_page_and_empty_texts():
    assert Page("nothing").html().startswith("<!DOCTYPE html>")
    assert paragraph("") == "" and "<tbody></tbody>" in table(["a"], [])


def test_words_stand_to_the_left_and_numbers_to_the_right():
    html = table(["", "AP", "meaning"], [["one", 0.5, "so"], ["two", "–", "and so"]])
    assert "<th scope='col' class='words'>meaning</th>" in html and "<td class='words'>so" in html
    assert "<th scope='col'>AP</th>" in html and "<td>–</td>" in html  # a gap is no word
