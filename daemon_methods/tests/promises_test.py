"""What a daemon owes to whoever starts and stops it."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_methods.tests.echo_client import EchoDaemon, port_is_free
from daemon_methods.tests.methods import (
    DAEMONIZING,
    FOREGROUND,
    LOG_FILE,
    METHODS,
    servers,
    start,
)
from daemon_methods.tests.terminal import Terminal
from integration_tests.harness.waiting import wait_until

# The programs that can be asked: the other lines start the foreground one.
ANSWERING = ["foreground", *DAEMONIZING]


@pytest.fixture
def used_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def fails(terminal: Terminal, line: str) -> str:
    """Runs a line that must fail with status 1 and leave nothing behind; returns what it says."""
    said = terminal.run(line)
    assert terminal.status() == 1, said
    wait_until(lambda: not servers(), what="nothing to be left running")
    return said.strip()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--port {used_port} --log_file log.txt", "{port_in_use}"),
        (
            "--port 0 --log_file missing/log.txt",
            "open the log file {folder}/missing/log.txt: No such file or directory",
        ),
        (
            "--port 0 --log_file log.txt --pid_file /proc/pid",
            "open the pid file /proc/pid: No such file or directory",
        ),
    ],
    ids=["port in use", "log not writable", "folder of the pid file not writable"],
)
@pytest.mark.parametrize("name", ANSWERING)
def test_a_failing_start_is_told_to_the_shell(
    name: str, options: str, reason: str, used_port: int, terminal: Terminal, tmp_path: Path
) -> None:
    method = METHODS[name]
    facts = {
        "used_port": used_port,
        "folder": tmp_path,
        "port_in_use": method.port_in_use.format(used_port=used_port),
    }
    said = fails(terminal, f"{method.program} {options.format(**facts)}")
    assert said == f"{method.says}: {reason.format(**facts)}"


def test_workers_that_cannot_start_are_told_to_the_shell(
    terminal: Terminal, tmp_path: Path
) -> None:
    """The real server is not ready when it listens: its workers must have loaded the handler."""
    (tmp_path / "handler.so").write_text("no code")
    line = f"{METHODS['config_flag'].program} --port 0 --worker_num 1 --log_file log.txt"
    said = fails(terminal, f"{line} --handler handler.so")
    assert said.startswith(f"server: cannot start: slot 0: handler {tmp_path}/handler.so: dlopen: ")


@pytest.mark.parametrize("name", ANSWERING)
def test_a_pid_file_that_is_a_symbolic_link_is_refused(
    name: str, terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("")
    (tmp_path / "pid").symlink_to("victim")
    said = fails(terminal, f"{METHODS[name].program} --port 0 --pid_file pid")
    assert "is a symbolic link, which is not followed" in said
    assert (tmp_path / "victim").read_text() == ""


@pytest.mark.parametrize("name", ANSWERING)
def test_a_second_start_is_refused(name: str, terminal: Terminal, tmp_path: Path) -> None:
    first = start(METHODS["double_fork"], terminal, tmp_path).daemon
    said = terminal.run(f"{METHODS[name].program} --port 0 --log_file log.txt --pid_file pid")
    assert terminal.status() == 1
    assert said.strip() == f"{METHODS[name].says}: already running, pid {first.pid} ({tmp_path}/pid)"
    assert first.serves()
    assert [process.pid for process in servers()] == [first.pid]


@pytest.mark.parametrize("name", DAEMONIZING)
def test_a_stale_pid_file_is_taken_over(name: str, terminal: Terminal, tmp_path: Path) -> None:
    """Left by kill -9; and a number that another process has by now, as after a reboot."""
    killed = start(METHODS[name], terminal, tmp_path).daemon
    killed.kill(signal.SIGKILL)
    killed.wait_for_end()
    assert (tmp_path / "pid").read_text() == f"{killed.pid}\n"

    second = start(METHODS[name], terminal, tmp_path).daemon
    assert second.pid != killed.pid
    second.kill(signal.SIGKILL)
    second.wait_for_end()

    (tmp_path / "pid").write_text(f"{terminal.shell}\n")
    assert start(METHODS[name], terminal, tmp_path).daemon.pid != terminal.shell


@pytest.mark.parametrize("name", [name for name in METHODS if name != "foreground"])
def test_the_line_that_it_prints_stops_it_and_frees_the_port(
    name: str, terminal: Terminal, tmp_path: Path
) -> None:
    """Where its output goes, the program says how to stop it: that is typed."""
    daemon = start(METHODS[name], terminal, tmp_path).daemon
    log = tmp_path / LOG_FILE
    said = terminal.seen + (log.read_text() if log.exists() else "")
    lines = re.findall(r"stop it +(?:Ctrl-C, or )?(kill .*?)\r?\n", said)
    assert lines, said
    terminal.run(lines[0])
    daemon.wait_for_end()
    assert port_is_free(daemon.port)
    assert not (tmp_path / "pid").exists()
    assert not servers()


def test_ctrl_c_stops_the_foreground_and_frees_the_port(
    terminal: Terminal, tmp_path: Path
) -> None:
    daemon = start(METHODS["foreground"], terminal, tmp_path).daemon
    terminal.interrupt()
    assert terminal.status() == 0
    assert port_is_free(daemon.port)
    assert not (tmp_path / "pid").exists()


def test_a_stop_answers_what_it_accepted(terminal: Terminal, tmp_path: Path) -> None:
    """A request whose second half comes after the SIGTERM."""
    daemon = start(METHODS["double_fork"], terminal, tmp_path).daemon
    with socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nhal")
        assert daemon.serves()  # so the first half has been read
        daemon.kill()
        wait_until(lambda: port_is_free(daemon.port), what="the port to be closed")
        client.sendall(b"lo!")
        assert client.recv(4096).endswith(b"\r\n\r\nhallo!")
    daemon.wait_for_end()


@pytest.mark.parametrize("script", ["nohup", "background"])
def test_the_scripts_start_it_as_they_say(
    script: str, terminal: Terminal, tmp_path: Path
) -> None:
    here = Path(__file__).parents[1] / "nohup" / f"{script}.sh"
    said = terminal.run(f"{here} {FOREGROUND} --port 0 --pid_file pid")
    daemon = EchoDaemon.named_by(tmp_path / "pid")
    assert f"stop it   kill {daemon.pid}" in said
    assert daemon.serves()
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_for_end()


@pytest.mark.parametrize("script", ["nohup", "background"])
def test_the_scripts_help_starts_nothing(script: str, terminal: Terminal, tmp_path: Path) -> None:
    here = Path(__file__).parents[1] / "nohup" / f"{script}.sh"
    said = terminal.run(f"{here} {FOREGROUND} --help")
    assert "--log_file" in said
    assert terminal.status() == 0
    assert not servers()
    assert not (tmp_path / LOG_FILE).exists()
