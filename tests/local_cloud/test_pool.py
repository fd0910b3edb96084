"""Which environment serves an event, and when a new one is started; the tests decide when a start ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from local_cloud.lifecycle import Cloud
from local_cloud.runner import pool as pools
from local_cloud.runner.pool import Pool
from local_cloud.runner.sandbox import Sandbox
from tests.local_cloud.conftest import Functions, eventually
from tests.local_cloud.mends.conftest import connect

KEY = ("function", "1")
WAITS = """
import pathlib, time
def handler(event, context):
    folder = pathlib.Path(event)
    (folder / "began").touch()
    while not (folder / "end").exists(): time.sleep(0.01)
"""
CALLS_ITSELF = """
import boto3, json, os
def handler(event, context):
    if not event: return [os.getpid()]
    answer = boto3.client("lambda").invoke(FunctionName=context.function_name, Payload=json.dumps(event - 1))
    return [os.getpid(), *json.loads(answer["Payload"].read())]
"""


class Environment:
    """A fake environment; ``ready`` ends its start, with an exception if it has one."""

    def __init__(self) -> None:
        self.alive, self.retired, self.closed, self.last_used = False, False, False, time.monotonic()
        self.ready: Future[bool] = Future()

    def start(self) -> bool:
        self.alive = self.ready.result(20)
        return self.alive

    def close(self) -> None:
        self.alive, self.closed = False, True


class Bench:
    """A pool, what it made, and events on threads of their own."""

    def __init__(self, pool: Pool, threads: ThreadPoolExecutor) -> None:
        self.pool, self._threads = pool, threads
        self.made: list[Environment] = []

    def create(self) -> Sandbox:
        self.made.append(Environment())
        return cast(Sandbox, self.made[-1])

    def arrive(self, fingerprint: str = "a") -> Future[Any]:
        """Let an event come, and return when it is in group or served."""
        before = self.waiting()
        event = self._threads.submit(self.pool.acquire, KEY, fingerprint, self.create)
        eventually(lambda: event.done() or self.waiting() > before)
        return event

    def waiting(self) -> int:
        with self.pool._lock:
            return sum(len(group.waiting) for groups in self.pool._groups.values() for group in groups.values())

    def served(self, event: Future[Any]) -> Environment:
        return cast(Environment, event.result(20))

    def done(self, environment: Environment, fingerprint: str = "a") -> None:
        self.pool.release(KEY, fingerprint, cast(Sandbox, environment))

    def warm(self) -> Environment:
        """Start one environment for one short event, so that the pool knows both durations."""
        event = self.arrive()
        self.made[-1].ready.set_result(True)
        environment = self.served(event)
        self.done(environment)
        return environment


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(pools, "STARTS_AT_ONCE", 2)
    with ThreadPoolExecutor(32) as threads:
        bench = Bench(Pool(300.0), threads)
        try:
            yield bench
        finally:
            bench.pool.close()
            for environment in bench.made:
                if not environment.ready.done():
                    environment.ready.set_result(False)


def test_no_more_environments_start_at_once_than_the_machine_has_processors(bench: Bench) -> None:
    events = [bench.arrive() for _ in range(6)]
    assert len(bench.made) == 2
    bench.made[0].ready.set_result(True)
    assert bench.served(events[0]) is bench.made[0]
    eventually(lambda: len(bench.made) == 3)


def test_events_are_served_in_order_by_the_first_free_environment(bench: Bench) -> None:
    events = [bench.arrive() for _ in range(3)]
    first, second = bench.made
    second.ready.set_result(True)
    assert bench.served(events[0]) is second
    bench.done(second)
    assert bench.served(events[1]) is second
    bench.done(second)
    assert bench.served(events[2]) is second
    first.ready.set_result(True)
    bench.done(second)
    eventually(lambda: len(bench.pool._groups[KEY]["a"].idle) == 2)


def test_short_events_wait_for_the_existing_environment(bench: Bench) -> None:
    environment = bench.warm()
    group = bench.pool._groups[KEY]["a"]
    group.served, group.start = 0.001, 60.0
    held = bench.arrive()
    events = [bench.arrive() for _ in range(20)]
    for event in (held, *events):
        assert bench.served(event) is environment
        bench.done(environment)
    assert bench.made == [environment]


def test_long_events_start_new_environments_at_once(bench: Bench) -> None:
    environment = bench.warm()
    group = bench.pool._groups[KEY]["a"]
    group.served, group.start = 60.0, 30.0
    assert bench.served(bench.arrive()) is environment
    bench.arrive()
    assert len(bench.made) == 2


def test_an_event_that_waited_as_long_as_a_start_takes_starts_an_environment(bench: Bench) -> None:
    """Nothing else happens: the environment's event may be the caller of the one that waits."""
    environment = bench.warm()
    group = bench.pool._groups[KEY]["a"]
    group.served, group.start = 0.001, 0.05
    assert bench.served(bench.arrive()) is environment
    waiting = bench.arrive()
    eventually(lambda: len(bench.made) == 2)
    bench.made[1].ready.set_result(True)
    assert bench.served(waiting) is bench.made[1]


