"""The tour shows every step in its order, on any terminal, and leaves nothing, however it ends."""

import os
import re
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Callable, Iterator

import pytest

from daemon_methods.tests.terminal import Terminal
from integration_tests.harness import guard
from integration_tests.harness.processes import ProcessTree, adopted_descendants
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until

TOUR = "integration_tests/tour/tour"
STEPS = 8
COLUMNS = 60
BRIEF = ["--seconds", "0.3"]
ACCOUNT = re.compile(r"([\d,]+) requests, ([\d,]+) lost, ([\d,]+) connections closed")


@pytest.fixture
def environment(socket_folder: Path) -> dict[str, str]:
    """Where the server has its control socket, and the tour its files, is the test's alone."""
    files = socket_folder / "t"  # a short path: it is in lines that are measured
    files.mkdir()
    return {"XDG_RUNTIME_DIR": str(socket_folder), "TMPDIR": str(files), "TERM": "xterm"}


@pytest.fixture
def terminal(tmp_path: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    """A shell at which the tour can be typed."""
    with adopted_descendants(), Terminal(tmp_path, timeout=60) as made:
        exports = " ".join(f"{name}={value}" for name, value in environment.items())
        made.run(f"stty columns {COLUMNS} rows 40; export {exports}")
        made.run(f"tour() {{ {runfile(TOUR)} \"$@\"; }}")
        yield made


class Piped:
    """The tour without a terminal."""

    def __init__(self, environment: dict[str, str], folder: Path, *words: str) -> None:
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.tree = ProcessTree(
                [runfile(TOUR), *words],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str) -> str:
        """Everything up to there."""
        return wait_until(lambda: said if text in (said := self.said()) else "", 30, text)

    def end(self) -> int:
        status = self.tree.wait(60)
        self.tree.wait_gone()
        return status


@pytest.fixture
def piped(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Piped]]:
    started = []

    def start(*words: str) -> Piped:
        started.append(Piped(environment, tmp_path, *words))
        return started[-1]

    yield start
    for each in started:
        each.tree.kill_all()


def rendered(shown: str) -> list[str]:
    """The lines that an endless terminal makes of it."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\033\[[\d;]*[AJKm]|[\r\n]|[^\033\r\n]+", shown):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif token == "\r":
            column = 0
        elif not token.startswith("\033"):
            lines[row] = lines[row][:column] + token + lines[row][column + len(token) :]
            column += len(token)
        elif token.endswith("A"):
            row -= int(token[2:-1])
        elif not token.endswith("m"):  # K: the rest of the line; J: all below, too
            lines[row] = lines[row][:column]
            del lines[len(lines) if token.endswith("K") else row + 1 :]
    return lines


def account(said: str) -> list[int]:
    """Requests, lost, connections closed."""
    found = ACCOUNT.search(said)
    assert found, said
    return [int(figure.replace(",", "")) for figure in found.groups()]


def assert_told(said: str) -> None:
    """Every step, in its order, with what it is there to show."""
    steps = [" ".join(each.split()) for each in re.split(r"^\d/8  ", said, flags=re.M)[1:]]
    assert len(steps) == STEPS, said
    start, load, deploy, reload, kill, broken, storm, stop = steps
    assert "ready: 2 workers" in start
    assert re.search(r"version 1 +100%", load) and "version 2" not in load
    assert re.search(r"version 1 +100%", deploy) and re.search(r"version 2 +0%", deploy)
    assert "2 workers replaced in" in reload and re.search(r"version 2 +100%", reload)
    assert re.search(r"old code +0 +of [1-9]", reload)
    worker = re.search(r"kill -9 (\d+)", kill)[1]
    assert f"worker {worker} was killed by SIGKILL" in kill
    assert "failed: slot 0" in broken and re.search(r"version 2 +100%", broken)
    assert re.search(r"version 2 +100%", storm)
    assert "slept" in stop
    assert int(re.search(r"(\d+) workers were killed", stop)[1]) > 2
    requests, lost, closed = account(stop)
    assert requests > 1000 and (lost, closed) == (0, 0)


def assert_page(path: Path, said: str) -> None:
    """What the last line names is a page: every element is closed, every step is in it."""
    text = path.read_text()
    page = ET.fromstring(re.sub("<!DOCTYPE html>|<meta[^>]*>", "", text))
    words = "".join(page.itertext())
    assert ACCOUNT.search(said)[0] in words
    titles = re.findall(r"^\d/8  (.*)$", said, flags=re.M)
    assert [f"{number}. {title}" in words for number, title in enumerate(titles, 1)] == [True] * 8
    assert len(page.findall(".//figure")) == 1 + STEPS - 2  # nothing is done to it in two steps


def test_on_a_terminal(terminal: Terminal, environment: dict[str, str]) -> None:
    """Figures change in place, no line is too long, and the terminal is as it was."""
    terminal.send("stty echo; tour --quick; echo status=$?; stty -a; stty -echo")
    assert terminal.shows("3/8  ")
    terminal.press("typed")
    terminal.wait_for_prompt()
    shown, status, modes = re.split(r"status=(\d+)", terminal.seen)
    assert status == "0"
    assert " echo " in modes and "typed" not in terminal.seen
    lines = rendered(shown[shown.index("Graceful") :])
    said = "\n".join(lines)
    assert_told(said)
    assert max(len(line) for line in lines) < COLUMNS
    assert said.count("   answered ") == STEPS - 1  # once in each step but the first
    assert shown.count("   answered ") >= 2 * (STEPS - 1)
    assert "\033[32m" in shown
    (page,) = Path(environment["TMPDIR"]).iterdir()
    assert lines[-2].endswith(str(page)) and lines[-1] == ""
    assert_page(page, said)
    assert guard.descendants(os.getpid()) == [terminal.shell]


def test_without_a_terminal(piped, environment: dict[str, str], socket_folder: Path) -> None:
    """Plain lines, the same ones."""
    page = socket_folder / "page.html"
    environment["BUILD_WORKING_DIRECTORY"] = str(socket_folder)  # as with `bazel run`
    tour = piped(*BRIEF, "--timeline", page.name)
    assert tour.end() == 0, tour.said()
    said = tour.said()
    assert "\033" not in said and "\r" not in said
    assert max(len(line) for line in said.splitlines()) <= 80
    assert_told(said)
    assert said.splitlines()[-1].endswith(str(page))
    assert_page(page, said)
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_what_is_lost_is_said(piped) -> None:
    """A keeper has its slot's connections, and nobody has them after it."""
    tour = piped(*BRIEF)
    keeper = re.search(r"keeper (\d+) ── worker", tour.wait_for("3/8"))[1]
    os.kill(int(keeper), signal.SIGKILL)
    assert tour.end() == 1
    _, _, closed = account(tour.said())
    assert closed > 0
    assert "The timeline: " in tour.said().splitlines()[-1]


