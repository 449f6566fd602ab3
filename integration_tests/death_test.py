"""Promise 5: a killed worker costs no connection, and no idempotent request."""

import os
import random
import shutil
import signal
import time

import pytest

from integration_tests.harness.client import request
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until


def kill_workers(server, witness_seconds: float, period: float, seed: int) -> int:
    """Kills a random worker each `period` seconds, until the time is over; how many."""
    choice = random.Random(seed)
    killed: set[int] = set()
    end = time.monotonic() + witness_seconds
    while time.monotonic() < end:
        time.sleep(period)
        # On a busy machine the last one's death may not have been noticed yet.
        if workers := [pid for pid in server.workers() if pid and pid not in killed]:
            victim = choice.choice(workers)
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
    return len(killed)


@pytest.mark.parametrize(
    "target, settings",
    [
        ("/", {"expect": "hello\n", "connections": 64}),
        ("/", {"expect": "hello\n", "connections": 16, "pipeline": 16}),
        ("/sleep?ms=20", {"expect": "slept\n", "connections": 64}),
        ("/echo", {"method": "POST", "body_size": 9000, "expect": "echo", "connections": 64}),
    ],
    ids=["get", "pipelined", "sleep", "post"],
)
def test_killed_workers_cost_no_connection(server_factory, start_witness, target, settings) -> None:
    server = server_factory(worker_num=2)
    # A POST that was begun can't be run again: it is told so, on a connection that goes on. Another
    # request may, seldom, be in the hands of two workers that are killed.
    witness = start_witness(url=server.url + target, seconds=120, allow=503, **settings)
    witness.wait_ready()
    deaths = kill_workers(server, 20, 0.2, seed=1)
    account = witness.stop()
    assert deaths > 50
    account.assert_clean()
    assert account["connections"]["closed"] == 0, account.summary()
    assert account["connections"]["connects"] == settings["connections"]
    told = sum(account["allowed"].values())
    assert told <= (deaths if "method" in settings else 0)
    slots = server.slots()
    assert sum(slot["deaths"] for slot in slots) == deaths
    assert sum(slot["given_up"] for slot in slots) == told


def test_only_what_is_idempotent_is_run_again(server_factory) -> None:
    """A GET that kills its worker kills one more and no third; a POST kills that one alone."""
    server = server_factory(handler=runfile("integration_tests/handlers/misbehaves.so"), worker_num=1)
    with server.connect() as connection:
        for method, deaths, rerun in [("POST", 1, 0), ("GET", 3, 1)]:
            connection.send(request(method, "/abort"))
            answer = connection.read_response(20)
            assert answer.status == 503 and answer.headers["retry-after"] == "0"
            (slot,) = server.slots()
            assert (slot["deaths"], slot["rerun"]) == (deaths, rerun)
        assert connection.get("/", 20).status == 200, "the connection is still there"
    assert server.slots()[0]["given_up"] == 2


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def kill_worker(server, connection) -> None:
    """Kills the worker of a connection, once it has answered: so that it is replaced at once."""
    os.kill(int(connection.get("/").body), signal.SIGKILL)


def test_a_thousand_deaths_leave_nothing(server_factory) -> None:
    """No descriptor of theirs, though the handler closes none, no process, and no buffer."""
    server = server_factory(handler=runfile("integration_tests/handlers/leaks.so"), worker_num=1)
    (slot,) = server.slots()
    with server.connect() as connection:
        kill_worker(server, connection)
        connection.get("/")
        before = descriptors(slot["keeper"])
        for _ in range(1000):
            kill_worker(server, connection)
        assert connection.get("/open").status == 200
        kill_worker(server, connection)
        connection.get("/")
        assert descriptors(slot["keeper"]) == before
    (slot,) = server.slots()
    assert slot["deaths"] == 1002
    assert sorted(server.tree.descendants()) == sorted([server.pid, slot["keeper"], slot["worker"]])
    assert server.lines("closed 5 descriptors")


def test_reloads_leave_no_descriptor(server_factory) -> None:
    """What an old worker's handler had open is closed, and nothing of the new one's."""
    server = server_factory(handler=runfile("integration_tests/handlers/leaks.so"), worker_num=1)
    (slot,) = server.slots()
    with server.connect() as connection:
        counts = set()
        for _ in range(10):
            assert connection.get("/open").status == 200
            assert server.ctl("reload").returncode == 0
            assert connection.get("/").status == 200
            counts.add(descriptors(slot["keeper"]))
    assert len(counts) == 1


def test_a_stuck_worker_is_replaced(server_factory) -> None:
    """It is noticed, its stack is logged, its request is answered 503, the others as ever."""
    server = server_factory(
        handler=runfile("integration_tests/handlers/misbehaves.so"),
        worker_num=1,
        worker_timeout=0.5,
    )
    (stuck,) = server.workers()
    with server.connect() as neighbour, server.connect() as connection:
        assert neighbour.get("/").status == 200
        connection.send(request("GET", "/hang"))
        wait_until(lambda: server.slots()[0]["requests"] == 2, 10, "the handler to have it")
        neighbour.send(request("GET", "/"))
        answer = connection.read_response()
        assert answer.status == 503
        assert b"worker_timeout" in answer.body
        assert neighbour.read_response().status == 200
        assert connection.get("/").status == 200
    assert server.workers() != [stuck]
    assert server.lines(f"worker {stuck} has run 'GET /hang HTTP/1.1' for more than worker_timeout")
    if shutil.which("eu-stack"):
        assert server.lines(r"\bHang")
    (slot,) = server.slots()
    assert (slot["deaths"], slot["given_up"], slot["rerun"]) == (1, 1, 0)


def test_the_next_worker_has_a_pulse_of_its_own(server_factory) -> None:
    """One that dies in the handler leaves a beat without an end, which is not its successor's."""
    server = server_factory(
        handler=runfile("integration_tests/handlers/misbehaves.so"),
        worker_num=1,
        worker_timeout=0.3,
    )
    with server.connect() as connection:
        assert connection.post("/abort", b"").status == 503
        connection.send(request("GET", "/hang"))
        answer = connection.read_response(20)
        assert answer.status == 503 and b"worker_timeout" in answer.body
    assert server.slots()[0]["deaths"] == 2
