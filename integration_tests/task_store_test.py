"""The queue in SQLite: what was accepted outlives every process; what can't be written is told."""

import ctypes
import os
import random
import threading
from pathlib import Path

import pytest

from integration_tests.harness.waiting import wait_until
from integration_tests.task_server import start_tasks, tasks


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


class Clients:
    """Start tasks, each client as fast as it can, until the server is gone; note who was told 202."""

    def __init__(self, server, count: int) -> None:
        self.accepted: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=[server]) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, server) -> None:
        try:
            with server.connect() as connection:
                while True:
                    answer = connection.post("/task?async=1&ms=1", b"x" * random.randrange(2000))
                    if answer.status == 202:
                        self.accepted.append(answer.body.decode().strip())
        except OSError:
            pass

    def join(self) -> list[str]:
        for thread in self._threads:
            thread.join()
        return self.accepted


def test_ten_times_everything_is_killed(server_factory, tmp_path: Path) -> None:
    """Whoever was told 202 has his task done, though every process was killed at some instant."""
    choice = random.Random(7)
    ledger = tmp_path / "ledger"
    settings = {
        "worker_num": 2,
        "task_worker_num": 2,
        "task_queue": f"sqlite:{tmp_path / 'tasks.db'}",
        "ledger_file": ledger,
    }
    accepted: list[str] = []
    for _ in range(10):
        server = server_factory(**settings)
        clients = Clients(server, 8)
        wanted = 1 + choice.randrange(60)
        wait_until(lambda: len(clients.accepted) >= wanted, 20, "accepted tasks")
        server.kill()  # SIGKILL for every process of it
        accepted += clients.join()
    server = server_factory(**settings)
    wait_until(lambda: tasks(server)["waiting"] + tasks(server)["running"] == 0, 30, "all tasks")
    assert server.stop() == 0
    done = {line.split()[1] for line in lines(ledger)}
    assert len(accepted) > 100
    assert not set(accepted) - done


