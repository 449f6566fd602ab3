"""A start that can't be: one clear line, the right exit status, nothing left running."""

import socket
from pathlib import Path

import pytest


def refused(server_factory, **settings):
    server = server_factory(wait=False, **settings)
    status = server.wait()
    server.tree.assert_nothing_left()
    return status, server.log()


@pytest.mark.parametrize(
    "settings, status, words",
    [
        ({"worker_nun": 3}, 2, "unknown argument '--worker_nun', did you mean worker_num?"),
        ({"worker_num": "many"}, 2, "worker_num"),
        ({"worker_num": 0}, 2, "worker_num"),
        ({"port": 70000}, 2, "port"),
        ({"config": "/no/such/file.toml"}, 2, "/no/such/file.toml"),
        ({"handler": "/no/such/handler.so"}, 1, "/no/such/handler.so: No such file"),
        ({"handler": "/etc/hostname"}, 1, "handler /etc/hostname: dlopen"),
        ({"handler": "/etc"}, 1, "/etc"),
        ({"listen": "256.0.0.1"}, 1, "cannot listen on 256.0.0.1"),
        ({"listen": "127.0.0.1:x"}, 1, "'x' is no port"),
        ({"listen": "unix:/no/such/folder/s"}, 1, "/no/such/folder/s"),
        ({"log_file": "/no/such/folder/log"}, 1, "log_file /no/such/folder/log"),
        ({"pid_file": "/no/such/folder/pid"}, 1, "/no/such/folder/pid"),
        ({"control_socket": "/no/such/folder/c"}, 1, "/no/such/folder/c"),
        ({"user": "nobody-of-that-name"}, 1, "nobody-of-that-name"),
    ],
)
def test_one_clear_line(server_factory, settings, status: int, words: str) -> None:
    found, log = refused(server_factory, **settings)
    assert found == status, log
    assert [line for line in log.splitlines() if words in line], log


def test_a_key_that_is_no_setting(server_factory, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("worker_num = 2\nmax_requests = 5\n")
    status, log = refused(server_factory, config=config, port=0)
    assert status == 2
    assert "unknown setting 'max_requests'" in log and "did you mean max_request?" in log


def test_a_port_in_use(server_factory) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, log = refused(server_factory, port=port)
    assert status == 1
    assert f"127.0.0.1 port {port}" in log and "--port" in log


def test_the_port_of_another_server_of_ours(server_factory) -> None:
    """SO_REUSEPORT would let both have it, and each lose what the other gets."""
    first = server_factory(worker_num=2)
    status, log = refused(server_factory, port=first.port)
    assert status == 1
    assert "already in use" in log
    with first.connect() as connection:
        assert connection.get().status == 200


def test_never_two_on_one_pid_file(server_factory, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    first = server_factory(worker_num=1, pid_file=pid_file)
    assert pid_file.read_text() == f"{first.pid}\n"
    status, log = refused(server_factory, pid_file=pid_file)
    assert status == 1
    assert f"already running, pid {first.pid}" in log
    assert first.stop() == 0
    assert not pid_file.exists()


def test_the_control_socket_is_the_users_own(server_factory) -> None:
    server = server_factory(worker_num=1)
    assert Path(server.control_socket).stat().st_mode & 0o777 == 0o600
