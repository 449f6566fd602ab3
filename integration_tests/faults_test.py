"""Clients that misbehave and resources that run out: nobody else notices, and nothing leaks."""

import os
import resource
import select
import signal
import socket
import struct
import time
from typing import Callable, Iterator

import pytest

from integration_tests.deploy import deploy
from integration_tests.harness.client import RawConnection, request
from integration_tests.harness.processes import stat_fields
from integration_tests.harness.waiting import wait_until

MISBEHAVES = "integration_tests/handlers/misbehaves.so"
MANY = 10_000
LARGE = 20_000_000  # more than the kernel's buffers of a connection take


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process (proc(5), stat)."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_rests(pid: int, seconds: float = 1) -> None:
    """A process that spins uses all the time that it gets; one that waits, next to none.

    Only its own CPU time counts, so that a busy machine makes the bound safer, not tighter.
    """
    used, begin = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    used, passed = cpu_seconds(pid) - used, time.monotonic() - begin
    assert used < 0.2 * passed, f"process {pid} used {used:.2f} s of {passed:.2f} s"


def total(server, name: str) -> int:
    return sum(slot[name] for slot in server.slots())


def wait_for_total(server, name: str, number: int, timeout: float = 20) -> None:
    wait_until(lambda: total(server, name) == number, timeout, f"{number} {name}")


def reset(connection: RawConnection) -> None:
    """Closes it so that the server gets a reset (socket(7), SO_LINGER with no time)."""
    linger = struct.pack("ii", 1, 0)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def with_small_buffer(server) -> RawConnection:
    """A connection that takes little that is not read: as small a buffer as the kernel allows."""
    connection = server.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    return connection


def readable(connections: list[RawConnection]) -> list[RawConnection]:
    poll = select.poll()
    for connection in connections:
        poll.register(connection.socket, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(0)}
    return [connection for connection in connections if connection.socket.fileno() in ready]


class Leaks:
    """What a server without clients holds, to be the same again when all clients have gone."""

    def __init__(self, server) -> None:
        self.server = server
        with server.connect() as connection:  # whatever a first request needs, it has now
            connection.get()
        self._wait_unused()
        self.before = self._descriptors()
        self.workers = server.workers()

    def _descriptors(self) -> list[int]:
        return [open_descriptors(slot["keeper"]) for slot in self.server.slots()]

    def _wait_unused(self) -> None:
        wait_for_total(self.server, "connections", 0, 40)
        wait_for_total(self.server, "buffer_pages", 0)

    def assert_none(self) -> None:
        self._wait_unused()
        assert self._descriptors() == self.before
        assert self.server.workers() == self.workers, "a worker died"
        assert total(self.server, "deaths") == 0
        with self.server.connect() as connection:
            assert connection.get().status == 200


# --- Slow clients ---------------------------------------------------------------------------------


def test_a_request_may_come_a_byte_at_a_time(server_factory) -> None:
    server = server_factory(worker_num=1)
    chunked = (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4;a=b\r\nWiki\r\n0\r\nX: y\r\n\r\n"
    )
    with server.connect() as connection:
        for wanted, text in (
            (b"hello\n", request()),
            (b"body", request("POST", "/echo", b"body")),
            (b"Wiki", chunked),
        ):
            for byte in text:
                connection.send(bytes([byte]))
            assert connection.read_response().body == wanted


def test_slow_writers_are_cut_off_in_time_and_hold_up_nobody(server_factory) -> None:
    server = server_factory(worker_num=1, header_timeout=0.5, body_timeout=0.5)
    leaks = Leaks(server)
    # Each sends more now and then, so that only a limit on the whole header can end it.
    header = [server.connect() for _ in range(20)]
    body = [server.connect() for _ in range(20)]
    for connection in body:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    waiting = list(header)
    text = iter(b"GET / HTTP/1.1\r\nHost: " + b"x" * 10_000)
    with server.connect() as quick:
        end = time.monotonic() + 20
        while waiting := [each for each in waiting if each not in readable(waiting)]:
            assert time.monotonic() < end, "a header can be trickled in for ever"
            byte = bytes([next(text)])
            for connection in waiting:
                connection.send(byte)
            assert quick.get().status == 200
            time.sleep(0.02)
    for connection in header + body:
        assert connection.read_response().status == 408
        assert connection.closed()
        connection.close()
    leaks.assert_none()


