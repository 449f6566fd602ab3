"""Tasks: accepted means done; the third role is replaced and bounded as the second is."""

import json
import signal
import time
from pathlib import Path

import pytest

from integration_tests.deploy import ECHO, ECHO_V2, deploy
from integration_tests.harness.client import request
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until
from integration_tests.task_server import (
    MISBEHAVES,
    start_tasks,
    task_workers,
    tasks,
    wait_running,
)

def test_a_request_is_answered_with_what_the_task_made(server_factory) -> None:
    server = server_factory(worker_num=2, task_worker_num=2)
    with server.connect() as connection:
        assert connection.post("/task", b"hello").body == b"hello"
        for size in (1, 5_000, 70_000, 1_000_000):
            body = bytes(i % 251 for i in range(size))
            assert connection.post("/task", body).body == body
        assert connection.get("/").body == b"hello\n"
    assert server.status()["tasks"]["done"] == 5


def test_pipelined_requests_wait_their_turn(server_factory) -> None:
    server = server_factory(worker_num=1, task_worker_num=2)
    with server.connect() as connection, server.connect() as neighbour:
        connection.send(
            request()
            + request("POST", "/task?ms=300", b"first")
            + request("POST", "/task?async=1", b"second")
            + request()
            + request("POST", "/task", b"third")
        )
        assert connection.read_response().body == b"hello\n", "before the task has finished"
        wait_running(server)
        assert neighbour.get("/").body == b"hello\n", "the worker is free"
        assert connection.read_response().body == b"first"
        assert connection.read_response().status == 202
        assert connection.read_response().body == b"hello\n"
        assert connection.read_response().body == b"third"


def test_accepted_and_asked_for_later(server_factory) -> None:
    server = server_factory(worker_num=1, task_worker_num=1)
    with server.connect() as connection:
        running = connection.post("/task?async=1&ms=400", b"slow")
        assert running.status == 202
        assert running.headers["location"] == "/task/" + running.body.decode().strip()
        waiting = connection.post("/task?async=1", b"quick")
        wait_running(server)
        assert connection.get(running.headers["location"]).headers["task-state"] == "running"
        assert connection.get(waiting.headers["location"]).headers["task-state"] == "waiting"

        def done() -> bool:
            return connection.get(waiting.headers["location"]).headers["task-state"] == "done"

        wait_until(done, 10, "the second task")
        assert connection.get(waiting.headers["location"]).body == b"quick"
        assert connection.get(running.headers["location"]).body == b"slow"
        assert connection.get("/task/0123456789abcdef").status == 404
        assert connection.get("/task/nonsense").status == 404


def test_several_tasks_of_one_request(server_factory) -> None:
    """They are accepted together, also when they are more than fits into one message."""
    server = server_factory(handler=runfile(MISBEHAVES), worker_num=1, task_worker_num=2)
    with server.connect() as connection:
        answer = connection.post("/many", b"3000")
        assert answer.status == 202
        ids = set(answer.body.decode().split())
        assert len(ids) == 3000
        wait_until(lambda: server.status()["tasks"]["done"] == 3000, 20, "3000 tasks")
        last = connection.post("/defer", answer.body[-17:-1])
        assert last.body == b"attempt 1"
        assert connection.post("/many", b"20000").status == 503, "more than task_queue_max"
        assert server.status()["tasks"]["accepted"] == 3000


def test_a_failure_is_told(server_factory) -> None:
    server = server_factory(handler=runfile(MISBEHAVES), worker_num=1, task_worker_num=1)
    with server.connect() as connection:
        for payload, why in [
            (b"throw", b"as asked"),
            (b"throw-int", b"it threw what is no std::exception"),
            (b"large", b"task_max_size"),
        ]:
            answer = connection.post("/", payload)
            assert answer.status == 500
            assert why in answer.body
        assert connection.post("/throw", b"x").status == 500
        assert connection.post("/defer", b"no id").status == 500
        assert connection.post("/defer", b"0123456789abcdef").status == 404
        assert connection.post("/", b"fine").body == b"attempt 1"
    counts = server.status()["tasks"]
    assert (counts["failed"], counts["done"], counts["accepted"]) == (3, 1, 4)
    assert server.lines("task [0-9a-f]{16} failed: as asked")


def test_the_queue_is_bounded(server_factory) -> None:
    server = server_factory(
        worker_num=1, task_worker_num=1, task_queue_max=5, task_max_size=1000
    )
    with server.connect() as connection:
        statuses = [connection.post("/task?async=1&ms=200", b"x").status for _ in range(5)]
        assert statuses == [202] * 5
        for target in ("/task?async=1", "/task"):
            answer = connection.post(target, b"one too many")
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            assert b"task_queue_max" in answer.body
        answer = connection.post("/task", b"x" * 2000)
        assert answer.status == 413
        assert b"task_max_size is 1000" in answer.body
        wait_until(lambda: server.status()["tasks"]["done"] == 5, 10, "the five tasks")
        assert connection.post("/task", b"room again").body == b"room again"
    assert server.status()["tasks"]["refused"] == 2