def test_a_stop_leaves_them_for_the_next_start(server_factory, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    settings = {
        "worker_num": 1,
        "task_worker_num": 1,
        "task_queue": f"sqlite:{tmp_path / 'tasks.db'}",
        "ledger_file": ledger,
    }
    server = server_factory(**settings)
    start_tasks(server, 10, 300)
    wait_until(lambda: tasks(server)["running"] == 1, 10, "a running task")
    result = server.ctl("stop")
    assert result.returncode == 0
    assert f"tasks wait in {tmp_path / 'tasks.db'} for the next start" in result.stdout
    begun = len(lines(ledger))
    assert 1 <= begun < 10, "what ran was finished"
    server.tree.wait_gone()
    again = server_factory(**settings)
    assert again.lines(f"{10 - begun} tasks wait from before")
    wait_until(lambda: len(lines(ledger)) == 10, 20, "the other tasks")
    assert again.stop() == 0
    assert len(lines(ledger)) == 10, "none of them twice"


def test_results_outlive_a_restart(server_factory, tmp_path: Path) -> None:
    settings = {"worker_num": 1, "task_worker_num": 1, "task_queue": f"sqlite:{tmp_path / 'x.db'}"}
    server = server_factory(**settings)
    with server.connect() as connection:
        place = connection.post("/task?async=1", b"result").headers["location"]
        wait_until(lambda: connection.get(place).headers["task-state"] == "done", 10, "the task")
    server.kill()
    with server_factory(**settings).connect() as connection:
        assert connection.get(place).body == b"result"


def no_folder(folder: Path) -> Path:
    return folder / "no" / "tasks.db"


def a_folder(folder: Path) -> Path:
    (folder / "tasks.db").mkdir()
    return folder / "tasks.db"


def rubbish(folder: Path) -> Path:
    (folder / "tasks.db").write_bytes(b"rubbish" * 2000)
    return folder / "tasks.db"


@pytest.mark.parametrize(
    "make, reason",
    [
        (no_folder, "unable to open database file"),
        (a_folder, "unable to open database file"),
        (rubbish, "file is not a database"),
    ],
)
def test_a_queue_that_cannot_be_opened(server_factory, tmp_path: Path, make, reason: str) -> None:
    path = make(tmp_path)
    server = server_factory(task_worker_num=1, task_queue=f"sqlite:{path}", wait=False)
    assert server.wait() == 1
    assert server.lines(f"cannot start: tasks: .*{path}: {reason}")
    server.tree.wait_gone()


def test_a_damaged_queue(server_factory, tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    settings = {"worker_num": 1, "task_worker_num": 1, "task_queue": f"sqlite:{path}"}
    server = server_factory(**settings)
    with server.connect() as connection:
        for _ in range(20):
            assert connection.post("/task?async=1&ms=0", b"x" * 4000).status == 202
    assert server.stop() == 0
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    again = server_factory(**settings, wait=False)
    assert again.wait() == 1
    assert again.lines(f"{path}: the database is damaged") or again.lines(f"{path}: .*malformed")


def test_one_queue_has_one_server(server_factory, tmp_path: Path) -> None:
    settings = {"task_worker_num": 1, "task_queue": f"sqlite:{tmp_path / 'tasks.db'}"}
    server_factory(**settings)
    second = server_factory(**settings, wait=False)
    assert second.wait() == 1
    assert second.lines("another process uses this database")


def test_a_bad_setting(server_factory) -> None:
    server = server_factory(task_queue="redis", wait=False)
    assert server.wait() == 2
    assert "'redis' is not memory or sqlite:PATH" in server.log()


@pytest.fixture
def disk(small_disk) -> Path:
    return small_disk(kib=400)


def test_a_full_disk_refuses_tasks_and_loses_none(
    server_factory, disk: Path, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    settings = {
        "worker_num": 1,
        "task_worker_num": 1,
        "task_queue": f"sqlite:{disk / 'tasks.db'}",
        "ledger_file": ledger,
    }
    server = server_factory(**settings)
    accepted = []
    with server.connect() as connection:
        for _ in range(200):
            answer = connection.post("/task?async=1&ms=20", b"x" * 8000)
            if answer.status != 202:
                break
            accepted.append(answer.body.decode().strip())
        assert answer.status == 503
        assert b"cannot be written" in answer.body and b"full" in answer.body
        assert connection.get("/").status == 200, "it serves on"
        assert server.lines("cannot write tasks: .*full; they are refused")
        wait_until(lambda: len(lines(ledger)) >= len(accepted), 20, "what was accepted to run")
    server.kill()
    done = {line.split()[1] for line in lines(ledger)}
    assert not set(accepted) - done
    assert len(accepted) > 5
    # More room: a remount keeps what is there.
    libc = ctypes.CDLL(None, use_errno=True)
    remount = 32  # MS_REMOUNT
    assert libc.mount(b"tmpfs", str(disk).encode(), b"tmpfs", remount, b"size=8m") == 0
    again = server_factory(**settings)
    with again.connect() as connection:
        assert connection.post("/task", b"room again").body == b"room again"


def fill(file: Path) -> None:
    """Leaves no byte free."""
    number = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(number, bytes(4096)):
            pass
    except OSError:
        os.close(number)


def test_room_again_on_the_disk_without_a_restart(server_factory, disk: Path) -> None:
    ballast = disk / "ballast"
    server = server_factory(
        worker_num=1, task_worker_num=1, task_queue=f"sqlite:{disk / 'tasks.db'}"
    )
    with server.connect() as connection:
        assert connection.post("/task", b"x").status == 200
        fill(ballast)
        for _ in range(50):
            if connection.post("/task?async=1", b"x" * 4000).status == 503:
                break
        assert connection.post("/task", b"x" * 4000).status == 503
        ballast.unlink()
        assert connection.post("/task", b"room").body == b"room"
        server.wait_for_line("tasks can be written again")
