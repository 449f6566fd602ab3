"""The harness keeps its own promises: what it starts ends, and what it waits for is named."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integration_tests.harness import guard
from integration_tests.harness.client import RawConnection, request
from integration_tests.harness.one_answer import serve_once
from integration_tests.harness.processes import ProcessTree, command_line
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until
from integration_tests.harness.witness import flags

# Forks twice, has a session of its own and an empty environment, and writes down its pid: nothing
# leads back from it to who started it but the subreaper. Its parent ends with status 3.
DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1] + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
os.wait()
sys.exit(3)
"""


def daemon(pid_file: Path) -> list[str]:
    return [sys.executable, "-c", DAEMON, str(pid_file)]


def read_pid(pid_file: Path) -> int:
    return int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), 10, str(pid_file)))


def alive(pid: int) -> bool:
    return pid in guard.parents()


def test_a_daemon_is_found_and_killed(tmp_path: Path) -> None:
    with ProcessTree(daemon(tmp_path / "pid")) as tree:
        pid = read_pid(tmp_path / "pid")
        assert tree.wait() == 3
        wait_until(lambda: command_line(pid).startswith("sleep"))
        assert tree.descendants() == [pid]
        assert not tree.gone()
        with pytest.raises(AssertionError, match=f"still there: {pid} .sleep 1000"):
            tree.assert_nothing_left()
        with pytest.raises(TimeoutError, match=f"still there: {pid} .sleep 1000"):
            tree.wait_gone(0.05)
    assert not alive(pid)
    assert tree.gone()
    tree.assert_nothing_left()


def test_a_daemon_that_ends_by_itself_is_gone(tmp_path: Path) -> None:
    with ProcessTree(daemon(tmp_path / "pid")) as tree:
        os.kill(read_pid(tmp_path / "pid"), signal.SIGTERM)
        tree.wait_gone()
        assert tree.descendants() == []
        assert tree.wait() == 3


def test_trees_do_not_mix(tmp_path: Path) -> None:
    with ProcessTree(daemon(tmp_path / "one")) as one, ProcessTree(daemon(tmp_path / "two")) as two:
        first, second = read_pid(tmp_path / "one"), read_pid(tmp_path / "two")
        assert one.wait() == two.wait() == 3
        assert (one.descendants(), two.descendants()) == ([first], [second])
        one.kill_all()
        assert not alive(first) and alive(second)


FAILING_TEST = """
from pathlib import Path

def test_that_fails(process_factory):
    tree = process_factory({argv!r})
    while not Path({pid_file!r}).exists():
        pass
    {end}
"""


def run_inner_test(folder: Path, end: str) -> tuple[subprocess.CompletedProcess, int]:
    """Runs a test that starts a daemon, in a pytest of its own; its result and the daemon's pid."""
    pid_file = folder / "pid"
    test = folder / "inner_test.py"
    test.write_text(FAILING_TEST.format(argv=daemon(pid_file), pid_file=str(pid_file), end=end))
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, str(runfile("integration_tests/harness/pytest_main.py")), str(test)],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done, read_pid(pid_file)


def test_a_failed_test_leaves_nothing(tmp_path: Path) -> None:
    done, pid = run_inner_test(tmp_path, "assert False, 'on purpose'")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done
    assert "on purpose" in done.stdout
    assert not alive(pid)


def test_a_killed_pytest_leaves_nothing(tmp_path: Path) -> None:
    done, pid = run_inner_test(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert done.returncode == -signal.SIGKILL, done
    wait_until(lambda: not alive(pid), 10, "the end of the daemon")


def test_a_process_that_forks_all_the_time_is_killed_too(tmp_path: Path) -> None:
    # Each generation ends as soon as it has a child: moving targets for a look at /proc.
    endless = "import os\nos.fork()\nwhile os.fork() == 0: pass"
    with ProcessTree([sys.executable, "-c", endless, str(tmp_path)]) as tree:
        assert tree.wait() == 0
        assert not tree.gone()
    assert [pid for pid in guard.parents() if str(tmp_path) in command_line(pid)] == []


def test_status_streams_and_signals(tmp_path: Path) -> None:
    with ProcessTree(
        ["sh", "-c", "read x; echo $x $Y; pwd; exit 7"],
        env={"Y": "y", "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as tree:
        tree.stdin.write(b"x\n")
        tree.stdin.flush()
        assert tree.stdout.read().decode().splitlines() == ["x y", str(tmp_path)]
        assert tree.wait() == 7
        tree.wait_gone()
    with ProcessTree(["ls", "/proc/self/fd"], stdout=subprocess.PIPE) as tree:
        assert tree.stdout.read().split() == [b"0", b"1", b"2", b"3"]  # 3 is the folder it reads
    with ProcessTree(["sleep", "1000"]) as tree:
        assert tree.poll() is None
        tree.signal(signal.SIGINT)  # which nothing has left ignored
        assert tree.wait() == -signal.SIGINT
        with pytest.raises(ProcessLookupError):
            tree.signal(signal.SIGINT)


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError, match="cannot run /no/such/program"):
        ProcessTree(["/no/such/program"])


def test_waiting_names_what_it_waited_for() -> None:
    assert wait_until(lambda: "value") == "value"
    with pytest.raises(TimeoutError, match="waited 0 s for two; last seen: \\[\\]"):
        wait_until(lambda: [], 0, "two")


def test_a_missing_runfile_says_what_to_do() -> None:
    assert os.access(runfile("integration_tests/witness/witness"), os.X_OK)
    with pytest.raises(FileNotFoundError, match="add //no/such:program to `data`"):
        runfile("no/such/program")


def test_settings_become_flags() -> None:
    settings = {"worker_num": 2, "daemonize": True, "listen": ["a", "b"], "off": False, "no": None}
    assert flags(settings) == ["--worker_num", "2", "--daemonize", "--listen", "a", "--listen", "b"]


def test_the_raw_client_reads_every_framing() -> None:
    answers = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n1;x\r\nc\r\n0\r\nA: b\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n\r\nto the end"
    )
    with RawConnection(serve_once(answers)) as connection:
        connection.send(request("POST", "/x", b"body"))
        responses = [connection.read_response() for _ in range(4)]
        assert [each.status for each in responses] == [200, 200, 204, 200]
        assert [each.body for each in responses] == [b"ab", b"abc", b"", b"to the end"]
        assert connection.closed()


def test_the_raw_client_tells_closed_from_silent_and_from_cut_off() -> None:
    with RawConnection(serve_once(b"")) as connection:
        assert not connection.closed(0.01)
        connection.send(b"x")
        assert connection.closed()
    cut_off = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    with RawConnection(serve_once(cut_off)) as connection:
        with pytest.raises(ConnectionResetError, match="half"):
            connection.get()
