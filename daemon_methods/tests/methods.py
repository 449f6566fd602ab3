"""The ways to start the echo server from a shell, and what can happen to it then."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.terminal import BASH, Terminal

# Under Bazel this is the root of the runfiles, where the programs are.
ROOT = Path(__file__).parents[2]


def program(label: str) -> str:
    """The path of a program of this folder: "double_fork/double_fork"."""
    path = ROOT / "daemon_methods" / label
    if not path.exists():
        path = ROOT / "bazel-bin" / "daemon_methods" / label
    return str(path.resolve())


FOREGROUND = program("nohup/foreground")
DAEMON_CALL = program("daemon_call/daemon_call")
DOUBLE_FORK = program("double_fork/double_fork")
SYSTEMD_UNIT = program("systemd_unit/systemd_unit")

OPTIONS = "--port 0 --pid_file pid"


@dataclass(frozen=True)
class Method:
    """A line for the shell that starts a server."""

    name: str
    line: str
    logs: bool  # to log.txt; if not, to the terminal
    keeps_terminal_busy: bool = False  # no prompt while it runs
    shell: Sequence[str] = BASH
    before: str = "true"


METHODS = {
    method.name: method
    for method in (
        Method("foreground", f"{FOREGROUND} {OPTIONS}", logs=False, keeps_terminal_busy=True),
        Method("background", f"{FOREGROUND} {OPTIONS} &", logs=False),
        Method("disown", f"{FOREGROUND} {OPTIONS} & disown", logs=False),
        Method("setsid", f"setsid {FOREGROUND} {OPTIONS} &", logs=False),
        Method("nohup", f"nohup {FOREGROUND} {OPTIONS} > log.txt 2>&1 &", logs=True),
        Method("daemon_call", f"{DAEMON_CALL} {OPTIONS} --log_file log.txt", logs=True),
        Method("double_fork", f"{DOUBLE_FORK} {OPTIONS} --log_file log.txt", logs=True),
    )
}


@dataclass
class Running:
    """A server, with the terminal from which it was started."""

    method: Method
    terminal: Terminal
    folder: Path
    daemon: EchoDaemon

    def printed_last_line(self) -> bool:
        """Whether the line for the last request arrived where this method's output goes."""
        if self.method.logs:
            return self.daemon.last_line() in (self.folder / "log.txt").read_text()
        return self.terminal.shows(self.daemon.last_line())


def start(method: Method, terminal: Terminal, folder: Path) -> Running:
    """Types the method's line, and waits until the server listens."""
    terminal.run(method.before)
    if method.keeps_terminal_busy:
        terminal.send(method.line)
    else:
        terminal.run(method.line)
    running = Running(method, terminal, folder, EchoDaemon.named_by(folder / "pid"))
    assert running.daemon.serves()
    assert running.printed_last_line()
    return running


def _interrupt(running: Running) -> None:
    running.terminal.interrupt()


def _exit(running: Running) -> None:
    running.terminal.exit_shell()


def _exit_and_close(running: Running) -> None:
    # What a terminal window does when its shell has ended.
    running.terminal.exit_shell()
    running.terminal.hang_up()


def _hang_up(running: Running) -> None:
    running.terminal.hang_up()


def _kill_shell(running: Running) -> None:
    running.terminal.kill_shell()


def _send_hangup(running: Running) -> None:
    running.daemon.kill(signal.SIGHUP)


EVENTS: dict[str, Callable[[Running], None]] = {
    "Ctrl-C": _interrupt,
    "exit": _exit,
    "exit, window closes": _exit_and_close,
    "hangup": _hang_up,
    "kill -9 shell": _kill_shell,
    "kill -HUP": _send_hangup,
}


@dataclass(frozen=True)
class Outcome:
    """What an event left of a server."""

    lives: bool
    output_survives: bool


def outcome_of(event: str, running: Running) -> Outcome:
    """Lets it happen, and looks. Each event has delivered its signals when it returns, so a server
    that answers a request after it has survived it."""
    EVENTS[event](running)
    lives = running.daemon.serves()
    if not lives:
        running.daemon.wait_for_end()
    return Outcome(lives, lives and running.printed_last_line())
