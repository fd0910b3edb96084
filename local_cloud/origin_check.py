"""Accept requests from programs on this machine only, and reject those that a web page sent.

The cloud listens on loopback and does not verify signatures, and a request can make it start a process as the current
user. A browser on the same machine would send requests to it from any web page: by a form, by a script, or through a
host name that resolves to 127.0.0.1 (DNS rebinding). Browsers send the origin of a request (``Origin``,
``Sec-Fetch-Site``) and its target (``Host``); SDKs do not send the first two. A person may open pages of a deployed API
in a browser, directly or through a link.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

Application = Callable[[Mapping[str, Any], Any, Any], Awaitable[Any]]

_PAGES = "/_aws/execute-api/"
_REFUSED = b'{"message": "The embedded cloud accepts requests from programs on this machine, not from web pages."}'


def loopback_only(application: Application) -> Application:
    """Wrap an ASGI application so that it rejects requests from web pages of other origins with status 403."""

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
    """Whether an ASGI request has a loopback host and, if it names an origin, a loopback origin."""
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