def test_ctrl_c_leaves_nothing(terminal: Terminal, environment: dict[str, str]) -> None:
    """Without colors, if they are not wanted; Enter has it go on."""
    terminal.send("NO_COLOR=1 tour --seconds 600")
    assert terminal.shows("1/8  ")
    for step in range(2, 6):
        terminal.send("")
        assert terminal.shows(f"{step}/8  ")
    terminal.interrupt()
    assert "tour: stopped; all that it started has gone" in terminal.seen
    assert "Traceback" not in terminal.seen
    assert not re.search(r"\033\[[\d;]*m", terminal.seen)
    assert terminal.status() == 128 + signal.SIGINT
    assert guard.descendants(os.getpid()) == [terminal.shell]
    assert list(Path(environment["TMPDIR"]).iterdir()) == []
    assert list(Path(environment["XDG_RUNTIME_DIR"]).rglob("*.ctl")) == []


def test_a_terminal_that_goes_away_leaves_nothing(terminal: Terminal, environment) -> None:
    terminal.send("tour --seconds 600")
    assert terminal.shows("1/8  ")
    terminal.hang_up()
    wait_until(lambda: not guard.descendants(os.getpid()), 20, "its end")
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_a_reader_that_goes_away_leaves_nothing(terminal: Terminal, environment) -> None:
    assert terminal.run("tour --seconds 0.3 | head -n 1") == "Graceful Daemons: the tour\n"
    assert guard.descendants(os.getpid()) == [terminal.shell]
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_sigterm_leaves_nothing(piped, environment: dict[str, str]) -> None:
    tour = piped("--seconds", "600")
    tour.wait_for("1/8  ")
    tour.tree.signal(signal.SIGTERM)
    assert tour.end() == 128 + signal.SIGTERM
    assert "tour: stopped" in tour.said() and "Traceback" not in tour.said()
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize(
    "words, says",
    [
        (["--bogus"], "--bogus"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "x"], "--seconds"),
        (["--timeline", "/no/such/folder/page.html"], "/no/such/folder/page.html"),
        (["--timeline", "/"], "--timeline /"),
    ],
)
def test_a_wrong_command_line(words: list[str], says: str, piped) -> None:
    tour = piped(*words)
    assert tour.end() == 2
    assert says in tour.said() and tour.said().count("\n") == 1, tour.said()
