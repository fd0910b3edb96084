"""Clients of the API in a process of their own: ``python -m tests.bench.load`` reads a plan and prints what it measured.

What is measured is the service, so the client may cost nothing that counts on a small machine: it shares no interpreter
with anything, its one request is signed beforehand and sent as the same bytes each time, and all its connections are
kept alive and served by one event loop. Its own cost is printed with the result.
"""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from cli.shared.platform import Platform

_HEADER_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Measured:
    """Seconds of each request in ascending order, how many of them failed, wall time, and the client's own CPU time."""

    times: list[float]
    errors: int
    seconds: float
    cpu_seconds: float

    def quantile(self, share: float) -> float:
        """Seconds below which this share of the requests stayed."""
        return self.times[min(len(self.times) - 1, int(len(self.times) * share))]

    @property
    def per_second(self) -> float:
        return len(self.times) / self.seconds


def measure(platform: Platform, path: str, body: bytes, *, clients: int, warm_up: float, seconds: float) -> Measured:
    """POST the same signed request from so many clients at once; the first ``warm_up`` seconds are not counted.

    Raises
    ------
    subprocess.CalledProcessError
        If the client's process fails.
    """
    url = urlsplit(platform.api_url.rstrip("/") + path)
    plan = {
        "host": url.hostname,
        "port": url.port,
        "request": base64.b64encode(_signed(platform, url.geturl(), body)).decode(),
        "clients": clients,
        "warm_up": warm_up,
        "seconds": seconds,
    }
    command = [sys.executable, "-m", "tests.bench.load"]
    done = subprocess.run(command, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def _signed(platform: Platform, url: str, body: bytes) -> bytes:
    """The whole request as it goes over the connection."""
    headers = {"Host": urlsplit(url).netloc, "Content-Type": "application/json", "Content-Length": str(len(body))}
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(platform.session.get_credentials(), "execute-api", platform.session.region_name).add_auth(request)
    lines = [f"POST {urlsplit(url).path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join(lines).encode() + _HEADER_END + body


async def _client(host: str, port: int, request: bytes, until: float) -> tuple[list[float], int]:
    """One client's requests, one after the other, until the clock says so; a broken connection is an error and is replaced."""
    times: list[float] = []
    errors = 0
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            connection = connection or await asyncio.open_connection(host, port)
            reader, writer = connection
            writer.write(request)
            head = (await reader.readuntil(_HEADER_END)).decode("latin-1").lower()
            await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
            errors += head.split()[1] != "200"
            if "connection: close" in head:
                # A server may end a connection after a response; this one does after a thousand.
                writer.close()
                connection = None
        except (OSError, EOFError, IndexError):
            errors += 1
            connection = None
        times.append(time.perf_counter() - began)
    if connection is not None:
        connection[1].close()
    return times, errors


async def _run(host: str, port: int, request: bytes, clients: int, seconds: float) -> Measured:
    began, cpu = time.perf_counter(), _cpu()
    found = await asyncio.gather(*(_client(host, port, request, began + seconds) for _ in range(clients)))
    times = sorted(value for result in found for value in result[0])
    return Measured(times, sum(result[1] for result in found), time.perf_counter() - began, _cpu() - cpu)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Read a plan, warm up, measure, print."""
    plan = json.load(sys.stdin)
    request = base64.b64decode(plan["request"])
    for seconds in (plan["warm_up"], plan["seconds"]):
        measured = asyncio.run(_run(plan["host"], plan["port"], request, plan["clients"], seconds))
    json.dump(asdict(measured), sys.stdout)


if __name__ == "__main__":
    main()
