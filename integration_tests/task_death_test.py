"""Promise: an accepted task runs to its end, at least once, whoever is killed."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from integration_tests.harness.client import request
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until
from integration_tests.task_server import MISBEHAVES, task_workers, tasks, wait_running

EXACTLY_ONCE = "reload/handlers/exactly_once.so"


class Often:
    """Does something again and again until it is told to end; a failure is one of the test."""

    def __init__(self, seconds: float, action) -> None:
        self.count = 0
        self._over = threading.Event()
        self._error = None

        def run() -> None:
            try:
                while not self._over.wait(seconds):
                    self.count += bool(action())
            except Exception as error:  # pylint: disable=broad-except
                self._error = error

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def end(self) -> int:
        self._over.set()
        self._thread.join()
        if self._error:
            raise self._error
        return self.count


@pytest.fixture
def often():
    started = []

    def start(seconds: float, action) -> Often:
        started.append(Often(seconds, action))
        return started[-1]

    yield start
    for one in started:
        one.end()


def kill_one_of(server, choice: random.Random) -> bool:
    alive = [pid for pid in task_workers(server) if pid]
    if not alive:
        return False
    try:
        os.kill(choice.choice(alive), signal.SIGKILL)
    except ProcessLookupError:  # replaced since it was asked for
        return False
    return True


def disturb(server, often) -> list[Often]:
    """The signals and deaths of the promise's test: USR2, USR1, and a killed task worker."""
    choice = random.Random(5)
    return [
        often(0.2, lambda: server.signal(signal.SIGUSR2) is None),
        often(0.3, lambda: server.signal(signal.SIGUSR1) is None),
        often(0.5, lambda: kill_one_of(server, choice)),
    ]


def test_ten_thousand_tasks(server_factory, start_witness, often, tmp_path: Path) -> None:
    """Each answered right, and done at least once; nobody is told of a death."""
    ledger = tmp_path / "ledger"
    server = server_factory(worker_num=2, task_worker_num=4, ledger_file=ledger)
    witness = start_witness(
        url=server.url + "/task?ms=4", method="POST", body_size=40, expect="echo",
        connections=16, requests=10_000, seconds=120,
    )
    witness.wait_ready()
    disturbances = disturb(server, often)
    account = witness.finish()
    counts = [one.end() for one in disturbances]
    assert min(counts) >= 10, counts
    account.assert_nothing_noticed()
    assert account["ok"] == 10_000
    effects = Counter(line.split()[1] for line in ledger.read_text().splitlines())
    assert len(effects) == 10_000
    assert server.status()["tasks"]["done"] == 10_000
    assert server.stop() == 0


def test_ten_thousand_tasks_exactly_once(
    server_factory, start_witness, often, tmp_path: Path
) -> None:
    database = tmp_path / "deposits.db"
    server = server_factory(
        handler=runfile(EXACTLY_ONCE), worker_num=2, task_worker_num=3, ledger_file=database,
        start_timeout=20,
    )
    ids = start_witness(
        url=server.url + "/deposit", method="POST", ids="id", connections=32, requests=10_000,
        seconds=120, ids_file=tmp_path / "ids", max_rate=1500,
    )
    ids.wait_ready()
    disturbances = disturb(server, often)
    account = ids.finish()
    for one in disturbances:
        one.end()
    account.assert_nothing_noticed()
    answered = account["ids"]["answered"]
    assert len(answered) == 10_000
    assert server.stop() == 0
    with sqlite3.connect(database) as deposits:
        names = Counter(name for (name,) in deposits.execute("SELECT name FROM deposit"))
        ((balance,),) = deposits.execute("SELECT balance FROM account")
    assert names == Counter(answered), "each deposit once"
    assert balance == 10_000


def test_a_death_between_effect_and_result_repeats_no_effect(
    server_factory, tmp_path: Path
) -> None:
    """The one moment that the ids are for, in each of ten tasks."""
    database = tmp_path / "deposits.db"
    server = server_factory(
        handler=runfile("integration_tests/handlers/dies_after_effect.so"),
        worker_num=1, task_worker_num=1, ledger_file=database,
    )
    names = [f"name-{number}" for number in range(10)]
    with server.connect() as connection:
        for name in names:
            assert connection.post("/deposit", name.encode(), 30).body == b"done " + name.encode()
    assert tasks(server)["retried"] == 10
    assert server.stop() == 0
    with sqlite3.connect(database) as deposits:
        assert [name for (name,) in deposits.execute("SELECT name FROM deposit")] == names


def test_a_killed_worker_leaves_its_requests_waiting(server_factory) -> None:
    server = server_factory(worker_num=1, task_worker_num=1)
    with server.connect() as deferred, server.connect() as accepted:
        deferred.send(request("POST", "/task?ms=400", b"slow"))
        wait_running(server)
        os.kill(server.workers()[0], signal.SIGKILL)
        assert accepted.post("/task?async=1", b"x").status == 202
        assert deferred.read_response().body == b"slow"
    assert server.status()["tasks"]["done"] >= 1


def test_killed_workers_while_tasks_come_and_go(server_factory, start_witness, often) -> None:
    """A POST that a worker had in hand is told 503; what waits for a task hears nothing."""
    server = server_factory(worker_num=2, task_worker_num=2)
    witness = start_witness(
        url=server.url + "/task", method="POST", body_size=3000, expect="echo",
        connections=32, seconds=60, allow=503,
    )
    witness.wait_ready()

    def kill() -> bool:
        alive = [pid for pid in server.workers() if pid]
        if alive:
            os.kill(random.choice(alive), signal.SIGKILL)
        return bool(alive)

    killer = often(0.2, kill)
    wait_until(lambda: killer.count >= 25, 60, "25 deaths")
    deaths = killer.end()
    account = witness.stop()
    account.assert_clean()
    assert account["connections"]["closed"] == 0, account.summary()
    assert sum(account["allowed"].values()) <= deaths


