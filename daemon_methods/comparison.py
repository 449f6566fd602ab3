"""Every method's properties, measured.

Each cell has a terminal (and a systemd) of its own: a server is started by its method's shell line,
something happens to it or to the terminal, and what is left is looked at.
"""

from __future__ import annotations

import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from daemon_methods.tests import echo_units, systemd
from daemon_methods.tests.echo_client import listening_port
from daemon_methods.tests.methods import METHODS, Method, Running, outcome_of, servers, start
from daemon_methods.tests.proc_state import ProcState
from daemon_methods.tests.terminal import Terminal
from integration_tests.harness.processes import adopted_descendants
from integration_tests.harness.waiting import wait_until

UNIT = "systemd_unit"
NAMES = [*METHODS, UNIT]

# How long to wait, in seconds, for what may well not happen.
PATIENCE = 2.0

YES, NO, MUTE, NO_PROMPT = "yes", "no", "yes, mute", "no prompt"


@dataclass(frozen=True)
class Bench:
    """A method, and the terminal where its line is typed."""

    method: Method
    terminal: Terminal
    folder: Path

    def start(self) -> Running:
        """Starts the server, and waits until it serves."""
        return start(self.method, self.terminal, self.folder)


@dataclass(frozen=True)
class Property:
    """A question to a method, how it is answered, and which answers a server wants."""

    question: str
    measure: Callable[[Bench], str]
    wanted: frozenset[str]
    half: frozenset[str] = frozenset()  # better than nothing


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """A bench for the method of this name. All that it has started is gone when it ends."""
    with tempfile.TemporaryDirectory(prefix="compare.") as made, adopted_descendants():
        folder = Path(made)
        if name != UNIT:
            with Terminal(folder) as terminal:
                yield Bench(METHODS[name], terminal, folder)
            return
        with echo_units.boot(folder) as manager, manager.network(), Terminal(folder) as terminal:
            yield Bench(echo_units.UnitMethod.of(manager), terminal, folder)


def why_not(name: str) -> str:
    """Why a method can't be measured here; empty when it can."""
    return systemd.missing() if name == UNIT else ""


def yes_or_no(answer: bool) -> str:
    return YES if answer else NO


def happens(condition: Callable[[], bool]) -> bool:
    """Whether it comes true, given some time."""
    try:
        return bool(wait_until(condition, what="it", timeout=PATIENCE))
    except TimeoutError:
        return False


def gives_the_prompt_back(on: Bench) -> str:
    return yes_or_no(has_prompt(on.start()))


def has_prompt(running: Running) -> bool:
    """Whether the shell takes commands beside the server."""
    running.terminal.send('echo "prompt $((6 * 7))"')
    return running.terminal.shows("prompt 42", timeout=PATIENCE)


def survives(event: str) -> Callable[[Bench], str]:
    def measure(on: Bench) -> str:
        running = on.start()
        if event.startswith("exit") and not has_prompt(running):
            return NO_PROMPT
        outcome = outcome_of(event, running)
        return (YES if outcome.output_survives else MUTE) if outcome.lives else NO

    return measure


def state(on: Bench) -> ProcState:
    """What /proc says of the started server."""
    return ProcState.of(on.start().daemon.pid)


def has_a_controlling_terminal(on: Bench) -> str:
    return yes_or_no(state(on).terminal != 0)


def leads_its_session(on: Bench) -> str:
    process = state(on)
    return yes_or_no(process.session == process.pid)


def stays_in_the_folder(on: Bench) -> str:
    return yes_or_no(state(on).folder == str(on.folder.resolve()))


def inherits_descriptors(on: Bench) -> str:
    on.terminal.run("exec 7< /dev/zero")
    return yes_or_no("/dev/zero" in state(on).descriptors.values())


def output_goes_to(on: Bench) -> str:
    target = state(on).descriptors[1]
    if target.startswith("/dev/pts/"):
        return "terminal"
    # start() has seen a line there.
    return "journal" if target.startswith("socket:") else Path(target).name


def a_failing_start_shows(on: Bench) -> str:
    """As an exit status, as the reason in plain words on the terminal, as both."""
    with socket.create_server(("127.0.0.1", on.method.fixed_port)) as other:
        said = on.terminal.run(on.method.line(port=other.getsockname()[1]))
        status = on.terminal.status()
        wait_until(lambda: not servers(), what="the end of a start that fails")
        reason = "Address already in use"
        seen = reason in said or on.terminal.shows(reason, timeout=PATIENCE)
    answers = ["status"] * (status != 0) + ["reason"] * seen
    return ", ".join(answers) or NO


def comes_back_after_a_crash(on: Bench) -> str:
    running = on.start()
    running.daemon.kill(signal.SIGKILL)
    running.daemon.wait_for_end()
    return yes_or_no(happens(lambda: bool(listeners())))


def listeners() -> list[psutil.Process]:
    """The servers that serve; a daemon's starter does not."""
    return [process for process in servers() if listening_port(process.pid)]


def stays_the_only_one(on: Bench) -> str:
    """Its line is typed twice: do two serve? Then the same with a pid file."""
    if not second_serves(on, pid_file=False):
        return YES
    for process in servers():
        process.terminate()
    wait_until(lambda: not servers(), what="the servers to end")
    return NO if second_serves(on, pid_file=True) else "by pid file"


def second_serves(on: Bench, pid_file: bool) -> bool:
    on.terminal.send(on.method.line(pid_file=pid_file))
    wait_until(lambda: len(listeners()) == 1, what="the first to serve")
    with Terminal(on.folder) as other:
        other.send(on.method.line(pid_file=pid_file))
        return happens(lambda: len(listeners()) == 2)


def _property(
    question: str, measure: Callable[[Bench], str], *wanted: str, half: tuple[str, ...] = ()
) -> Property:
    return Property(question, measure, frozenset(wanted), frozenset(half))


PROPERTIES = [
    _property("gives the prompt back", gives_the_prompt_back, YES),
    _property("survives Ctrl-C", survives("Ctrl-C"), YES),
    _property("survives exit, window closing", survives("exit, window closes"), YES, half=(MUTE,)),
    _property("survives closing the window", survives("hangup"), YES, half=(MUTE,)),
    _property("survives kill -9 of the shell", survives("kill -9 shell"), YES, half=(MUTE,)),
    # To end by it is the default, and no mistake: a daemon gives it a meaning, or leaves it.
    _property("survives kill -HUP", survives("kill -HUP"), YES, half=(NO,)),
    _property("has a controlling terminal", has_a_controlling_terminal, NO),
    _property("leads its session", leads_its_session, NO, half=(YES,)),
    _property("stays in the shell's folder", stays_in_the_folder, NO, half=(YES,)),
    _property("inherits open descriptors", inherits_descriptors, NO, half=(YES,)),
    _property("output goes to", output_goes_to, "log.txt", "journal"),
    _property(
        "a failing start shows by",
        a_failing_start_shows,
        "status, reason",
        half=("status", "reason"),
    ),
    _property("comes back after a crash", comes_back_after_a_crash, YES),
    _property("stays the only one", stays_the_only_one, YES, half=("by pid file",)),
]


def measure(name: str, wanted: Property) -> str:
    """One cell."""
    with bench(name) as on:
        return wanted.measure(on)
