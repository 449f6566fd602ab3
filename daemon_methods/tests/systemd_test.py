"""The units, installed as a user would, under a real systemd."""

from __future__ import annotations

import resource
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_methods.tests import systemd
from daemon_methods.tests.echo_client import EchoDaemon, is_running
from daemon_methods.tests.echo_units import PORT, boot
from daemon_methods.tests.proc_state import ProcState
from daemon_methods.tests.systemd import UNITS, Systemd
from integration_tests.harness.waiting import wait_until

REASON = f"bind 127.0.0.1 port {PORT}: Address already in use"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Systemd]:
    """A systemd that has the units of this folder, and this thread in its network."""
    if reason := systemd.missing():
        pytest.skip(reason)
    with boot(tmp_path) as booted, booted.network():
        yield booted


def override(manager: Systemd, unit: str, text: str) -> None:
    """Adds settings to a unit, as `systemctl edit` does."""
    folder = manager.folder / "units" / f"{unit}.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "override.conf").write_text(f"[Service]\n{text}")
    manager.do("daemon-reload")


def started(manager: Systemd, unit: str = "echo") -> EchoDaemon:
    """Starts a unit: it serves when `systemctl start` returns."""
    manager.do("start", unit)
    daemon = current(manager, unit)
    assert daemon.serves()
    return daemon


def current(manager: Systemd, unit: str = "echo") -> EchoDaemon:
    """The server that is the unit's main process by now."""
    return EchoDaemon(manager.main_pid(unit), PORT)


def wait_for_state(manager: Systemd, unit: str, state: str) -> None:
    """Waits until systemd says so of the unit."""
    wait_until(lambda: manager.show(unit, "ActiveState") == state, what=f"{unit} to be {state}")


def wait_for_successor(manager: Systemd, ended: EchoDaemon) -> EchoDaemon:
    """Waits until systemd has started another main process, and it serves."""
    ended.wait_for_end()
    wait_until(
        lambda: manager.main_pid("echo") not in (0, ended.pid)
        and manager.show("echo", "ActiveState") == "active",
        what="systemd to start it again",
    )
    successor = current(manager)
    assert successor.serves()
    return successor


def test_the_units_are_free_of_mistakes(manager: Systemd) -> None:
    verdict = manager.run(
        "systemd-analyze", "verify", "echo.service", "echo.socket", "echo-simple.service"
    )
    assert (verdict.returncode, verdict.stdout) == (0, "")


def test_the_hardening_is_worth_its_name(manager: Systemd) -> None:
    """Exposure from 0 (locked away) to 100 (may do anything); a bare unit has 96."""
    judge = ("systemd-analyze", "security", "--no-pager", "--offline=yes")
    hardened = manager.run(*judge, "--threshold=20", UNITS + "/echo.service")
    assert hardened.returncode == 0, hardened.stdout
    bare = manager.run(*judge, "--threshold=20", UNITS + "/echo-simple.service")
    assert bare.returncode != 0


@pytest.mark.parametrize(
    ("unit", "state"), [("echo", "activating"), ("echo-simple", "active")]
)
def test_notify_waits_for_ready_and_simple_does_not(
    manager: Systemd, unit: str, state: str
) -> None:
    """A start-up that hangs, here before the program's first line."""
    override(
        manager,
        unit,
        "ExecStart=\n"
        "ExecStart=/bin/sh -c 'kill -STOP $$$$; exec /usr/local/bin/graceful-echo --port 8080'\n",
    )
    manager.do("start", "--no-block", unit)
    stopped = wait_until(lambda: stopped_main(manager, unit), what="the start to hang")
    assert manager.show(unit, "ActiveState") == state
    assert not stopped.serves()
    stopped.kill(signal.SIGCONT)
    wait_until(stopped.serves, what="the start to end")
    wait_for_state(manager, unit, "active")


def stopped_main(manager: Systemd, unit: str) -> EchoDaemon | None:
    """The unit's main process, once it is stopped."""
    daemon = current(manager, unit)
    if daemon.pid and "T (stopped)" in Path(f"/proc/{daemon.pid}/status").read_text():
        return daemon
    return None


def test_a_failing_start_is_seen_with_notify(manager: Systemd) -> None:
    """And after five attempts systemd leaves it at that."""
    with socket.create_server(("127.0.0.1", PORT)):
        assert manager.systemctl("start", "echo").returncode != 0
        wait_for_state(manager, "echo", "failed")
    assert manager.main_pid("echo") == 0
    assert REASON in manager.journal("echo")


def test_a_failing_start_is_not_seen_with_simple(manager: Systemd) -> None:
    """The counter-example: success, for a server that never served."""
    with socket.create_server(("127.0.0.1", PORT)):
        assert manager.systemctl("start", "echo-simple").returncode == 0
        wait_until(lambda: REASON in manager.journal("echo-simple"), what="the reason")


