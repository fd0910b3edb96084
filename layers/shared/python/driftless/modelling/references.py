"""Objects by reference: content is used only when its digest is the recorded one.

Files too large for memory are fetched by the store itself (:class:`~driftless.ports.FileFetcher`), which checks them alike.
"""

from __future__ import annotations

import hashlib

from driftless.errors import IntegrityError
from driftless.ports import ObjectReader
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
