"""Names in any script: one hint where no font has their characters."""

import warnings

import pytest
from matplotlib.figure import Figure

from labkit.viz import fonts
from labkit.viz.show import save, show


def figure_of(*names):
    figure = Figure()
    axes = figure.add_subplot()
    for name in names:
        axes.text(0, 0, name)
    return figure


def test_characters_that_no_font_has_are_one_hint(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "OTHER_SCRIPTS", ())
    names = ["猫犬", "鳥", "cat"]  # not in matplotlib's own font
    for render in (lambda f: show(f, alt="names"), lambda f: save(f, tmp_path / "a.png")):
        with pytest.warns(UserWarning) as caught:
            render(figure_of(*names))
        assert len(caught) == 1 and "No font here has the characters" in str(caught[0].message)


def test_installed_fonts_help_out_and_latin_names_keep_theirs(monkeypatch):
    helper = next(n for n in fonts.fontManager.get_font_names() if n != "DejaVu Sans")
    monkeypatch.setattr(fonts, "OTHER_SCRIPTS", ("No Such Font", helper))
    figure = figure_of("é", "cat")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        show(figure, alt="names")
        show(figure, alt="names")
    other, latin = figure.axes[0].texts
    assert other.get_fontfamily()[-1] == helper and other.get_fontfamily().count(helper) == 1
    assert helper not in latin.get_fontfamily()


def test_other_warnings_come_through():
    with pytest.warns(RuntimeWarning, match="^mine$"), fonts.any_script(figure_of("a")):
        warnings.warn("mine", RuntimeWarning, stacklevel=1)