def test_its_surroundings(manager: Systemd) -> None:
    """The limit is in force, and so is the rest: read from /proc, not from the unit."""
    daemon = started(manager)
    state = ProcState.of(daemon.pid)
    assert state.session == state.group == daemon.pid
    assert state.terminal == 0
    assert state.folder == "/"
    assert state.umask == 0o027
    assert state.descriptors[0] == "/dev/null"
    assert state.descriptors[1] == state.descriptors[2]
    assert state.descriptors[1].startswith("socket:")

    proc = Path(f"/proc/{daemon.pid}")
    limits = (proc / "limits").read_text().splitlines()
    files = next(line for line in limits if line.startswith("Max open files"))
    assert files.split()[3:5] == [str(grantable(65535))] * 2
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["CapBnd"] == "0" * 16
    dynamic_users = range(61184, 65520)
    assert int(status["Uid"].split()[0]) in dynamic_users


def grantable(files: int) -> int:
    """What LimitNOFILE can be here: a container may have taken CAP_SYS_RESOURCE from root."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    except (ValueError, PermissionError):
        return min(files, limits[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    return files


def test_a_limit_is_in_force(manager: Systemd) -> None:
    """One that every machine can grant, on the simple unit: nothing else limits that."""
    override(manager, "echo-simple", "LimitNOFILE=4321\n")
    manager.do("start", "echo-simple")
    limits = Path(f"/proc/{manager.main_pid('echo-simple')}/limits").read_text()
    assert "4321                 4321                 files" in limits


def test_output_is_in_the_journal(manager: Systemd) -> None:
    daemon = started(manager)
    for _ in range(3):
        assert daemon.serves()
    journal = manager.journal("echo")
    assert [line for line in journal.splitlines() if line.startswith("line ")] == [
        f"line {number}: GET / -> 200" for number in range(1, 5)
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_it_is_started_again_whatever_ended_it(
    manager: Systemd, number: signal.Signals
) -> None:
    """SIGTERM too, after which it exits 0: only `systemctl stop` ends it for good."""
    daemon = started(manager)
    daemon.kill(number)
    wait_for_successor(manager, daemon)
    assert manager.show("echo", "NRestarts") == "1"


def test_the_watchdog_ends_what_hangs(manager: Systemd) -> None:
    override(manager, "echo", "WatchdogSec=1\n")
    daemon = started(manager)
    daemon.kill(signal.SIGSTOP)
    wait_for_successor(manager, daemon)
    assert "Watchdog timeout" in manager.journal("echo")


def test_the_watchdog_leaves_what_lives(manager: Systemd) -> None:
    """The server reports in time, also when it has nothing else to do."""
    override(manager, "echo", "WatchdogSec=200ms\n")
    daemon = started(manager)

    def stamp() -> int:
        return int(manager.show("echo", "WatchdogTimestampMonotonic"))

    first = stamp()
    wait_until(lambda: stamp() > first + 1_000_000, what="five periods of the watchdog")
    assert manager.main_pid("echo") == daemon.pid


def test_reload_signals_the_main_process(manager: Systemd) -> None:
    daemon = started(manager)
    manager.do("reload", "echo")
    wait_until(lambda: "reload 1" in manager.journal("echo"), what="the reload")
    wait_for_state(manager, "echo", "active")
    assert manager.main_pid("echo") == daemon.pid
    assert daemon.serves()


def test_stop_is_clean(manager: Systemd) -> None:
    """What was accepted is answered, the exit status is 0, nothing is started again."""
    daemon = started(manager)
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nhal")
        assert daemon.serves()  # so the first half has been read
        manager.do("stop", "--no-block", "echo")
        wait_until(lambda: manager.show("echo", "SubState") == "stop-sigterm", what="the stop")
        client.sendall(b"lo!")
        assert client.recv(4096).endswith(b"\r\n\r\nhallo!")
    wait_for_state(manager, "echo", "inactive")
    assert manager.show("echo", "Result") == "success"
    assert manager.show("echo", "ExecMainStatus") == "0"
    assert not is_running(daemon.pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", PORT))


def test_a_connection_waits_in_the_socket_while_the_service_is_down(manager: Systemd) -> None:
    manager.do("start", "echo.socket")
    assert manager.main_pid("echo") == 0
    assert EchoDaemon(0, PORT).serves(), "the first connection starts it"
    manager.do("stop", "echo")
    assert manager.main_pid("echo") == 0
    assert EchoDaemon(0, PORT).serves()


def test_restarts_behind_a_socket_lose_no_connection(manager: Systemd) -> None:
    """Clients that connect afresh for each request, through five restarts."""
    manager.do("start", "echo.socket", "echo.service")
    override(manager, "echo", "RestartSec=0\n")
    stop = threading.Event()
    answered, failed = [], []

    def ask() -> None:
        with manager.network():
            client = EchoDaemon(0, PORT)
            while not stop.is_set():
                (answered if client.serves() else failed).append(client.requests)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(5):
            before = len(answered)
            manager.do("restart", "echo")
            wait_until(lambda: len(answered) > before + 20, what="answers after the restart")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not failed, f"{len(failed)} of {len(failed) + len(answered)} requests were lost"
