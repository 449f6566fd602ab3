"""A stop: what was begun is answered, nothing is left, and who was not answered was not begun."""

import os
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from integration_tests.harness.waiting import wait_until


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_answered(server_factory, number: int) -> None:
    server = server_factory(worker_num=2)
    port = server.port
    connections = [server.connect() for _ in range(10)]
    half = server.connect()
    for connection in [*connections, half]:
        assert connection.get().status == 200
    half.send(b"GET / HTTP/1.1\r\nHo")
    for connection in connections:
        connection.send(b"GET /sleep?ms=200 HTTP/1.1\r\nHost: x\r\n\r\n")
    for connection in [*connections, half]:
        connection.wait_delivered()  # what has not arrived at a stop has not begun
    server.signal(number)
    server.wait_for_line("stopping")
    half.send(b"st: x\r\n\r\n")
    for connection in connections:
        response = connection.read_response()
        assert response.body == b"slept\n"
        assert response.headers["connection"] == "close"
        connection.close()
    assert half.read_response().body == b"hello\n"
    half.close()
    assert server.wait() == 0
    server.tree.assert_nothing_left()
    assert port_is_free(port)


def test_a_client_that_keeps_its_connection_does_not_hold_up_a_stop(server_factory) -> None:
    """It has its answer, with `Connection: close`, and is given a moment to close."""
    server = server_factory(worker_num=1, max_wait_time=600)
    with server.connect() as connection:
        connection.send(b"GET /sleep?ms=200 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.slots()[0]["requests"] == 1, 10, "the request in hand")
        server.signal(signal.SIGTERM)
        assert connection.read_response().headers["connection"] == "close"
        assert server.wait(60) == 0


def test_reloads_and_a_stop_leave_no_request_half_done(
    server_factory, start_witness, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    server = server_factory(worker_num=2, ledger_file=ledger)
    ids = start_witness(
        url=server.url + "/ledger", method="POST", ids="id", connections=16, seconds=60,
        reconnect=False, ids_file=tmp_path / "ids",
    )
    sleepers = start_witness(
        url=server.url + "/sleep?ms=200", connections=4, seconds=60, expect="slept\n",
        reconnect=False,
    )
    ids.wait_ready()
    sleepers.wait_ready()
    for _ in range(6):
        assert server.ctl("reload").returncode == 0
    assert server.stop() == 0

    slept = sleepers.stop()
    account = ids.stop()
    assert slept["truncated"] == account["truncated"] == 0
    assert slept["wrong"] == account["wrong"] == 0
    begun = Counter()
    ended = Counter()
    for line in ledger.read_text().splitlines():
        word, name = line.split()
        (begun if word == "begin" else ended)[name] += 1
    assert begun == ended, "what was begun has ended"
    answered = account["ids"]["answered"]
    assert len(answered) > 50
    assert all(ended[name] == 1 for name in answered)
    unanswered = {entry["id"] for entry in account["ids"]["unanswered"]}
    assert not unanswered & set(begun), "who was not answered was not begun"


def test_ctl_waits_for_the_end(server_factory) -> None:
    server = server_factory(worker_num=2)
    port = server.port
    result = server.ctl("stop")
    assert result.returncode == 0
    assert "stopped in " in result.stdout
    assert server.wait() == 0
    assert port_is_free(port)
    server.tree.assert_nothing_left()
    after = server.ctl("status")
    assert after.returncode == 1
    assert str(server.control_socket) in after.stderr


def test_sigquit_does_not_wait(server_factory) -> None:
    server = server_factory(worker_num=2)
    with server.connect() as connection:
        connection.send(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: sum(s["requests"] for s in server.slots()) == 1, 10, "the request")
        assert server.stop(signal.SIGQUIT) == 0
        assert connection.closed()


def test_max_wait_time_ends_what_does_not_end(server_factory) -> None:
    server = server_factory(worker_num=1, max_wait_time=0.2)
    with server.connect() as connection:
        connection.send(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.slots()[0]["requests"] == 1, 10, "the request")
        server.signal(signal.SIGTERM)
        server.wait_for_line("in time: killing it", timeout=20)
        assert server.wait(60) == 0
    server.tree.assert_nothing_left()


def test_signals_to_workers_and_keepers_cost_nothing(server_factory, start_witness) -> None:
    """As `pkill -TERM server` or a systemd unit without KillMode=mixed sends them."""
    server = server_factory(worker_num=2)
    witness = start_witness(url=server.url, connections=16, seconds=60, max_rate=5000)
    witness.wait_ready()
    before = server.slots()
    for slot in before:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(slot["worker"], number)
            os.kill(slot["keeper"], number)
    witness.stop().assert_nothing_noticed()
    assert [s["worker"] for s in server.slots()] == [s["worker"] for s in before]


def test_keepers_end_when_their_master_is_killed(server_factory) -> None:
    server = server_factory(worker_num=2)
    with server.connect() as connection:
        connection.send(b"GET /sleep?ms=200 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: sum(s["requests"] for s in server.slots()) == 1, 10, "the request")
        server.signal(signal.SIGKILL)
        assert connection.read_response().body == b"slept\n"
    server.tree.wait_gone(20)


def test_a_killed_keeper_is_replaced(server_factory) -> None:
    server = server_factory(worker_num=2)
    keeper = server.slots()[0]["keeper"]
    os.kill(keeper, signal.SIGKILL)
    server.wait_for_line("slot 0 serves again", timeout=20)
    assert server.slots()[0]["keeper"] not in (0, keeper)
    for _ in range(20):
        with server.connect() as connection:
            assert connection.get().status == 200
    assert server.stop() == 0
