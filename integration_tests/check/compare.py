"""check compare: several profiles one after another, and what came of it side by side."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration_tests.check import cli, comparison, page, report
from integration_tests.check.checks import Check, UsageError
from integration_tests.check.profiles import registry
from integration_tests.check.run import VERSION, Options
from integration_tests.check.target import StartFailed
from integration_tests.harness.machine import load, machine

DESCRIPTION = """\
Runs the profiles that are named, or all there are, one after another, and prints their verdicts and
figures side by side.

  check compare nginx gunicorn ours
  check compare --only reload --json all.json --markdown page.md
"""
EPILOG = """\
exit status: 0 when each server was judged, whatever the verdicts; 2 when one is not installed (then
none was started) or did not start, or the command line is wrong
"""
ALL_JUDGED, NOT_ALL_JUDGED = 0, 2


def parser() -> cli.Parser:
    made = cli.Parser(
        prog="check compare",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("profiles", nargs="*", metavar="PROFILE", help=", ".join(registry.NAMES))
    cli.add_run_flags(made)
    outputs = made.add_argument_group("reports (FILE - is the standard output)")
    outputs.add_argument("--json", metavar="FILE", help="the whole reports of all")
    outputs.add_argument("--markdown", metavar="FILE", help="the tables, and what to know of them")
    outputs.add_argument("--html", metavar="DIR", help="a page with the timeline for each server")
    outputs.add_argument("--keep", metavar="DIR", help="keep the servers' files and output here")
    return made


class Progress:
    """Says which server and which check: in one line that changes, or a line each in a file."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._live = cli.takes_escapes(sys.stderr)

    def on_check(self, check: Check, number: int, of: int) -> None:
        end = "" if self._live else "\n"
        self._say(f"{self._server}: check {number + 1} of {of}, {check.title}", end)

    def on_result(self, result: dict[str, Any]) -> None:
        """It is in the table."""

    def over(self, text: str) -> None:
        self._say(f"{self._server}: {text}", "\n")

    def _say(self, text: str, end: str) -> None:
        clear = "\r\033[K" if self._live else ""
        print(f"{clear}{text}", end=end, file=sys.stderr, flush=True)


def names_of(words: Sequence[str]) -> list[str]:
    """The profiles to run: each once, and each installed."""
    for word in words:
        registry.load(word)
        if words.count(word) > 1:
            raise UsageError(f"compare: {word} is named twice")
    names = list(words) or registry.NAMES
    registry.need(names)
    return names


def judge_all(
    names: list[str], chosen: list[Check], options: Options, keep: str | None, base: Path
) -> list[dict[str, Any]]:
    """The reports of those that start."""
    reports = []
    for number, name in enumerate(names):
        progress = Progress(f"{number + 1} of {len(names)}, {name}")
        at_start = load()
        with cli.scratch(keep, base) as folder:
            try:
                spec = registry.make(name, folder)
                made = cli.judge_server(spec, options, chosen, folder, progress)
            except StartFailed as error:
                progress.over(f"it did not start: {error}")
                continue
        progress.over(report.summary(made))
        reports.append({**made, "load": at_start})
    return reports


def run_compare(words: Sequence[str], base: Path) -> int:
    arguments = parser().parse_args(words)
    cli.load_checks(arguments.checks, base)
    chosen = cli.choose(arguments.only)
    if arguments.list:
        cli.print_list(chosen)
        return ALL_JUDGED
    options = cli.options_of(arguments)
    cli.check_outputs((arguments.json, arguments.markdown), base)
    names = names_of(arguments.profiles)
    reports = judge_all(names, chosen, options, arguments.keep, base)
    if not reports:
        raise UsageError("compare: no server started")
    compared = {
        "tool": {"name": "check compare", "version": VERSION},
        "command": shlex.join(["compare", *to_repeat(words)]),
        "about": {
            "date": reports[0]["started"][:10],
            "machine": machine(),
            "busiest load": f"{options.connections} connections, {options.reloads} reloads",
        },
        "servers": reports,
    }
    cli.write(arguments.json, base, lambda: json.dumps(compared, indent=1) + "\n")
    cli.write(arguments.markdown, base, lambda: comparison.page(compared))
    if arguments.html:
        write_pages(reports, base / arguments.html)
    if "-" not in (arguments.json, arguments.markdown):
        print(comparison.tables(compared))
    return ALL_JUDGED if len(reports) == len(names) else NOT_ALL_JUDGED


def to_repeat(words: Sequence[str]) -> list[str]:
    """What somebody else types for the same page: without files that only this run was to leave."""
    kept, rest = [], iter(words)
    for word in rest:
        flag, equals, _ = word.partition("=")
        if flag not in ("--json", "--html", "--keep"):
            kept.append(word)
        elif not equals:
            next(rest)
    return kept


def write_pages(reports: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in reports:
        cli.write(f"{each['target']['name']}.html", folder, lambda each=each: page.render(each))
