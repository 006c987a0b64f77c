"""The copies in tests/golden are the reference's own files, and small enough to ship."""

import hashlib
import json

import pytest

MEGABYTE = 1e6


def test_copies_are_small(golden_folders):
    shipped, _ = golden_folders
    total = sum(f.stat().st_size for f in shipped.rglob("*"))
    assert total < 12 * MEGABYTE


@pytest.mark.parametrize("part, original", [("", "golden"), ("yolact", "golden_yolact")])
def test_copies_equal_the_complete_set(golden_folders, part, original):
    shipped, complete = golden_folders
    if complete != shipped.parents[2] / "shared" / "golden":
        pytest.skip("LABKIT_GOLDEN names other golden values, which the copies need not equal")
    complete = complete.with_name(original)
    if not (complete / "manifest.json").exists():
        pytest.skip(f"the complete golden values are not at {complete}")
    manifest = json.loads((complete / "manifest.json").read_text())
    entries = manifest.get("files", manifest)
    copies = [f for f in (shipped / part).iterdir() if f.name in entries]
    assert copies
    for copy in copies:
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == entries[copy.name]["sha256"], copy