def test_a_body_has_its_time_from_piece_to_piece(server_factory) -> None:
    server = server_factory(worker_num=1, body_timeout=2)
    with server.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n")
        for byte in b"twelve bytes":
            time.sleep(0.2)
            connection.send(bytes([byte]))
        assert connection.read_response().body == b"twelve bytes"


def test_a_reader_that_stops_is_cut_off_and_holds_up_nobody(server_factory, tmp_path) -> None:
    handler = deploy(MISBEHAVES, tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=handler, send_timeout=1, buffer_size=100_000_000)
    leaks = Leaks(server)
    stopped = [with_small_buffer(server) for _ in range(3)]
    for connection in stopped:
        connection.send(request("GET", f"/large?n={LARGE}"))
    wait_for_total(server, "answered", 4)
    assert total(server, "buffer_pages") > 3 * LARGE // 4096
    with server.connect() as quick:
        wait_until(
            lambda: quick.get().status == 200 and total(server, "connections") == 1,
            20,
            "the end of connections that are not read",
        )
    assert total(server, "closed_by_server") == 3
    for connection in stopped:
        reset(connection)
    leaks.assert_none()


def test_a_reader_that_goes_on_is_not_cut_off(server_factory, tmp_path) -> None:
    handler = deploy(MISBEHAVES, tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=handler, send_timeout=1)
    with server.connect() as connection:
        connection.send(request("GET", f"/large?n={LARGE}"))
        received, begin = 0, time.monotonic()
        while received < LARGE or time.monotonic() - begin < 2:
            data = connection.socket.recv(LARGE // 20)
            assert data, f"cut off after {received} bytes"
            received += len(data)
            if received > LARGE:
                break
            time.sleep(0.1 if time.monotonic() - begin < 2 else 0)
        assert total(server, "closed_by_server") == 0


# --- Clients that go ------------------------------------------------------------------------------


def test_half_closed_clients_get_their_answers(server_factory, tmp_path) -> None:
    handler = deploy(MISBEHAVES, tmp_path / "handler.so")
    large = server_factory(worker_num=1, handler=handler)
    server = server_factory(worker_num=1)
    leaks = Leaks(server)
    for where, text, answers in (
        (server, request(), [b"hello\n"]),
        (server, request("GET", "/sleep?ms=50"), [b"slept\n"]),
        (server, request("POST", "/echo", b"x" * 100_000), [b"x" * 100_000]),
        (server, request() + request("GET", "/sleep?ms=1") + request(),
         [b"hello\n", b"slept\n", b"hello\n"]),
        (large, request("GET", f"/large?n={LARGE}"), [b"x" * LARGE]),
    ):
        with where.connect() as connection:
            connection.send(text)
            connection.socket.shutdown(socket.SHUT_WR)
            for answer in answers:
                assert connection.read_response(30).body == answer
            assert connection.closed()
    with server.connect() as connection:  # and half a request has none
        connection.send(b"GET / HT")
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.closed()
    leaks.assert_none()


def test_resets_in_every_state(server_factory, tmp_path) -> None:
    handler = deploy(MISBEHAVES, tmp_path / "handler.so")
    large = server_factory(worker_num=1, handler=handler)
    server = server_factory(worker_num=1)
    states: dict[str, tuple] = {
        "resting": (server, b""),
        "part-sent": (server, b"GET / HT"),
        "part of a body": (server, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"),
        "held": (server, request("GET", "/sleep?ms=20")),
        "held, more behind": (server, request("GET", "/sleep?ms=20") + request() + b"GET /"),
        "answered": (large, request("GET", f"/large?n={LARGE}")),
        "lingering": (server, b"rubbish\r\n\r\n"),
    }
    leaks = [Leaks(server), Leaks(large)]
    for name, (where, text) in states.items():
        before = total(where, "requests") + total(where, "refused")
        connections = [where.connect() for _ in range(3)]
        for connection in connections:
            connection.send(text)
        if name in ("answered", "lingering"):
            wait_until(lambda: len(readable(connections)) == 3)
        elif name.startswith("held"):
            wait_until(lambda: total(where, "requests") > before)
        else:
            pages = 0 if name == "resting" else 3
            wait_for_total(where, "connections", 3)
            wait_for_total(where, "buffer_pages", pages)
        for connection in connections:
            reset(connection)
        wait_for_total(where, "connections", 0)
    for each in leaks:
        each.assert_none()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for MANY sockets in this process, or the test is skipped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY + 200:
        pytest.skip(f"needs {MANY + 200} open files, and the hard limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect_from_many_addresses(server, count: int) -> Iterator[RawConnection]:
    """Connections to the server; no address of 127/8 runs out of ports."""
    for number in range(count):
        connection = RawConnection.__new__(RawConnection)
        connection.socket = socket.create_connection(
            server.address, 10, source_address=(f"127.0.1.{number % 200 + 1}", 0)
        )
        yield connection


def test_ten_thousand_connections_come_and_go(server_factory, many_descriptors) -> None:
    server = server_factory(worker_num=2, header_timeout=120)
    leaks = Leaks(server)
    accepted = total(server, "accepted")

    crowd = list(connect_from_many_addresses(server, MANY))
    for connection in crowd[::4]:
        connection.socket.send(b"GET / HT")
    wait_for_total(server, "connections", MANY)
    wait_for_total(server, "buffer_pages", MANY // 4)
    with server.connect() as connection:
        assert connection.get().status == 200
    for number, connection in enumerate(crowd):
        reset(connection) if number % 2 else connection.close()
    leaks.assert_none()

    window: list[RawConnection] = []
    for number, connection in enumerate(connect_from_many_addresses(server, MANY)):
        window.append(connection)
        if number % 3 == 0:
            connection.socket.send(b"POST /echo")
        if len(window) > 100:
            window.pop(0).close()
    for connection in window:
        connection.close()
    leaks.assert_none()
    wait_until(lambda: total(server, "accepted") >= accepted + 2 * MANY)


# --- What runs out --------------------------------------------------------------------------------


def ask_all(server, count: int) -> list[RawConnection]:
    connections = [server.connect(30) for _ in range(count)]
    for connection in connections:
        connection.send(request())
    return connections


def serve_the_rest(waiting: list[RawConnection], at_once: int) -> None:
    """Closes the ones that have their answers until each has had one."""
    while waiting:
        served = wait_until(lambda: readable(waiting), 20, "room for those that wait")
        assert len(served) <= at_once
        for connection in served:
            assert connection.read_response().status == 200
            connection.close()
            waiting.remove(connection)


def wait_until_settled(probe: Callable[[], int]) -> int:
    """Waits until a growing number has been the same for a while; that number."""
    last, since = probe(), time.monotonic()
    while time.monotonic() - since < 0.3:
        if (now := probe()) != last:
            last, since = now, time.monotonic()
    return last


def test_no_descriptor_left(server_factory) -> None:
    """Who finds no room waits and does not spin; a reload and a death find descriptors still."""
    server = server_factory(worker_num=1, prefix=["prlimit", "--nofile=64:64"])
    waiting = ask_all(server, 150)
    server.wait_for_line("accepting no connections for now")
    served = wait_until_settled(lambda: len(readable(waiting)))
    assert 10 < served < 64
    assert total(server, "connections") == served
    slot = server.slots()[0]
    for pid in (server.pid, slot["keeper"], slot["worker"]):
        assert_rests(pid, 0.7)
    assert server.ctl("reload").returncode == 0
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_line("worker .* serves, generation 2", count=1)
    served = wait_until_settled(lambda: len(readable(waiting)))
    assert 10 < served < 64
    assert total(server, "connections") == served
    assert_rests(server.workers()[0], 0.7)
    assert len(server.lines("accepting no connections")) <= 3, "once for each worker"
    serve_the_rest(waiting, at_once=64)
    wait_for_total(server, "connections", 0)
    assert total(server, "closed_by_server") == 0


def test_no_descriptor_left_and_a_slot_fewer(server_factory) -> None:
    """The master accepts for the slot that is gone, and deals out to one that has no room."""
    server = server_factory(worker_num=2, prefix=["prlimit", "--nofile=64:64"])
    server.signal(signal.SIGTTOU)
    server.wait_for_line("one worker fewer: 1")
    waiting = ask_all(server, 150)
    wait_until_settled(lambda: len(readable(waiting)))
    slot = server.slots()[0]
    for pid in (server.pid, slot["keeper"], slot["worker"]):
        assert_rests(pid, 0.7)
    serve_the_rest(waiting, at_once=64)
    assert total(server, "closed_by_server") == 0


def test_max_connection(server_factory) -> None:
    server = server_factory(worker_num=1, max_connection=5)
    waiting = ask_all(server, 40)
    server.wait_for_line("accepting no connections for now")
    assert_rests(server.workers()[0])
    assert total(server, "connections") == 5 == len(readable(waiting))
    assert server.ctl("reload").returncode == 0
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_line("worker .* serves, generation 2", count=1)
    assert wait_until_settled(lambda: total(server, "connections")) == 5
    serve_the_rest(waiting, at_once=5)
    assert total(server, "accepted") == 40
    assert total(server, "closed_by_server") == 0


def test_a_stop_serves_those_who_wait_for_room(server_factory) -> None:
    server = server_factory(worker_num=1, max_connection=5)
    waiting = ask_all(server, 40)
    server.wait_for_line("accepting no connections for now")
    server.signal(signal.SIGTERM)
    serve_the_rest(waiting, at_once=10)  # five that had their answers, and five in their place
    assert server.wait() == 0


def test_the_buffer_pool_is_full(server_factory) -> None:
    server = server_factory(worker_num=1, buffer_size=16 * 4096)
    leaks = Leaks(server)
    part_read = [server.connect() for _ in range(16)]
    for connection in part_read:
        connection.send(b"GET / HT")
    wait_for_total(server, "buffer_pages", 16)
    for text in (request(), request("POST", "/echo", b"x" * 5000)):
        with server.connect() as connection:
            connection.send(text)
            response = connection.read_response()
            assert response.status == 503
            assert response.headers["retry-after"] == "1"
            assert connection.closed()
    # Those who have their buffer go on; an answer needs another, which the first may not find.
    part_read.pop().close()
    wait_for_total(server, "buffer_pages", 15)
    for connection in part_read:
        connection.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_response().status == 200
    with server.connect() as connection:  # larger than the pool ever is
        assert connection.post("/echo", b"x" * 70_000).status == 503
    for connection in part_read:
        connection.close()
    leaks.assert_none()


def test_answers_that_are_ready_go_out_when_the_next_finds_no_buffer(
    server_factory, tmp_path
) -> None:
    handler = deploy(MISBEHAVES, tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=handler, buffer_size=20 * 4096)
    leaks = Leaks(server)
    for first in (10, 3900, 4000):  # with room for a few words behind it in its page, and without
        with server.connect() as connection:
            connection.send(
                request("GET", f"/large?n={first}")
                + request("GET", "/large?n=100000")
                + request("GET", "/large?n=10")
            )
            assert connection.read_response().body == b"x" * first
            try:
                assert connection.read_response().status == 503
            except ConnectionError:
                assert first == 4000, "there was room to say so"
            assert connection.closed()
    leaks.assert_none()
