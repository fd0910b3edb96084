"""Read deployed resources: one reader for each resource type, which returns properties as templates spell them.

A reader returns only what the service returns. A property that no service returns is not verified.
"""

from __future__ import annotations

from local_cloud.fidelity.readers import compute, messaging, observability, rest_api, security, storage
from local_cloud.fidelity.readers.responses import Reader

READERS: dict[str, Reader] = {
    **compute.READERS,
    **messaging.READERS,
    **observability.READERS,
    **rest_api.READERS,
    **security.READERS,
    **storage.READERS,
}
