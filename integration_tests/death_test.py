"""Promise 5: a killed worker costs no connection, and no idempotent request."""

import os
import random
import signal
import time

import pytest


def kill_workers(server, witness_seconds: float, period: float, seed: int) -> int:
    """Kills a random worker each `period` seconds, until the time is over; how many."""
    choice = random.Random(seed)
    deaths = 0
    end = time.monotonic() + witness_seconds
    while time.monotonic() < end:
        time.sleep(period)
        workers = [pid for pid in server.workers() if pid]
        if workers:
            os.kill(choice.choice(workers), signal.SIGKILL)
            deaths += 1
    return deaths


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
    witness = start_witness(url=server.url + target, seconds=60, allow=503, **settings)
    witness.wait_ready()
    deaths = kill_workers(server, 5, 0.2, seed=1)
    account = witness.stop()
    assert deaths > 15
    account.assert_clean()
    assert account["connections"]["closed"] == 0, account.summary()
    assert account["connections"]["connects"] == settings["connections"]
    told = sum(account["allowed"].values())
    assert told <= (deaths if "method" in settings else 0)
    slots = server.slots()
    assert sum(slot["deaths"] for slot in slots) == deaths
    assert sum(slot["given_up"] for slot in slots) == told
