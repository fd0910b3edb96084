"""Who may talk to the embedded cloud: programs on this machine, and no page of the web.

The cloud listens on loopback and judges no signature, and what it is sent may become a process of the person who started
it. A browser on the same machine would carry requests from any page to it, by a form, a script or a name rebound to
127.0.0.1. Browsers say where a request comes from (``Origin``, ``Sec-Fetch-Site``) and whom it is meant for (``Host``), and
no program of ours sends the first two. What a person opens by hand or by a link are pages of a deployed API.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

Application = Callable[[Mapping[str, Any], Any, Any], Awaitable[Any]]

_PAGES = "/_aws/execute-api/"
_REFUSED = b'{"message": "The embedded cloud answers programs on this machine, not pages of the web."}'


def loopback_only(application: Application) -> Application:
    """Wrap an ASGI application so that it refuses what a web page of another place sent."""

    async def guarded(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket") or allowed(scope):
            await application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_REFUSED)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSED})

    return guarded


def allowed(scope: Mapping[str, Any]) -> bool:
    """Whether a request, as ASGI describes it, comes from this machine and is meant for it."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if not _is_loopback(f"//{headers.get('host', '127.0.0.1')}"):
        return False
    if "origin" in headers and not _is_loopback(headers["origin"]):
        return False
    if headers.get("sec-fetch-site") != "cross-site":
        return True
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return opened and scope.get("method") == "GET" and str(scope["path"]).startswith(_PAGES)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
