"""As the first process of a container: it can be stopped, and leaves no zombies.

A container is here what matters of one: a PID namespace, whose process 1 has no default actions of
signals, and gets every orphan (pid_namespaces(7)).
"""

import os
import signal
import subprocess

import pytest

from integration_tests.harness import guard
from integration_tests.harness.waiting import wait_until

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can make a PID namespace")


def first_process(server) -> int:
    """Its pid outside: the only child of unshare(1)."""
    (pid,) = [pid for pid, parent in guard.parents().items() if parent == server.pid]
    return pid


def test_sigterm_finishes_what_was_begun(server_factory, tmp_path) -> None:
    ledger = tmp_path / "ledger"
    server = server_factory(prefix=CONTAINER, ledger_file=ledger)
    assert server.lines("ready: .* pid 1$")
    with server.connect() as connection:
        connection.send(b"POST /ledger?ms=300 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nid")
        wait_until(ledger.read_text, 10, "the beginning of the request's work")
        os.kill(first_process(server), signal.SIGTERM)
        assert connection.read_response().body == b"done id"
    assert server.wait() == 0
    server.tree.assert_nothing_left()
    assert ledger.read_text() == "begin id\nend id\n"


def test_orphans_are_reaped(server_factory) -> None:
    server = server_factory(prefix=CONTAINER)
    master = first_process(server)
    children = set(guard.descendants(master))
    # A shell that ends before its child, which then is process 1's, lives until its standard input
    # ends, and is a zombie unless process 1 waits for it.
    shell = ["nsenter", "--target", str(master), "--pid", "sh", "-c", "exec 3<&0; cat <&3 & echo $!"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(shell, start_new_session=True, **pipes) as outside:
        (orphan,) = wait_until(
            lambda: set(guard.descendants(master)) - children, 10, "an orphan of process 1's"
        )
        outside.stdin.close()
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}"), 10, "the orphan to be reaped")
    assert server.ctl("status").returncode == 0
