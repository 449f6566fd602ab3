"""The small server that every method starts."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.methods import FOREGROUND, METHODS, start
from daemon_methods.tests.terminal import Terminal


@pytest.fixture
def server(terminal: Terminal, tmp_path: Path) -> EchoDaemon:
    """A server that runs."""
    return start(METHODS["double_fork"], terminal, tmp_path).daemon


def curl(server: EchoDaemon, *arguments: str) -> str:
    """What a real client prints."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_hello_echo_and_anything_else(server: EchoDaemon) -> None:
    url = f"http://127.0.0.1:{server.port}"
    assert curl(server, f"{url}/") == "hello\n"
    assert curl(server, "--data", "said", f"{url}/echo") == "said"
    code = ("--output", "/dev/null", "--write-out", "%{http_code}")
    assert curl(server, *code, f"{url}/other") == "404"


def test_a_connection_is_kept_and_its_requests_may_come_together(server: EchoDaemon) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        answers = b"".join(iter(lambda: client.recv(4096), b""))
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert b"\r\n\r\nhiHTTP/1.1" in answers


def test_a_body_larger_than_the_buffers_comes_back_whole(
    server: EchoDaemon, tmp_path: Path
) -> None:
    text = "0123456789" * 100_000
    (tmp_path / "large").write_text(text)
    url = f"http://127.0.0.1:{server.port}/echo"
    assert curl(server, "--data-binary", f"@{tmp_path}/large", url) == text


def test_nonsense_is_answered_400_and_the_connection_closed(server: EchoDaemon) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"nonsense\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(4096), b""))
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert server.serves()


@pytest.mark.parametrize(
    ("argument", "status"), [("--help", 0), ("--version", 0), ("--port=x", 2), ("--nothing", 2)]
)
def test_usage(argument: str, status: int) -> None:
    done = subprocess.run([FOREGROUND, argument], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout if status == 0 else done.stderr