def test_without_task_workers(server_factory) -> None:
    server = server_factory(worker_num=1)
    with server.connect() as connection:
        assert connection.post("/task", b"x").status == 404
        assert connection.get("/task/0123456789abcdef").status == 404
    for arguments in (["tasks"], ["reload-tasks"]):
        result = server.ctl(*arguments)
        assert result.returncode == 1
        assert "task_worker_num is 0" in result.stderr


def test_a_handler_without_on_task(server_factory) -> None:
    handler = runfile("integration_tests/handlers/leaks.so")
    server = server_factory(handler=handler, worker_num=1, task_worker_num=1, wait=False)
    assert server.wait() == 1
    assert server.lines(f"handler {handler}: task_worker_num is 1, .*no entry point OnTask")
    server.tree.wait_gone()
    with server_factory(handler=handler, worker_num=1).connect() as connection:
        assert connection.get("/").status == 200


# --- Replacing --------------------------------------------------------------------------------


def test_each_signal_replaces_its_own(server_factory) -> None:
    server = server_factory(worker_num=2, task_worker_num=2)
    web, task = server.workers(), task_workers(server)
    server.signal(signal.SIGUSR2)
    server.wait_for_line("2 task workers replaced in ")
    assert server.workers() == web
    assert not set(task_workers(server)) & set(task)
    task = task_workers(server)
    server.signal(signal.SIGUSR1)
    server.wait_for_line("2 workers replaced in ")
    assert task_workers(server) == task
    assert not set(server.workers()) & set(web)
    result = server.ctl("reload-tasks")
    assert result.returncode == 0
    assert "2 task workers replaced in " in result.stdout


def test_a_running_task_is_finished_by_the_old_code(server_factory, tmp_path: Path) -> None:
    place = deploy(ECHO, tmp_path / "handler.so")
    ledger = tmp_path / "ledger"
    server = server_factory(handler=place, worker_num=1, task_worker_num=1, ledger_file=ledger)
    with server.connect() as slow, server.connect() as quick:
        slow.send(request("POST", "/task?ms=700", b"slow"))
        wait_running(server)
        quick.send(request("POST", "/task?async=1", b"quick"))
        assert quick.read_response().status == 202
        deploy(ECHO_V2, place)
        assert server.ctl("reload-tasks").returncode == 0
        assert slow.read_response().body == b"slow"
        assert quick.post("/task", b"x").body == b"x"
        assert json.loads(quick.get("/whoami").body)["version"] == "1"
    versions = [line.split()[2] for line in ledger.read_text().splitlines()]
    assert sorted(versions) == ["1", "2", "2"], "what waited runs with the new code"
    assert server.status()["tasks"]["retried"] == 0


def test_a_task_that_outlasts_the_reload_runs_again(server_factory) -> None:
    """It is cut off after max_wait_time, and that is no attempt of its own."""
    server = server_factory(worker_num=1, task_worker_num=1, max_wait_time=0.3, task_attempts=1)
    with server.connect() as connection:
        connection.send(request("POST", "/task?ms=1500", b"slow"))
        wait_running(server)
        assert server.ctl("reload-tasks").returncode == 0
        assert server.lines("was cut off and waits again")
        assert connection.read_response().body == b"slow"


@pytest.mark.parametrize(
    "handler, reason",
    [
        ("Throws_at_start", "no entry point OnTask"),
        ("leaks", "no entry point OnTask"),
        ("LacksSymbol_at_start", "undefined symbol"),
        (None, "No such file or directory"),
    ],
)
def test_a_broken_handler_leaves_the_old_task_workers(
    server_factory, tmp_path: Path, handler, reason: str
) -> None:
    place = deploy(ECHO, tmp_path / "handler.so")
    server = server_factory(handler=place, worker_num=1, task_worker_num=2)
    before = task_workers(server)
    if handler:
        deploy(f"integration_tests/handlers/{handler}.so", place)
    else:
        place.unlink()
    result = server.ctl("reload-tasks")
    assert result.returncode == 1
    assert reason in result.stderr and str(place) in result.stderr
    assert task_workers(server) == before
    with server.connect() as connection:
        assert connection.post("/task", b"still").body == b"still"
    deploy(ECHO_V2, place)
    assert server.ctl("reload-tasks").returncode == 0
    assert not set(task_workers(server)) & set(before)


