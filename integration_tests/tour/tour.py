"""bazel run //reload:tour: the heart of it in two minutes."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from daemon_methods.tests.processes import adopted_descendants
from integration_tests.tour.screen import Screen, Stopped
from integration_tests.tour.stage import Failed, Stage
from integration_tests.tour.steps import Tour

VERSION = "0.1.0"
STEP_SECONDS = 15.0
QUICK_SECONDS = 1.0
PAGE = "graceful-tour.html"

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
        help=f"where the page goes (default: {PAGE} in a new folder in $TMPDIR or /tmp)",
    )
    return parser.parse_args(words)


def raise_stopped(number: int, _: object) -> None:
    for each in SIGNALS:  # once is enough
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
