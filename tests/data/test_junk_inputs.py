"""Data broken anywhere, in any way: only a LabkitError of one sentence, or success; and soon."""

import copy
import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_inputs import CITY, COCO, LABEL_STUDIO, LABELME, PANOPTIC, VIA, WRITERS, put, read_all

from labkit.errors import LabkitError

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([0, -1, 10**30, 1e300, "", "../a", "\ud800", "a.png\0", [], {}, [[]]]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def spots(value, path=()):
    """The paths of all values in json."""
    yield path
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    else:
        items = ()
    for key, inner in items:
        yield from spots(inner, (*path, key))


def with_junk(content, draw):
    """Json of which one to three values are exchanged, taken away or doubled."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(spots(content))))
        if not path:
            return copy.deepcopy(draw(JUNK))
        place = content
        for key in path[:-1]:
            place = place[key]
        action = draw(st.sampled_from(["exchange", "exchange", "remove", "double"]))
        if action == "exchange":
            place[path[-1]] = copy.deepcopy(draw(JUNK))  # hypothesis gives the same [] again
        elif action == "remove":
            del place[path[-1]]
        elif isinstance(place, list):
            place.append(place[path[-1]])
    return content


def survives(root: Path, format: str) -> None:
    """Only a LabkitError of one sentence, or success; and soon."""
    began = time.process_time()
    for strict in (False, True):
        try:
            read_all(root, format, strict=strict)
        except LabkitError as error:
            assert str(error) and "\n" not in str(error)
    assert time.process_time() - began < 10


FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SOURCES = {"coco": COCO, "panoptic": PANOPTIC, "via": VIA, "labelme": LABELME, "cityscapes": CITY}
SOURCES["label_studio"] = LABEL_STUDIO


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", SOURCES)
@FUZZ
@given(data=st.data())
def test_json_with_junk_in_it(tmp_path, format, data):
    root = tmp_path / "data"
    file = root / "x.json" if (root / "x.json").exists() else WRITERS[format](root)
    if format == "labelme":
        file = root / "b.json"
    put(file, json.dumps(with_junk(SOURCES[format], data.draw)).encode())
    survives(root, format)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", WRITERS)
@FUZZ
@given(data=st.data())
def test_bytes_with_junk_in_them(tmp_path, format, data):
    """The annotation file, json or PNG, with bytes exchanged, cut off or put in."""
    root = tmp_path / "data"
    shutil.rmtree(root, ignore_errors=True)
    file = WRITERS[format](root)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = min(start + data.draw(st.integers(0, 8)), len(content))
        content[start:end] = data.draw(st.binary(max_size=8))
    file.write_bytes(bytes(content))
    survives(root, format)
