"""What the tests of tasks ask of a server."""

import json

from integration_tests.harness.waiting import wait_until

MISBEHAVES = "integration_tests/handlers/task_misbehaves.so"


def tasks(server) -> dict:
    """What `ctl tasks --json` says."""
    result = server.ctl("tasks", "--json")
    assert result.returncode == 0, result
    return json.loads(result.stdout)


def task_workers(server) -> list[int]:
    """Their pids; 0 where there is none now."""
    return [worker["pid"] for worker in server.status()["tasks"]["workers"]]


def wait_running(server, count: int = 1) -> None:
    """Waits until so many tasks run."""
    wait_until(lambda: tasks(server)["running"] == count, 10, f"{count} running tasks")


def start_tasks(server, count: int, ms: int) -> None:
    """Has so many accepted, of so many milliseconds each."""
    with server.connect() as connection:
        for _ in range(count):
            assert connection.post(f"/task?async=1&ms={ms}", b"x").status == 202
