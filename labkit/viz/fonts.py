"""Names in any script: matplotlib's own font has Latin, Greek and Cyrillic letters only."""

import contextlib
import re
import warnings
from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

# What systems bring for other scripts; of these, the ones that are installed are asked in order.
OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR"),
    *("Microsoft YaHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *("PingFang SC", "PingFang HK", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Unifont"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai"),
)


@contextlib.contextmanager
def any_script(figure: Figure) -> Iterator[None]:
    """Within the block, in which the figure is rendered, other fonts help matplotlib's out.

    Characters that no font has are drawn as empty boxes, and one warning at the end says what to
    install: matplotlib would warn of each by itself.
    """
    installed = set(fontManager.get_font_names())
    helpers = [name for name in OTHER_SCRIPTS if name in installed]
    for text in figure.findobj(Text):
        if not text.get_text().isascii():
            own = [name for name in text.get_fontfamily() if name not in helpers]
            text.set_fontfamily([*own, *helpers])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing = set()
    for warning in caught:
        if found := re.match(r"Glyph (\d+) .*missing from", str(warning.message)):
            missing.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if missing:
        some = "".join(sorted(missing)[:8])
        warnings.warn(
            f"No font here has the characters {some!r}, so they are drawn as empty boxes: install "
            "one that has them (Noto Sans CJK, for example) and restart Python.",
            stacklevel=4,
        )