def test_a_killed_task_keeper_loses_no_task(server_factory, tmp_path: Path) -> None:
    """The queue in memory outlives it; who waits is told by the next one."""
    ledger = tmp_path / "ledger"
    server = server_factory(worker_num=2, task_worker_num=2, ledger_file=ledger)
    deferred = [server.connect() for _ in range(6)]
    ids = []
    with server.connect() as connection:
        for _ in range(50):
            answer = connection.post("/task?async=1&ms=20", b"x")
            assert answer.status == 202
            ids.append(answer.body.decode().strip())
        for number, waiting in enumerate(deferred):
            waiting.send(request("POST", "/task?ms=20", b"%d" % number))
        wait_until(lambda: tasks(server)["accepted"] == 56, 10, "56 accepted tasks")
        first = server.status()["tasks"]["keeper"]
        for _ in range(3):
            os.kill(server.status()["tasks"]["keeper"], signal.SIGKILL)
            server.wait_for_line("tasks run again", count=len(server.lines("tasks run again")) + 1)
        for number, waiting in enumerate(deferred):
            assert waiting.read_response().body == b"%d" % number
            waiting.close()
        wait_until(lambda: tasks(server)["waiting"] + tasks(server)["running"] == 0, 20, "the rest")
        assert connection.post("/task", b"and on").body == b"and on"
    effects = Counter(line.split()[1] for line in ledger.read_text().splitlines())
    assert not set(ids) - set(effects)
    assert server.status()["tasks"]["keeper"] != first
    assert server.stop() == 0


def test_what_kills_its_worker_is_run_again_and_then_a_dead_letter(
    server_factory, tmp_path: Path
) -> None:
    server = server_factory(handler=runfile(MISBEHAVES), worker_num=1, task_worker_num=1)
    sign = tmp_path / "mended"
    with server.connect() as connection:
        assert connection.post("/", b"twice").body == b"attempt 2"
        for payload in (b"abort", b"mend %s" % str(sign).encode()):
            answer = connection.post("/", payload, 30)
            assert answer.status == 500
            assert b"killed by SIGABRT" in answer.body
        found = tasks(server)
        assert (found["dead"], found["retried"]) == (2, 5)
        abort, mend = found["dead_letters"]
        assert abort["attempts"] == 3 and "SIGABRT" in abort["reason"]
        assert abort["id"] in server.ctl("tasks").stdout
        assert server.lines(f"task {abort['id']}: .*a dead letter now")
        sign.touch()
        assert "1 dead letters wait" in server.ctl("tasks", "--retry", mend["id"]).stdout
        wait_until(lambda: tasks(server)["done"] == 2, 20, "the mended task")
        assert connection.post("/defer", mend["id"].encode()).body == b"attempt 1"
        assert server.ctl("tasks", "--retry", "all").returncode == 0
        wait_until(lambda: tasks(server)["dead"] == 1, 30, "it to be dead again")
        assert server.ctl("tasks", "--drop", abort["id"]).returncode == 0
        assert tasks(server)["dead"] == 0
        wrong = server.ctl("tasks", "--retry", abort["id"])
        assert wrong.returncode == 1 and "no dead letter" in wrong.stderr


def test_a_task_that_does_not_end_is_ended(server_factory) -> None:
    server = server_factory(
        handler=runfile(MISBEHAVES), worker_num=1, task_worker_num=1, task_timeout=0.3,
        task_attempts=2,
    )
    with server.connect() as connection, server.connect() as other:
        connection.send(request("POST", "/", b"hang"))
        wait_running(server)
        other.send(request("POST", "/", b"behind it"))
        answer = connection.read_response(20)
        assert answer.status == 500
        assert b"longer than task_timeout, 0.3 s" in answer.body
        assert other.read_response(20).body == b"attempt 1", "not its fault"
    assert tasks(server)["dead_letters"][0]["attempts"] == 2


def test_one_slow_task_does_not_hold_up_quick_ones(server_factory) -> None:
    """They come to a worker several at a time; what lies behind a slow one goes to another."""
    server = server_factory(worker_num=1, task_worker_num=2)
    with server.connect() as warm, server.connect() as slow:
        for _ in range(200):
            assert warm.post("/task", b"x").status == 200
        slow.send(request("POST", "/task?ms=5000", b"slow"))
        wait_running(server)
        begun = time.monotonic()
        connections = [server.connect() for _ in range(40)]
        for connection in connections:
            connection.send(request("POST", "/task", b"quick"))
        for connection in connections:
            assert connection.read_response(4).body == b"quick"
            connection.close()
        assert time.monotonic() - begun < 4, "not behind the slow one"


def test_what_tasks_print_is_in_the_log(server_factory) -> None:
    server = server_factory(handler=runfile(MISBEHAVES), worker_num=1, task_worker_num=1)
    with server.connect() as connection:
        assert connection.post("/", b"print").body == b"attempt 1"
        assert connection.post("/", b"print-and-abort", 30).status == 500
    server.wait_for_line(r"output tasks +\d+  .*famous last words")
    assert server.stop() == 0
