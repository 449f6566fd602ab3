"""What a server is in the end: its session, terminal, folder, descriptors, signals, from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.methods import DAEMON_CALL, METHODS, Method, Running, start
from daemon_methods.tests.proc_state import ProcState
from daemon_methods.tests.terminal import Terminal
from integration_tests.harness.waiting import wait_until


def state_of(running: Running) -> ProcState:
    return ProcState.of(running.daemon.pid)


def plain_descriptors(state: ProcState) -> dict[int, str]:
    """Without those that the server itself opens: its pid file, sockets, epoll, handler's code."""
    own = re.compile(r"socket:|anon_inode:|/memfd:|.*/pid$")
    return {fd: path for fd, path in state.descriptors.items() if not own.match(path)}


@pytest.fixture
def terminal(tmp_path: Path):
    """A shell that has a descriptor of its own open, for whoever inherits it."""
    with Terminal(tmp_path) as opened:
        opened.run("umask 022; exec 7< /dev/zero")
        yield opened


def start_named(name: str, terminal: Terminal, folder: Path) -> Running:
    return start(METHODS[name], terminal, folder)


def test_foreground_is_the_shells_child_in_all(terminal: Terminal, tmp_path: Path) -> None:
    """The counter-example: everything is the shell's but the process group."""
    state = state_of(start_named("foreground", terminal, tmp_path))
    shell = ProcState.of(terminal.shell)
    assert (state.parent, state.session) == (shell.pid, shell.pid)
    assert state.group == state.pid
    assert state.terminal == shell.terminal != 0
    assert state.folder == str(tmp_path)
    assert state.umask == 0o022
    assert plain_descriptors(state) == dict.fromkeys(range(3), shell.descriptors[0]) | {
        7: "/dev/zero"
    }
    assert not state.ignored & {"SIGHUP", "SIGINT", "SIGQUIT"}


def test_nohup_only_ignores_hangups_and_moves_output(terminal: Terminal, tmp_path: Path) -> None:
    """It stays in the session, on the terminal, in the folder, with what it inherited."""
    state = state_of(start_named("nohup", terminal, tmp_path))
    shell = ProcState.of(terminal.shell)
    log = str(tmp_path / "log.txt")
    assert (state.parent, state.session, state.terminal) == (shell.pid, shell.pid, shell.terminal)
    assert state.folder == str(tmp_path)
    # nohup(1) takes the terminal away as standard input: it can't be read from any more.
    assert plain_descriptors(state) == {0: "/dev/null", 1: log, 2: log, 7: "/dev/zero"}
    assert "SIGHUP" in state.ignored
    assert not state.ignored & {"SIGINT", "SIGQUIT", "SIGTERM"}


def test_setsid_leads_a_session_without_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    """And still has the old terminal's descriptors."""
    state = state_of(start_named("setsid", terminal, tmp_path))
    assert state.session == state.group == state.pid
    assert state.terminal == 0
    assert state.descriptors[1].startswith("/dev/pts/")


def test_daemon_call_leads_its_session(terminal: Terminal, tmp_path: Path) -> None:
    """daemon(3) forks once, so it can get a terminal again; it inherits umask and descriptors."""
    state = state_of(start_named("daemon_call", terminal, tmp_path))
    log = str(tmp_path / "log.txt")
    assert state.session == state.group == state.pid
    assert state.terminal == 0
    assert state.parent == os.getpid(), "the nearest subreaper, here this test"
    assert state.folder == "/"
    assert state.umask == 0o022
    assert plain_descriptors(state) == {0: "/dev/null", 1: log, 2: log, 7: "/dev/zero"} | {
        fd: log for fd in state.descriptors if state.descriptors[fd] == log
    }
    assert "SIGHUP" not in state.ignored


@pytest.mark.parametrize("name", ["double_fork", "config_flag"])
def test_double_fork_keeps_nothing(name: str, terminal: Terminal, tmp_path: Path) -> None:
    """Neither leads its session, nor has anything of the shell."""
    state = state_of(start_named(name, terminal, tmp_path))
    log = str(tmp_path / "log.txt")
    assert state.session == state.group != state.pid
    assert state.session != terminal.shell
    assert not Path(f"/proc/{state.session}").exists(), "the leader has exited"
    assert state.terminal == 0
    assert state.parent == os.getpid(), "the nearest subreaper, here this test"
    assert state.folder == "/"
    assert state.umask == 0o027
    assert plain_descriptors(state) == {0: "/dev/null", 1: log, 2: log}
    assert not state.ignored & {"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGCHLD"}


def test_a_shell_without_jobs_leaves_ctrl_c_ignored(terminal: Terminal, tmp_path: Path) -> None:
    """`&` in a script: SIGINT and SIGQUIT are ignored, and standard input is /dev/null."""
    (tmp_path / "script.sh").write_text(METHODS["background"].line() + "\n")
    method = Method("script", "sh script.sh #")
    state = state_of(start(method, terminal, tmp_path))
    assert {"SIGINT", "SIGQUIT"} <= state.ignored
    assert state.descriptors[0] == "/dev/null"


def test_without_a_redirection_the_daemon_stays_on_the_terminal(
    terminal: Terminal, tmp_path: Path
) -> None:
    """What the recipes lose that leave 0-1-2 alone: it prints over the prompt, and whoever waits
    for the end of its output (here a command substitution, elsewhere ssh) waits for its death."""
    method = Method("noclose", DAEMON_CALL, suffix=" --noclose")
    running = start(method, terminal, tmp_path)
    assert state_of(running).descriptors[1].startswith("/dev/pts/")
    running.daemon.kill()
    running.daemon.wait_for_end()

    terminal.send(f'text=$({method.line()}); echo "the substitution is over"')
    daemon = EchoDaemon.named_by(tmp_path / "pid")
    # The process that the shell started has exited long ago, by its parent's account.
    wait_until(
        lambda: ProcState.of(daemon.pid).parent == os.getpid(), what="the end of the starter"
    )
    assert daemon.serves()
    assert not terminal.shows("the substitution is over", timeout=0.2)
    daemon.kill()
    assert terminal.shows("the substitution is over")
