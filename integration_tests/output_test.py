"""Promise 7: not one line of output is lost by a reload, a rotation or a stop."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from daemon_methods.tests.terminal import Terminal
from integration_tests.harness.client import RawConnection
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import LISTENING, Server
from integration_tests.harness.waiting import wait_until
from integration_tests.printing import LINE, PRINTED, PRINTS, TIME, Printing, all_lines, printed

def assert_same(found: Counter, expected: Counter) -> None:
    assert sum(expected.values()) > 0
    assert found - expected == Counter(), "twice, or never printed"
    assert expected - found == Counter(), "lost"


def test_every_line_through_rotations_reloads_and_a_stop(server_factory, tmp_path: Path) -> None:
    log = tmp_path / "server.log.d" / "log"
    log.parent.mkdir()
    server = server_factory(worker_num=4, handler=runfile(PRINTS), log_file=log)
    clients = [Printing(server.address) for _ in range(8)]
    for client in clients:
        client.start()

    reloads = rotations = 0
    end = time.monotonic() + 10
    next_reload = time.monotonic()
    while time.monotonic() < end:
        os.rename(log, f"{log}.{rotations}")
        result = server.ctl("reopen")
        assert result.returncode == 0, result
        rotations += 1
        if time.monotonic() >= next_reload:
            next_reload += 0.3
            server.signal(signal.SIGUSR1)
            reloads += 1
        time.sleep(0.2)
    expected = sum((client.finish() for client in clients), Counter())
    assert server.stop() == 0
    print(f"{sum(expected.values())} lines, {rotations} rotations, {reloads} reloads")
    assert_same(printed(all_lines(log)), expected)
    goodbyes = [line for line in all_lines(log) if line.endswith("  goodbye, and no end")]
    assert len(goodbyes) == 4 + 4 * len(re.findall("4 workers replaced", "\n".join(all_lines(log))))


def test_what_copytruncate_loses_is_measured(tmp_path: Path) -> None:
    """How much is up to the machine; the program counts it beside a reopen, which loses none."""
    command = [runfile("integration_tests/rotation"), "--rotations", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["reopen"]["lost"] == 0
    assert all(figures[way]["lines"] > 0 for way in ["reopen", "copytruncate"])


def test_a_signal_reopens_too(server_factory, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = server_factory(worker_num=1, handler=runfile(PRINTS), log_file=log)
    with server.connect() as connection:
        os.rename(log, f"{log}.1")
        server.signal(signal.SIGRTMIN)
        server.wait_for_line("is open in every process")
        connection.get("/print?n=1")
    wait_until(lambda: PRINTED.search(log.read_text()), 10, "the line in the new file")
    assert not PRINTED.search(Path(f"{log}.1").read_text())


def test_a_stop_at_once_keeps_what_was_said(server_factory, tmp_path: Path) -> None:
    """SIGQUIT waits for no request. What a client knows of was printed, and is there."""
    log = tmp_path / "log"
    server = server_factory(worker_num=2, handler=runfile(PRINTS), log_file=log)
    clients = [Printing(server.address, 1000) for _ in range(4)]
    for client in clients:
        client.start()
    wait_until(lambda: all(client.expected for client in clients), 10, "some lines")
    assert server.stop(signal.SIGQUIT) == 0
    for client in clients:
        with pytest.raises(ConnectionError):
            client.finish()
        assert client.expected - printed(all_lines(log)) == Counter(), "lost"


def test_last_words(server_factory) -> None:
    """Printed without a newline, by a worker that crashes in the next instruction."""
    server = server_factory(worker_num=1, handler=runfile(PRINTS))
    (pid,) = server.workers()
    with server.connect() as connection:
        assert connection.post("/last-words", b"x").status == 503
    said = server.wait_for_line("last words, and no end$")
    died = server.wait_for_line(f"worker {pid} was killed by SIGABRT")
    assert LINE.fullmatch(said)[3] == str(pid)
    assert server.log().index(said) < server.log().index(died)


def test_children_of_a_handler(server_factory) -> None:
    """What they say comes with their own pids, on both of their descriptors."""
    server = server_factory(worker_num=1, handler=runfile(PRINTS))
    (pid,) = server.workers()
    with server.connect() as connection:
        assert connection.get("/child").status == 200
    for words in ["from a child", "of the shell"]:
        match = LINE.fullmatch(server.wait_for_line(f"{words}$"))
        assert match[2] == "output 0"
        assert int(match[3]) not in (pid, server.pid)


def test_a_real_logrotate(server_factory, tmp_path: Path) -> None:
    logrotate = shutil.which("logrotate") or "/usr/sbin/logrotate"
    if not Path(logrotate).exists():
        pytest.skip("logrotate is not installed: ./setup installs it")
    folder = tmp_path / "rotated"
    folder.mkdir(mode=0o755)
    log = folder / "log"
    server = server_factory(worker_num=2, handler=runfile(PRINTS), log_file=log)
    ctl = f"{runfile('reload/ctl')} --control_socket {server.control_socket}"
    configuration = tmp_path / "logrotate.conf"
    shipped = Path(runfile("reload/logrotate.conf")).read_text()
    configuration.write_text(
        shipped.replace("/var/log/graceful-server.log", str(log)).replace("graceful-ctl", ctl)
    )
    configuration.chmod(0o644)
    client = Printing(server.address)
    client.start()
    for rotation in range(1, 4):
        wait_until(lambda: log.exists() and log.stat().st_size > 0, 10, "something to rotate")
        command = [logrotate, "--force", "--state", str(tmp_path / "state"), str(configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert len(list(folder.glob("log.*"))) == rotation
    expected = client.finish()
    assert server.stop() == 0
    subprocess.run(["gzip", "--decompress", *map(str, folder.glob("*.gz"))], check=True)
    assert_same(printed(all_lines(log)), expected)


# What can't be written.


def lost(server: Server) -> int:
    return server.status()["log"]["lost_lines"]


def test_a_full_device(server_factory, tmp_path: Path) -> None:
    """The server serves on and counts; when it can write again, it says how many are missing."""
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    server = server_factory(
        worker_num=1, handler=runfile(PRINTS), log_file=log, wait=False, port=0,
    )
    wait_until(lambda: server.ctl("status").returncode == 0, 10, "the control socket")
    wait_until(lambda: server.status()["state"] == "serving", 10, "ready")
    (url,) = server.status()["listening"]
    before = lost(server)
    with RawConnection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as connection:
        assert connection.get("/print?n=50").status == 200
        wait_until(lambda: lost(server) == before + 50, 10, "50 lines more to be counted")
        assert f"{before + 50} lines could not be written" in server.ctl("status").stdout
        log.unlink()
        assert server.ctl("reopen").returncode == 0
        text = "lines before this one could not be written: No space left on device"
        assert re.search(rf"  {before + 51} {text}", log.read_text())  # and "ctl reopen"
        count = lost(server)
        assert connection.get("/print?n=50").status == 200
        wait_until(lambda: len(PRINTED.findall(log.read_text())) == 50, 10, "50 lines")
        assert lost(server) == count
        assert log.read_text().count(text) == 1


def test_a_full_disk_tears_no_line(server_factory, small_disk) -> None:
    """The last write before it was full took half a line: the next one begins on its own."""
    disk = small_disk(kib=64)
    log = disk / "log"
    server = server_factory(worker_num=1, handler=runfile(PRINTS), log_file=log)
    filler = disk / "filler"
    filler.write_bytes(bytes(20 * 1024))
    with server.connect() as connection:
        for _ in range(20):
            assert connection.get("/print?n=100").status == 200
        # Before there is room again: each line is in the file or counted.
        wait_until(
            lambda: len(PRINTED.findall(log.read_text())) + lost(server) >= 2000,
            30,
            "all lines to be seen to",
        )
        filler.unlink()
        assert connection.get("/print?n=10").status == 200
    wait_until(lambda: "lines before this one" in log.read_text(), 10, "the count")
    lines = log.read_text().splitlines()
    torn = [line for line in lines if not LINE.fullmatch(line)]
    assert len(torn) <= 1  # the half that was written, when its end is in the head
    assert not any(LINE.search(line, 1) for line in lines), "another line is glued to the half"
    told = [int(n) for n in re.findall(r"  (\d+) lines before this one", log.read_text())]
    assert sum(told) == lost(server)
    whole = [line for line in lines if LINE.fullmatch(line)]
    assert sum(printed(whole).values()) + len(torn) >= 10


def test_a_folder_that_was_removed(server_factory, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    server = server_factory(worker_num=1, handler=runfile(PRINTS), log_file=folder / "log")
    with server.connect() as connection:
        shutil.rmtree(folder)
        assert connection.get("/print?n=1").status == 200
        result = server.ctl("reopen")
        assert result.returncode == 1
        assert f"open log_file {folder / 'log'}: No such file or directory" in result.stderr
        assert connection.get("/print?n=1").status == 200
        folder.mkdir()
        assert server.ctl("reopen").returncode == 0
        assert connection.get("/print?n=1").status == 200
    wait_until(lambda: PRINTED.search((folder / "log").read_text()), 10, "the line")


def test_a_log_that_became_read_only(server_factory, tmp_path: Path) -> None:
    """A folder stands where the file was: the server serves on with the one that it has open."""
    log = tmp_path / "log"
    server = server_factory(worker_num=1, handler=runfile(PRINTS), log_file=log)
    moved = tmp_path / "moved"
    with server.connect() as connection:
        os.rename(log, moved)
        log.mkdir()
        result = server.ctl("reopen")
        assert result.returncode == 1
        assert "Is a directory; the log goes on in the file as it was" in result.stderr
        assert connection.get("/print?n=1").status == 200
    wait_until(lambda: PRINTED.search(moved.read_text()), 10, "the line in the old file")
    log.rmdir()


# How it looks.


def test_text(server_factory) -> None:
    """Local time with its offset, level, role, pid."""
    server = server_factory(worker_num=1, env={"TZ": "Asia/Kathmandu"})
    for line in server.lines():
        match = LINE.fullmatch(line)
        assert match, line
        assert "+05:45 " in line
        moment = datetime.fromisoformat(line.split(" ")[0])
        assert abs(moment.timestamp() - time.time()) < 60


def test_json(server_factory) -> None:
    """An object a line, whatever bytes a handler prints."""
    server = server_factory(worker_num=1, handler=runfile(PRINTS), log_format="json")
    with server.connect() as connection:
        assert connection.get("/bytes").status == 200
    server.wait_for_line("output 0")
    for line in server.lines():
        entry = json.loads(line)
        assert list(entry) == ["time", "level", "role", "pid", "text"]
        assert re.fullmatch(TIME, entry["time"])
    assert entry["text"].endswith('"\\')


def test_levels(server_factory, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = server_factory(
        worker_num=1, handler=runfile(PRINTS), log_file=log, log_level="warning", wait=False, port=0
    )
    wait_until(lambda: server.ctl("status").returncode == 0, 10, "the control socket")
    wait_until(lambda: server.status()["state"] == "serving", 10, "ready")
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_line("was killed by SIGKILL")
    assert {LINE.fullmatch(line)[1] for line in server.lines()} == {"warning"}


# Terminals that die.


@pytest.mark.parametrize("method", ["nohup", "double_fork"])
@pytest.mark.parametrize("ending", ["hang_up", "kill_shell", "exit_shell"])
def test_lines_outlive_the_terminal(
    tmp_path: Path, socket_folder: Path, method: str, ending: str
) -> None:
    """Each line that was printed before the terminal died is there after, and the next ones."""
    control = socket_folder / "control"
    server = f"{runfile('reload/server')} --port 0 --worker_num 2 --handler {runfile(PRINTS)}"
    server += f" --control_socket {control}"
    log = tmp_path / {"nohup": "nohup.out", "double_fork": "log"}[method]
    with Terminal(tmp_path) as terminal:
        if method == "nohup":
            terminal.run(f"nohup {server} &")
        else:
            terminal.run(f"{server} --daemonize --log_file {log}")
        try:
            wait_until(lambda: log.exists() and " ready" in log.read_text(), 20, "ready")
            match = LISTENING.search(log.read_text())
            clients = [Printing((match["host"], int(match["port"])), 5) for _ in range(2)]
            for client in clients:
                client.start()
            wait_until(lambda: all(client.expected for client in clients), 10, "some lines")
            getattr(terminal, ending)()
            seen = [len(client.expected) for client in clients]
            wait_until(
                lambda: all(len(c.expected) > n for c, n in zip(clients, seen)), 10, "more lines"
            )
            expected = sum((client.finish() for client in clients), Counter())
        finally:
            stopped = subprocess.run(
                [runfile("reload/ctl"), "--control_socket", str(control), "stop"],
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert stopped.returncode == 0, stopped.stderr
    lines = [line for line in all_lines(log) if not line.startswith("nohup: ")]
    assert_same(printed(lines), expected)
