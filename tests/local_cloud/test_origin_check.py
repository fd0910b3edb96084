"""Web pages cannot send requests to the embedded cloud through a browser on this machine."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from local_cloud.lifecycle import Cloud
from local_cloud.origin_check import allowed

API = "/_aws/execute-api/abc/local/docs"


def request(method: str = "POST", path: str = "/2015-03-31/functions", **headers: str) -> dict[str, Any]:
    given = {"host": "127.0.0.1:4566", **{name.replace("_", "-"): value for name, value in headers.items()}}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    return {"type": "http", "method": method, "path": path, "headers": encoded}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost:4566"},
        {"host": "bucket.localhost:4566"},
        {"host": "[::1]:4566"},
        {"origin": "http://localhost:3000", "sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
)
def test_requests_from_programs_and_pages_of_this_machine_are_accepted(headers: dict[str, str]) -> None:
    assert allowed(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.com"},
        {"origin": "null"},
        {"origin": "http://[broken"},
        {"host": "rebound.example.com:4566"},
        {"host": "192.168.0.7:4566"},
        {"host": ""},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
    ],
)
def test_requests_from_web_pages_are_rejected(headers: dict[str, str]) -> None:
    assert not allowed(request(**headers))


def test_a_link_to_a_page_of_a_deployed_api_may_be_opened() -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert allowed(request("GET", API, **link))
    assert not allowed(request("POST", API, **link))
    assert not allowed(request("GET", "/?Action=ListUsers", **link))


def test_the_server_rejects_requests_from_web_pages(cloud: Cloud) -> None:
    host, port = cloud.endpoint.removeprefix("http://").split(":")
    for headers, status in (({}, 200), ({"Origin": "https://example.com"}, 403), ({"Host": "rebound.example.com"}, 403)):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/_localstack/health", headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == status, (headers, body)
        assert (b"not from web pages" in body) == (status == 403)
