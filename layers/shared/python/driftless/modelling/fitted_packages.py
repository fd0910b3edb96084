"""The packages that a model was fitted with, and one digest of their versions."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import distributions


def installed() -> dict[str, str]:
    """Version of each package on the import path, by its normalised name; the first one found counts, as in an import."""
    found: dict[str, str] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return dict(sorted(found.items()))


def digest(packages: dict[str, str]) -> str:
    """sha256 (hex) over the lines ``name==version`` in order of name."""
    return hashlib.sha256("".join(f"{name}=={version}\n" for name, version in sorted(packages.items())).encode()).hexdigest()
