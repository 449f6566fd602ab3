"""What the server makes of requests, well-formed and not, through real sockets."""

import json
from pathlib import Path

import pytest

from integration_tests.deploy import deploy

HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def server(server_factory):
    return server_factory(
        worker_num=1, header_timeout=0.5, body_timeout=0.5, max_body=100_000, max_header=2000
    )


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nrubbish\r\n", 400),
        (HEAD + b"A: " + b"a" * 3000 + b"\r\n\r\n", 431),
        (HEAD + b"Content-Length: 100001\r\n\r\n", 413),
        (HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 150_000, 413),
        (b"GET / HT", 408),
        (HEAD + b"Content-Length: 5\r\n\r\nabc", 408),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else repr(value[-30:]),
)
def test_what_is_no_request_is_answered_and_closed(server, request_bytes, status) -> None:
    with server.connect() as connection:
        connection.send(request_bytes)
        response = connection.read_response()
        assert response.status == status
        assert response.headers["connection"] == "close"
        assert connection.closed()
    with server.connect() as connection:
        assert connection.get().status == 200


def test_bodies_come_back_as_they_were_sent(server, witness) -> None:
    for size in (1, 4000, 4096, 100_000):
        account = witness(
            url=server.url + "/echo", method="POST", body_size=size, expect="echo",
            requests=200, connections=8,
        )
        account.assert_nothing_noticed()
    account = witness(
        url=server.url + "/echo", method="POST", body_size=700, expect="echo",
        requests=4000, connections=8, pipeline=16,
    )
    account.assert_nothing_noticed()


def test_chunks_head_continue_and_old_clients(server) -> None:
    with server.connect() as connection:
        connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n0\r\n\r\n")
        assert connection.read_response().body == b"Wiki"
        connection.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        response = connection.read_response(head=True)
        assert response.headers["content-length"] == "6"
        connection.send(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert connection.read_response().status == 100
        connection.send(b"ok")
        assert connection.read_response().body == b"ok"
        connection.send(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_response().status == 200
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.read_response().headers["connection"] == "close"
        assert connection.closed()
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.read_response().body == b"hello\n"
        assert connection.closed()


def test_the_echo_handler(server, server_factory, tmp_path: Path) -> None:
    with server.connect() as connection:
        me = json.loads(connection.get("/whoami").body)
        slot = server.slots()[0]
        assert me == {"pid": slot["worker"], "slot": 0, "generation": 1, "version": "1"}
        assert connection.get("/sleep?ms=1").body == b"slept\n"
        assert connection.get("/sleep?ms=x").status == 400
        assert connection.get("/nowhere").status == 404
        assert connection.post("/ledger", b"id").status == 404, "no ledger_file is set"
    ledger = tmp_path / "ledger"
    other = server_factory(worker_num=1, ledger_file=ledger)
    with other.connect() as connection:
        assert connection.post("/ledger", b"id-7").body == b"done id-7"
    assert ledger.read_text() == "begin id-7\nend id-7\n"


def test_a_handler_that_fails_costs_its_request_only(server_factory, tmp_path: Path) -> None:
    handler = deploy("integration_tests/handlers/misbehaves.so", tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=handler, buffer_size=1_000_000)
    with server.connect() as connection:
        for target in ("/throw", "/throw-int", "/split"):
            assert connection.get(target).status == 500
        assert connection.get("/large?n=500000").body == b"x" * 500_000
        assert connection.get("/large?n=2000000").status == 503
    with server.connect() as connection:
        assert connection.get().status == 200
    assert server.lines("the handler failed at 'GET /throw HTTP/1.1': as asked")


def test_a_client_that_reads_slowly_gets_all_of_it(server_factory, tmp_path: Path) -> None:
    handler = deploy("integration_tests/handlers/misbehaves.so", tmp_path / "handler.so")
    server = server_factory(worker_num=1, handler=handler)
    with server.connect() as slow, server.connect() as quick:
        slow.send(b"GET /large?n=20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert quick.get().status == 200, "it keeps nobody waiting"
        assert server.ctl("reload").returncode == 0
        assert slow.read_response(30).body == b"x" * 20_000_000
