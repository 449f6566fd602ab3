"""A reload: no request lost, no connection closed, no old code after it, and none that is broken."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from integration_tests.deploy import ECHO, ECHO_V2, deploy, overwrite
from integration_tests.harness.waiting import wait_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def who(connection) -> dict:
    return json.loads(connection.get("/whoami").body)


class Reloader:
    """Signals a server again and again until it is told to end."""

    def __init__(self, server, period: float, number: int = signal.SIGUSR1) -> None:
        self.count = 0
        self._over = threading.Event()

        def signal_on() -> None:
            while not self._over.wait(period):
                server.signal(number)
                self.count += 1

        self._thread = threading.Thread(target=signal_on)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def reloader():
    started = []

    def start(*arguments) -> Reloader:
        started.append(Reloader(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.end()


def assert_untouched(account, connects: int) -> None:
    """Promises 1 and 2: nothing was lost, nothing closed, and so nobody connected again."""
    account.assert_nothing_noticed()
    assert account["connections"]["connects"] == connects, account.summary()


def test_no_request_and_no_connection_is_lost_under_load(
    server_factory, start_witness, reloader, tmp_path: Path
) -> None:
    handler = deploy(ECHO, tmp_path / "handler.so")
    server = server_factory(worker_num=2, handler=handler)
    before = server.slots()
    witness = start_witness(url=server.url + "/", connections=64, seconds=20, expect="hello\n")
    witness.wait_ready()
    reloads = reloader(server, 0.3)
    wait_until(lambda: reloads.count >= 10, 30, "reloads of the first version")

    deploy(ECHO_V2, handler)
    result = server.ctl("reload")
    assert result.returncode == 0, result
    for _ in range(50):  # each a connection of its own, so both slots answer
        with server.connect() as connection:
            assert who(connection)["version"] == "2"

    account = witness.finish()
    reloads.end()
    assert reloads.count >= 40
    assert_untouched(account, connects=64)
    after = server.slots()
    for old, new in zip(before, after):
        assert old["keeper"] == new["keeper"]
        assert old["worker"] != new["worker"]
        assert new["deaths"] == 0
    assert sum(slot["closed_by_server"] for slot in after) == 0
    assert server.stop() == 0


def test_the_outcome_counts_workers_and_closed_connections(server_factory) -> None:
    server = server_factory(worker_num=3)
    result = server.ctl("reload")
    assert result.returncode == 0
    assert "3 workers replaced in " in result.stdout
    assert result.stdout.endswith(" 0 connections closed\n")


def test_what_is_done_shows_in_the_status(server_factory) -> None:
    """From the moment that `ctl reload` returns: the new workers, of the new generation."""
    server = server_factory(worker_num=2)
    before: list[int] = []
    for generation in range(2, 42):
        assert server.ctl("reload").returncode == 0
        slots = server.slots()
        assert [slot["generation"] for slot in slots] == [generation] * 2
        assert not set(before) & {slot["worker"] for slot in slots}
        before = [slot["worker"] for slot in slots]


def test_a_request_in_two_halves(server_factory) -> None:
    server = server_factory(worker_num=1)
    with server.connect() as connection:
        for first, second in [
            (b"GET / HT", b"TP/1.1\r\nHost: x\r\n\r\n"),
            (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nhel", b"lo\n"),
            (
                b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nh",
                b"el\r\n3\r\nlo\n\r\n0\r\n\r\n",
            ),
        ]:
            connection.send(first)
            assert server.ctl("reload").returncode == 0
            connection.send(second)
            assert connection.read_response().body == b"hello\n"


def test_a_body_that_comes_after_continue_and_a_reload(server_factory) -> None:
    server = server_factory(worker_num=1)
    with server.connect() as connection:
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.read_response().status == 100
        assert server.ctl("reload").returncode == 0
        connection.send(b"body")
        assert connection.read_response().body == b"body"


def test_sixteen_pipelined_requests_with_a_reload_among_them(server_factory) -> None:
    server = server_factory(worker_num=1)
    sleep = b"GET /sleep?ms=20 HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as connection:
        connection.send((GET + sleep) * 8)
        before = server.workers()
        assert server.ctl("reload").returncode == 0
        assert server.workers() != before
        for _ in range(8):
            assert connection.read_response().body == b"hello\n"
            assert connection.read_response().body == b"slept\n"


def test_a_thousand_idle_connections_after_three_reloads(server_factory, start_witness) -> None:
    server = server_factory(worker_num=2)
    witness = start_witness(url=server.url, connections=1, idle=1000, seconds=60, max_rate=20)
    witness.wait_ready()
    for _ in range(3):
        assert server.ctl("reload").returncode == 0
    witness.use_resting()
    assert_untouched(witness.stop(), connects=1001)


def test_a_second_wish_during_a_reload_runs_once_after_it(server_factory) -> None:
    server = server_factory(worker_num=1)
    with server.connect() as connection:
        connection.send(b"GET /sleep?ms=500 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.slots()[0]["requests"] == 1, 10, "the request in hand")
        server.signal(signal.SIGUSR1)
        server.wait_for_line("reload: generation 2")
        for count in (1, 2, 3):
            server.signal(signal.SIGUSR1)
            server.wait_for_line("SIGUSR1", count=count + 1)
        assert connection.read_response().body == b"slept\n"
    server.wait_for_line("1 workers replaced", count=2)
    assert server.ctl("reload").returncode == 0  # comes after whatever is still waiting
    assert len(server.lines("1 workers replaced")) == 3
    assert server.status()["generation"] == 4


@pytest.mark.parametrize(
    "handler, reason",
    [
        ("no_entry_point", "no entry point OnRequest"),
        ("LacksSymbol_at_start", "undefined symbol"),
        ("Throws_at_start", "no database at 10.0.0.1"),
        ("Aborts_at_start", "killed by SIGABRT before it was ready"),
        ("Hangs_at_start", "not ready within start_timeout, 1 s"),
        (None, "No such file or directory"),
    ],
)
def test_a_broken_handler_changes_nothing(
    server_factory, start_witness, tmp_path: Path, handler, reason: str
) -> None:
    place = deploy(ECHO, tmp_path / "handler.so")
    server = server_factory(worker_num=2, handler=place, start_timeout=1)
    before = server.workers()
    witness = start_witness(url=server.url, connections=8, seconds=60, max_rate=2000)
    witness.wait_ready()
    if handler:
        deploy(f"integration_tests/handlers/{handler}.so", place)
    else:
        place.unlink()

    result = server.ctl("reload")
    assert result.returncode == 1
    assert reason in result.stderr and str(place) in result.stderr
    assert server.lines(f"failed: .*{reason}")
    assert server.workers() == before
    assert server.status()["generation"] == 1
    assert len(server.lines("could not start")) <= 1, "it stops at the first slot"

    deploy(ECHO_V2, place)
    assert server.ctl("reload").returncode == 0
    assert_untouched(witness.stop(), connects=8)


def test_a_file_written_over_in_place_does_not_disturb_what_runs(
    server_factory, witness, tmp_path: Path
) -> None:
    place = overwrite(ECHO, tmp_path / "handler.so")
    server = server_factory(worker_num=2, handler=place)
    place.write_bytes(b"rubbish")
    witness(url=server.url, requests=2000, connections=8).assert_nothing_noticed()
    assert server.ctl("reload").returncode == 1
    overwrite(ECHO_V2, place)
    assert server.ctl("reload").returncode == 0
    with server.connect() as connection:
        assert who(connection)["version"] == "2"


def test_a_worker_that_dies_is_replaced_with_the_code_that_was_accepted(
    server_factory, tmp_path: Path
) -> None:
    place = deploy(ECHO, tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=place)
    deploy(ECHO_V2, place)  # there, but no reload asked for it
    with server.connect() as connection:
        first = who(connection)
        os.kill(first["pid"], signal.SIGKILL)
        second = who(connection)
    assert second["version"] == "1"
    assert second["pid"] != first["pid"]
    assert server.slots()[0]["deaths"] == 1


def test_workers_that_die_one_after_another_are_held_back(server_factory, tmp_path: Path) -> None:
    place = deploy("integration_tests/handlers/misbehaves.so", tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=place)
    connections = [server.connect() for _ in range(3)]
    for connection in connections:
        connection.send(b"GET /abort HTTP/1.1\r\nHost: x\r\n\r\n")
    server.wait_for_line("in 100 ms: workers die one after another")
    for connection in connections:
        response = connection.read_response(20)
        assert response.status == 503 and response.headers["retry-after"] == "0"
        assert connection.get("/", 20).status == 200, "the connection is still there"
        connection.close()


def test_max_request_replaces_a_worker(server_factory, witness) -> None:
    server = server_factory(worker_num=2, max_request=500)
    before = server.workers()
    account = witness(url=server.url, requests=5000, connections=16, expect="hello\n")
    assert_untouched(account, connects=16)
    wait_until(lambda: not set(before) & set(server.workers()), 10, "new workers")
    assert server.lines("max_request")


def test_slots_come_and_go_with_their_connections(server_factory, start_witness) -> None:
    server = server_factory(worker_num=2)
    witness = start_witness(
        url=server.url + "/echo", method="POST", body_size=20_000, expect="echo",
        connections=32, idle=200, split_ms=1, seconds=60,
    )
    witness.wait_ready()

    def resize(number: int, size: int) -> None:
        server.signal(number)
        wait_until(
            lambda: len(server.slots()) == size and server.status()["state"] == "serving",
            20,
            f"{size} slots",
        )

    for number, size in [
        (signal.SIGTTIN, 3),
        (signal.SIGTTOU, 2),
        (signal.SIGTTOU, 1),
        (signal.SIGTTIN, 2),
    ]:
        resize(number, size)
        witness.use_resting()
        for _ in range(20):  # listeners without a slot are served too
            with server.connect() as connection:
                assert connection.get().status == 200
    assert_untouched(witness.stop(), connects=232)
    resize(signal.SIGTTOU, 1)
    server.signal(signal.SIGTTOU)
    server.wait_for_line("the last worker stays")


def test_the_configuration_is_read_again_where_there_is_no_terminal(
    server_factory, tmp_path: Path
) -> None:
    first = deploy(ECHO, tmp_path / "first.so")
    second = deploy(ECHO_V2, tmp_path / "second.so")
    config = tmp_path / "config.toml"
    config.write_text(f'port = 0\nworker_num = 1\nhandler = "{first}"\n')
    server = server_factory(config=config)
    config.write_text("worker_numm = 1\n")
    server.signal(signal.SIGHUP)
    server.wait_for_line("failed: unknown setting 'worker_numm'.*did you mean worker_num")
    with server.connect() as connection:
        assert who(connection)["version"] == "1"
    config.write_text(f'port = 1234\nworker_num = 1\nhandler = "{second}"\n')
    server.signal(signal.SIGHUP)
    server.wait_for_line("needs a restart: port")
    server.wait_for_line("1 workers replaced")
    with server.connect() as connection:
        assert who(connection)["version"] == "2"
