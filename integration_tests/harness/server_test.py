"""The harness with the real server: it is found, talked to, watched, and ended."""

import os
import signal
from pathlib import Path

import pytest

from integration_tests.harness.processes import command_line
from integration_tests.harness.waiting import wait_until


def test_every_address_is_found_and_answers(server_factory, witness, socket_folder: Path) -> None:
    path = socket_folder / "http"
    server = server_factory(listen=["127.0.0.1:0", "[::1]:0", f"unix:{path}"], worker_num=1)
    four, six, unix = server.addresses()
    assert (four[0], six[0], unix) == ("127.0.0.1", "::1", str(path))
    assert server.port == four[1]
    assert server.urls == [f"http://127.0.0.1:{four[1]}", f"http://[::1]:{six[1]}"]
    with server.connect() as connection:
        assert connection.get().body == b"hello\n"
        assert connection.post("/echo", b"body").body == b"body"
    for where in ({"url": server.urls[0]}, {"url": server.urls[1]}, {"unix": path}):
        witness(requests=100, connections=4, expect="hello\n", **where).assert_nothing_noticed()


def test_a_reload_is_asked_for_and_seen(server_factory) -> None:
    server = server_factory(worker_num=2)
    before = server.workers()
    assert set(before) < set(server.tree.descendants())
    result = server.ctl("reload")
    assert result.returncode == 0, result
    assert not set(before) & set(server.workers())
    assert [slot["generation"] for slot in server.slots()] == [2, 2]
    server.signal(signal.SIGUSR1)
    server.wait_for_line("2 workers replaced", count=2)


def test_a_stop_leaves_nothing(server_factory) -> None:
    server = server_factory(worker_num=2)
    assert len(server.tree.descendants()) == 5, server.tree.describe()
    assert server.stop() == 0
    server.tree.assert_nothing_left()


def test_what_a_killed_master_leaves_is_known(server_factory) -> None:
    server = server_factory(worker_num=2)
    keepers = [slot["keeper"] for slot in server.slots()]
    os.kill(keepers[0], signal.SIGSTOP)  # so that it cannot see its master's end
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    assert keepers[0] in server.tree.descendants()
    assert str(keepers[0]) in server.tree.describe()
    server.kill()
    wait_until(lambda: command_line(keepers[0]) == "gone")


def test_a_server_that_does_not_start_shows_its_log(server_factory) -> None:
    with pytest.raises(RuntimeError, match="the server ended with 1(.|\n)*/no/such/handler"):
        server_factory(handler="/no/such/handler")
    server = server_factory(handler="/no/such/handler", wait=False)
    assert server.wait() == 1
    assert server.lines("/no/such/handler")
    with pytest.raises(TimeoutError, match="no line 'hello' in 0 s; the log:(.|\n)*cannot start"):
        server.wait_for_line("hello", 0)
