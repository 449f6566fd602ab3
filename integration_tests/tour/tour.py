"""bazel run //reload:tour: the heart of it in two minutes."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the rest is loaded: an end, not a traceback

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from integration_tests.harness.processes import adopted_descendants
from integration_tests.tour.page import render
from integration_tests.tour.screen import Screen, Stopped
from integration_tests.tour.stage import Failed, Stage
from integration_tests.tour.steps import STEPS, Tour

VERSION = "0.1.0"
STEP_SECONDS = 15.0
QUICK_SECONDS = 0.5

CLEAN, NOT_CLEAN, COULD_NOT_RUN = 0, 1, 2
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

DESCRIPTION = """\
Shows, in two minutes and with real processes, how a server's code is replaced while it serves:
starts the server, puts load on it, deploys new code, reloads, kills workers with -9, deploys broken
code, stops. It needs nothing, asks nothing, and leaves nothing but a page with the timeline.
Enter goes on to the next step, Ctrl-C ends it.
"""
EPILOG = """\
exit status: 0 when no request was lost and no connection closed, 1 when one was, 2 when the tour
could not be given or the command line is wrong, 128 + N when signal N ended it
"""


class Parser(argparse.ArgumentParser):
    """argparse, with its errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(COULD_NOT_RUN, f"tour: {message}; try --help\n")


def seconds(text: str) -> float:
    value = float(text)
    if not 0.2 <= value <= 3600:
        raise ValueError
    return value


def parse(words: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="tour",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tour {VERSION}")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--seconds",
        type=seconds,
        default=STEP_SECONDS,
        metavar="N",
        help=f"for each step, from 0.2 to 3600 (default: {STEP_SECONDS:g})",
    )
    pace.add_argument(
        "--quick",
        dest="seconds",
        action="store_const",
        const=QUICK_SECONDS,
        help=f"the same as --seconds {QUICK_SECONDS:g}",
    )
    parser.add_argument(
        "--timeline",
        metavar="FILE",
        help="where the page goes (default: a new file in $TMPDIR or /tmp)",
    )
    return parser.parse_args(words)


def raise_stopped(number: int, _: object) -> None:
    for each in SIGNALS:  # once is enough
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def intro(screen: Screen, folder: Path, each: float) -> None:
    screen.say("Graceful Daemons: the tour", "title", margin="")
    screen.say()
    total = len(STEPS) * each
    time = f"{total / 60:.0f} minutes" if total >= 90 else f"{total:.0f} seconds"
    screen.say(
        "A server is put under load, gets new code, has its workers killed, gets broken code, and "
        "stops. Not one request shall be lost, not one connection closed. Everything is real, and "
        f"takes about {time}." + (" Enter: the next step. Ctrl-C: the end." * screen.terminal),
        margin="",
    )
    screen.say()
    screen.say(
        "While it runs, you can type every command yourself, in another terminal:", margin=""
    )
    screen.command(f"cd {folder}")


def account_of(tour: Tour) -> str:
    figures = tour.figures
    return (
        f"{figures.account['requests']:,} requests, {figures.lost:,} lost, "
        f"{figures.closed:,} connections closed"
    )


def sum_up(tour: Tour, screen: Screen) -> bool:
    """The account. Is it clean?"""
    figures = tour.figures
    clean = not (figures.lost or figures.closed or tour.broken)
    screen.title("The account")
    screen.say(account_of(tour), "good" if clean else "bad")
    by_version = figures.answers.by_version
    pause = figures.account["longest_pause_us"] / 1000
    screen.say(
        f"Version 1 answered {by_version['1']:,} of them, version 2 {by_version['2']:,}. "
        f"{tour.killed()} workers were killed. The longest time without any answer was "
        f"{pause:.0f} ms."
    )
    for what in [*tour.broken, *figures.account["descriptions"]]:
        screen.say(what, "bad")
    return clean


def give(screen: Screen, folder: Path, each: float, page: Path | None) -> int:
    """All of it: the exit status."""
    intro(screen, folder, each)
    with contextlib.closing(Stage(folder)) as stage:
        tour = Tour(stage, screen, each)
        tour.go()
        clean = sum_up(tour, screen)
        stage.note_deaths()
        made = render(stage.recorder, stage.strokes(), tour.told, account_of(tour))
        path = write_page(made, page)
    screen.say(f"The timeline: {path}")
    return CLEAN if clean else NOT_CLEAN


def page_path(file: str | None) -> Path | None:
    """Where the user wants it; asked before the tour, not after it."""
    if file is None:
        return None
    # `bazel run` starts it elsewhere; what the user names is where the user is.
    path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), file).resolve()
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Failed(f"cannot write --timeline {path}: it needs a file in a folder that is there")
    return path


def write_page(text: str, path: Path | None) -> Path:
    if path is None:
        descriptor, made = tempfile.mkstemp(prefix="graceful-tour-", suffix=".html")
        os.close(descriptor)
        path = Path(made)
    path.write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that goes with the block, and whoever runs in it."""
    folder = Path(tempfile.mkdtemp(prefix="graceful-tour-"))
    try:
        with adopted_descendants():
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(words: list[str]) -> int:
    """The program."""
    arguments = parse(words)
    screen = Screen()
    for number in SIGNALS:
        signal.signal(number, raise_stopped)
    try:
        page = page_path(arguments.timeline)
        with scratch() as folder, screen.quiet_keys():
            return give(screen, folder, arguments.seconds, page)
    except Stopped as stopped:
        if stopped.number != signal.SIGPIPE:
            complain("stopped; all that it started has gone, and its files")
        return 128 + stopped.number
    except (Failed, OSError, RuntimeError, subprocess.SubprocessError) as error:
        complain(str(error))
        return COULD_NOT_RUN


def complain(text: str) -> None:
    with contextlib.suppress(OSError):  # there may be nobody any more
        os.write(sys.stderr.fileno(), f"tour: {text}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