def fails(environment: Environment) -> None:
    environment.ready.set_result(False)


def raises(environment: Environment) -> None:
    environment.ready.set_exception(OSError("no space left"))


@pytest.mark.parametrize("end", [fails, raises])
def test_a_failed_start_fails_one_event_and_the_others_are_served(bench: Bench, end: Callable[[Environment], None]) -> None:
    events = [bench.arrive() for _ in range(4)]
    end(bench.made[0])
    if end is raises:
        with pytest.raises(OSError, match="no space left"):
            events[0].result(20)
        eventually(lambda: bench.made[0].closed)
    else:
        assert bench.served(events[0]) is bench.made[0]  # it will say why it could not start
        bench.done(bench.made[0])
    bench.made[1].ready.set_result(True)
    assert bench.served(events[1]) is bench.made[1]
    eventually(lambda: len(bench.made) == 4)
    for environment, event in zip(bench.made[2:], events[2:], strict=True):
        environment.ready.set_result(True)
        assert bench.served(event) is environment


def test_events_are_served_after_an_environment_dies_with_its_event(bench: Bench) -> None:
    environment = bench.warm()
    group = bench.pool._groups[KEY]["a"]
    group.served, group.start = 0.001, 60.0
    held, waiting = bench.arrive(), bench.arrive()
    assert bench.served(held) is environment
    environment.alive = False
    bench.done(environment)
    eventually(lambda: len(bench.made) == 2)
    bench.made[1].ready.set_result(True)
    assert bench.served(waiting) is bench.made[1]
    assert environment.closed


def test_an_environment_that_died_while_idle_is_not_used(bench: Bench) -> None:
    dead = bench.warm()
    dead.alive = False
    event = bench.arrive()
    bench.made[1].ready.set_result(True)
    assert bench.served(event) is bench.made[1]
    assert dead.closed


def test_an_environment_retired_while_it_started_serves_one_event(bench: Bench) -> None:
    event = bench.arrive()
    bench.pool.retire(lambda key: key == KEY)
    bench.made[0].ready.set_result(True)
    assert bench.served(event) is bench.made[0]
    bench.done(bench.made[0])
    assert bench.made[0].closed


def test_new_code_is_not_served_by_an_old_environment(bench: Bench) -> None:
    old = bench.warm()
    event = bench.arrive("b")
    assert old.closed
    bench.made[1].ready.set_result(True)
    assert bench.served(event) is bench.made[1]


def test_waiting_events_fail_when_the_cloud_stops(bench: Bench) -> None:
    event = bench.arrive()
    bench.pool.close()
    with pytest.raises(RuntimeError, match="stopping"):
        event.result(20)
    assert bench.made[0].closed


def test_a_closed_pool_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    pool = Pool(300.0)
    (sweeper,) = (each for each in set(threading.enumerate()) - before if each.name == "idle-environments")
    pool.close()
    sweeper.join(20)
    assert not sweeper.is_alive()


def test_all_concurrent_events_are_served_while_environments_die(bench: Bench) -> None:
    """64 threads, each environment dies after its third event: every event is served."""
    stop = threading.Event()

    def make_ready() -> None:
        while not stop.is_set():
            for environment in list(bench.made):
                if not environment.ready.done():
                    environment.ready.set_result(len(bench.made) % 5 != 0)
            stop.wait(0.001)

    served: dict[int, int] = {}

    def event(_: int) -> bool:
        environment = cast(Environment, bench.pool.acquire(KEY, "a", bench.create))
        served[id(environment)] = served.get(id(environment), 0) + 1
        if served[id(environment)] == 3:
            environment.alive = False
        bench.done(environment)
        return True

    helper = threading.Thread(target=make_ready)
    helper.start()
    try:
        with ThreadPoolExecutor(64) as crowd:
            assert sum(crowd.map(event, range(640), timeout=60)) == 640
    finally:
        stop.set()
        helper.join()
    assert bench.waiting() == 0


def test_a_function_that_calls_itself_gets_an_environment_for_each_call(functions: Functions) -> None:
    name = functions.create(CALLS_ITSELF, Timeout=60)
    for _ in range(3):  # short events: the pool has learnt that waiting is cheaper, and here it is not
        functions.invoke(name, 0)
    answer = functions.invoke(name, 4)
    assert answer.error is None
    assert len(set(answer.payload)) == 5


def test_reserved_concurrency_throttles_instead_of_waiting(functions: Functions, cloud: Cloud, tmp_path: Path) -> None:
    """Lambda documentation, "Configuring reserved concurrency for a function": at the reserve a request is throttled."""
    name = functions.create(WAITS, Timeout=60)
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    client = connect(cloud.endpoint, "lambda")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(functions.invoke, name, str(tmp_path))
        try:
            eventually((tmp_path / "began").exists)
            with pytest.raises(client.exceptions.TooManyRequestsException) as refusal:
                client.invoke(FunctionName=name, Payload=b"null")
        finally:
            (tmp_path / "end").touch()
        assert refusal.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert running.result().error is None
