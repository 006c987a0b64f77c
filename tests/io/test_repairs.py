"""Repairs are counted by kind, said in one sentence each, and listed in full."""

from labkit.io.repairs import Repairs


def test_a_sentence_a_kind_and_a_line_a_change():
    repairs = Repairs()
    assert len(repairs) == 0 and not repairs and list(repairs) == [] and repairs.total == 0
    repairs.note("Sizes were read", "images[0]")
    repairs.note("Ids were replaced", "annotations[3] (id 7)")
    repairs.note("Sizes were read", "images[1]")
    assert list(repairs) == [
        "Sizes were read (2 times; the first: images[0]).",
        "Ids were replaced (once: annotations[3] (id 7)).",
    ]
    assert len(repairs) == 2 and repairs.total == 3 and repairs[-1].startswith("Ids")
    assert repairs.changes() == [
        "images[0]: Sizes were read.",
        "images[1]: Sizes were read.",
        "annotations[3] (id 7): Ids were replaced.",
    ]
    assert repairs == list(repairs) and repairs != [] and repr(repairs) == repr(list(repairs))
