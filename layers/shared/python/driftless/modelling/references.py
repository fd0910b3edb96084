"""Objects by reference: content is used only when its digest is the recorded one.

Content that may be too large for memory is downloaded to a file; :func:`fetch` is how each adapter does it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from driftless.errors import IntegrityError
from driftless.ports import FileDownloader, ObjectReader
from driftless.records import Ref


def read(store: ObjectReader, ref: Ref) -> bytes:
    """Whole content of the object that a reference names.

    Raises
    ------
    IntegrityError
        When its digest differs.
    NotFound, StoreUnavailable, Throttled
        From the store.
    """
    return read_recorded(store, ref.key, ref.sha256)


def read_recorded(store: ObjectReader, key: str, sha256: str) -> bytes:
    """Whole content of an object whose sha256 (hexadecimal) is recorded elsewhere; raises as :func:`read`."""
    content = store.get(key)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IntegrityError(f"{key} has sha256 {found}, recorded was {sha256}")
    return content


def fetch(store: FileDownloader, ref: Ref, path: Path, *, name: str) -> Path:
    """Download the object that a reference names to ``path``, which is returned.

    Parameters
    ----------
    name : str
        The object's full name (bucket or folder, and key), for the message.

    Raises
    ------
    IntegrityError
        When its digest differs; ``path`` is removed.
    NotFound, StoreUnavailable, Throttled
        From the store.
    """
    found = store.download(ref.key, path)
    if found.sha256 != ref.sha256:
        path.unlink()
        raise IntegrityError(f"{name} has sha256 {found.sha256}, recorded was {ref.sha256}")
    return path