def test_the_configuration_brings_more_and_fewer(server_factory, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = f'port = 0\nworker_num = 1\nhandler = "{runfile(ECHO)}"\ntask_worker_num = '
    config.write_text(text + "1\n")
    server = server_factory(config=config)
    for count in (3, 2):
        config.write_text(text + f"{count}\n")
        server.signal(signal.SIGHUP)
        wait_until(lambda: len(task_workers(server)) == count, 10, f"{count} task workers")
        with server.connect() as connection:
            assert connection.post("/task", b"x").body == b"x"
    wait_until(lambda: len(tasks(server)["workers"]) == 2, 10, "the third to go")


# --- Waiting requests -------------------------------------------------------------------------


def test_waiting_requests_outlive_reloads_and_slots(server_factory) -> None:
    server = server_factory(worker_num=3, task_worker_num=4)
    connections = [server.connect() for _ in range(12)]
    for number, connection in enumerate(connections):
        connection.send(request("POST", "/task?ms=300", b"%d" % number) + request())
    wait_until(lambda: tasks(server)["accepted"] == 12, 10, "12 accepted tasks")
    assert server.ctl("reload").returncode == 0
    server.signal(signal.SIGTTOU)
    server.wait_for_line("one worker fewer: 2")
    server.signal(signal.SIGTTOU)
    server.wait_for_line("one worker fewer: 1")
    server.signal(signal.SIGTTIN)
    server.wait_for_line("one worker more: 2")
    for number, connection in enumerate(connections):
        assert connection.read_response().body == b"%d" % number
        assert connection.read_response().body == b"hello\n"
        connection.close()


def test_a_client_that_does_not_wait(server_factory) -> None:
    """Its task runs; nobody spins for it, and nothing of it stays."""
    server = server_factory(worker_num=1, task_worker_num=1)
    gone = server.connect()
    gone.send(request("POST", "/task?ms=500", b"x") + b"and more")
    wait_running(server)
    gone.close()
    with server.connect() as connection:
        worker = Path(f"/proc/{server.workers()[0]}/stat")
        before = sum(map(int, worker.read_text().split()[13:15]))
        assert connection.post("/task", b"y").body == b"y"
        assert sum(map(int, worker.read_text().split()[13:15])) - before <= 10, "ticks of 10 ms"
        wait_until(lambda: server.slots()[0]["connections"] == 1, 10, "the other to be closed")


# --- The end ----------------------------------------------------------------------------------


def test_a_stop_finishes_what_was_accepted(server_factory, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    server = server_factory(worker_num=1, task_worker_num=2, ledger_file=ledger)
    start_tasks(server, 20, 40)
    with server.connect() as connection:
        connection.send(request("POST", "/task?ms=100", b"waits"))
        wait_until(lambda: server.status()["tasks"]["accepted"] == 21, 10, "the last task")
        server.signal(signal.SIGTERM)
        assert connection.read_response().body == b"waits"
    assert server.wait() == 0
    assert len(ledger.read_text().splitlines()) == 21
    server.tree.wait_gone()


def test_a_stop_that_may_not_wait_says_what_is_lost(server_factory) -> None:
    server = server_factory(worker_num=1, task_worker_num=1, max_wait_time=0.5)
    start_tasks(server, 3, 30_000)
    assert server.stop() == 0
    assert server.lines("3 of 3 tasks could not be finished in max_wait_time and are lost")


def test_a_task_keeper_ends_with_its_master(server_factory) -> None:
    """After the slots, and what they had accepted."""
    server = server_factory(worker_num=1, task_worker_num=1)
    with server.connect() as connection:
        connection.send(request("POST", "/task?ms=300", b"waits"))
        wait_running(server)
        server.signal(signal.SIGKILL)
        assert connection.read_response().body == b"waits"
    server.tree.wait_gone(20)


def test_ctl_shows_who_runs_what(server_factory) -> None:
    server = server_factory(worker_num=1, task_worker_num=2)
    start_tasks(server, 3, 1000)
    wait_running(server, 2)
    time.sleep(0.02)  # for a time that is not 0
    found = tasks(server)
    assert (found["waiting"], found["queue"]) == (1, "memory")
    assert all(worker["running"] and worker["for_ms"] > 0 for worker in found["workers"])
    shown = server.ctl("tasks").stdout
    assert "1 waiting  2 running  0 done" in shown
    assert f"{found['workers'][0]['running']} for " in shown
    assert "tasks: 1 waiting  2 running" in server.ctl("status").stdout


@pytest.mark.parametrize(
    "typed, meant", [("reload-task", "reload-tasks"), ("task", "tasks"), ("relod", "reload")]
)
def test_half_typed_commands(server_factory, typed: str, meant: str) -> None:
    server = server_factory(worker_num=1)
    result = server.ctl(typed)
    assert result.returncode == 2
    assert f"did you mean {meant}?" in result.stderr
