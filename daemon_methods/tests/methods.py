"""The ways to start the echo server from a shell, and what can happen to it then."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.terminal import Terminal
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until


def program(label: str) -> str:
    """The path of a program of this folder: "double_fork/double_fork"."""
    return str(runfile(f"daemon_methods/{label}").resolve())


FOREGROUND = program("nohup/foreground")
DAEMON_CALL = program("daemon_call/daemon_call")
DOUBLE_FORK = program("double_fork/double_fork")
# The server of //reload, whose own `daemonize` setting is the method. The arrow from here to there
# is the tests' alone.
SERVER = str(runfile("reload/server").resolve())
SYSTEMD_UNIT = program("systemd_unit/systemd_unit")

# What a shell line leaves in the folder where it was typed.
PID_FILE = "pid"
LOG_FILE = "log.txt"


@dataclass(frozen=True)
class Method:
    """A line for the shell that starts a server, and where to find what it started."""

    name: str
    program: str
    prefix: str = ""
    suffix: str = ""
    logs: bool = False  # to LOG_FILE; if not, to the terminal
    keeps_prompt: bool = True  # the shell takes commands while it runs
    daemonizes: bool = False  # the program does, so it can answer for the start
    fixed_port: int = 0  # 0: the one that line() is given
    before: str = "true"
    port_in_use: str = "bind 127.0.0.1 port {used_port}: Address already in use"

    @property
    def says(self) -> str:
        """The name by which its program speaks of itself."""
        return Path(self.program.split()[0]).name

    def line(self, port: int = 0, pid_file: bool = True) -> str:
        """The line to type. Port 0: the kernel chooses."""
        named = f" --pid_file {PID_FILE}" if pid_file else ""
        return f"{self.prefix}{self.program} --port {port}{named}{self.suffix}"

    def find(self, folder: Path) -> EchoDaemon:
        """Waits until the server listens that the line has started."""
        return EchoDaemon.named_by(folder / PID_FILE)

    def printed(self, running: Running) -> bool:
        """Whether the line for the last request arrived where this method's output goes."""
        if self.logs:
            return running.daemon.last_line() in (running.folder / LOG_FILE).read_text()
        return running.terminal.shows(running.daemon.last_line())


class ServersOwn(Method):
    """The server's setting. It writes no line for a request; it writes one for a reload."""

    def printed(self, running: Running) -> bool:
        """Whether the line for a reload that is asked for now arrives in the log."""
        log = running.folder / LOG_FILE
        before = log.read_text().count("workers replaced")
        running.daemon.kill(signal.SIGUSR1)
        try:
            return wait_until(
                lambda: log.read_text().count("workers replaced") > before, what="the reload"
            )
        except TimeoutError:
            return False


METHODS = {
    method.name: method
    for method in (
        Method("foreground", FOREGROUND, keeps_prompt=False),
        Method("background", FOREGROUND, suffix=" &"),
        Method("disown", FOREGROUND, suffix=" & disown"),
        Method("setsid", FOREGROUND, prefix="setsid ", suffix=" &"),
        Method("nohup", FOREGROUND, prefix="nohup ", suffix=f" > {LOG_FILE} 2>&1 &", logs=True),
        Method(
            "daemon_call",
            DAEMON_CALL,
            suffix=f" --log_file {LOG_FILE}",
            logs=True,
            daemonizes=True,
        ),
        Method(
            "double_fork",
            DOUBLE_FORK,
            suffix=f" --log_file {LOG_FILE}",
            logs=True,
            daemonizes=True,
        ),
        ServersOwn(
            "config_flag",
            f"{SERVER} --daemonize",
            suffix=f" --log_file {LOG_FILE}",
            logs=True,
            daemonizes=True,
            port_in_use="cannot listen on 127.0.0.1 port {used_port}: Address already in use; "
            "another server has it, choose another with --port",
        ),
    )
}
# What ps calls their processes; the unit's program is installed under a name of its own.
PROCESS_NAMES = {method.says for method in METHODS.values()} | {"graceful-echo"}
DAEMONIZING = [method.name for method in METHODS.values() if method.daemonizes]


@dataclass
class Running:
    """A server, with the terminal from which it was started."""

    method: Method
    terminal: Terminal
    folder: Path
    daemon: EchoDaemon

    def printed_last_line(self) -> bool:
        """Whether the line for the last request arrived where the method's output goes."""
        return self.method.printed(self)


def start(method: Method, terminal: Terminal, folder: Path) -> Running:
    """Types the method's line, and waits until the server listens."""
    terminal.run(method.before)
    if method.keeps_prompt:
        terminal.run(method.line())
    else:
        terminal.send(method.line())
    running = Running(method, terminal, folder, method.find(folder))
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


def servers() -> list[psutil.Process]:
    """Every echo server that runs and was started by this process, or by what it has started."""
    return [process for process in psutil.Process().children(recursive=True) if _is_server(process)]


def _is_server(process: psutil.Process) -> bool:
    try:
        return process.name() in PROCESS_NAMES and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
