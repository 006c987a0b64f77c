"""Rows end up where the name of their class says, in whatever layer and whatever order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.models.detector import ClassOutputs
from labkit.weights.class_rows import source_places, told, with_rows

KNOWN = ["cat", "dog", "owl"]


def named(names, outputs: ClassOutputs, blocks: int = 1) -> np.ndarray:
    """A bias [blocks * classes * values] whose numbers tell block, class and value: 213 is ..."""
    rows = ["background"] * outputs.background + [name.lower() for name in names]
    number = {name: 10 * place for place, name in enumerate(["background", *KNOWN, "new"])}
    return np.array(
        [
            100 * b + number[row] + v
            for b in range(blocks)
            for row in rows
            for v in range(outputs.values)
        ]
    )


@pytest.mark.parametrize(
    "outputs, blocks",
    [
        (ClassOutputs(background=True), 1),  # the class logits of Mask R-CNN
        (ClassOutputs(values=4), 1),  # its boxes
        (ClassOutputs(), 1),  # its masks
        (ClassOutputs(background=True), 3),  # logits of three anchors, as in YOLACT
    ],
)
@given(data=st.data())
def test_rows_go_where_their_name_is(outputs, blocks, data):
    names = data.draw(st.permutations(["Cat", "dog", "OWL", "new"]))
    names = names[: data.draw(st.integers(1, 4))]
    known = data.draw(st.permutations(KNOWN))
    bias = named(known, outputs, blocks)
    own = np.full(named(names, outputs, blocks).shape, -1)
    places = source_places(names, known, 3)
    wanted = named(names, outputs, blocks)
    wanted[wanted % 100 // 10 == 4] = -1  # "new" starts anew
    found = with_rows(own, bias, outputs, places)
    if found is None:
        assert names == ["new"]  # then the background starts anew, too
    else:
        np.testing.assert_array_equal(found, wanted)
        kernel = with_rows(np.stack([own, own]), np.stack([bias, -bias]), outputs, places)
        np.testing.assert_array_equal(kernel[0], wanted)
        np.testing.assert_array_equal(kernel[1], np.where(wanted < 0, -1, -wanted))
    assert (own == -1).all()


def test_as_many_classes_of_other_names_are_other_classes():
    assert source_places(["cat", "dog"], ["person", "car"], 2) == [None, None]
    assert source_places(["cat", "dog"], None, 2) == [0, 1]  # nothing says that they are others
    assert source_places(["cat", "dog"], None, 3) == [None, None]
    assert source_places(["cat", "dog"], ["cat", "dog"], 1) == [None, None]  # shared by all classes


@pytest.mark.parametrize(
    "names, known, sentence",
    [
        (KNOWN, KNOWN, ""),
        (["owl", "cat", "dog"], KNOWN, "'owl', 'cat' and 'dog' keep their rows"),
        (["dog"], KNOWN, "'dog' keeps its row; 2 of the weights' 3 are left out"),
        (
            ["Cat", "yak", "emu"],
            ["cat", "N/A 2"],
            "'Cat' keeps its row; 'yak' and 'emu' start anew",
        ),
        (["car"], KNOWN, "'car' starts anew, not being among the 3 of the weights"),
        (
            [f"c{i}" for i in range(9)],
            ["c0"],
            "'c0' keeps its row; 'c1', 'c2', 'c3', 'c4', 'c5', 'c6' and 2 more start anew",
        ),
    ],
)
def test_what_is_said(names, known, sentence):
    assert told(names, known, len(known)) == sentence


def test_what_is_said_of_classes_without_names():
    assert "taken for the model's, in order" in told(["cat"], None, 1)
    assert told(["cat"], None, 90) == (
        "the weights have 90 without names, the model 1: all start anew"
    )
