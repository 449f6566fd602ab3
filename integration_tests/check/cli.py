"""The command line of the check."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO
from urllib.parse import urlsplit

from integration_tests.check import checks, page, report
from integration_tests.check.checks import CHECKS, Check, UsageError
from integration_tests.check.profiles import registry
from integration_tests.check.run import VERSION, Options, Run
from integration_tests.check.suggest import did_you_mean
from integration_tests.check.target import Address, Spec, StartFailed, field_of
from integration_tests.harness.processes import adopted_descendants

GROUP_FILES = ["becoming_a_daemon", "reload", "output", "death", "stop"]

ALL_HELD, SOME_BROKEN, NOT_JUDGED = 0, 1, 2

DESCRIPTION = """\
Starts a server, reloads it under load, kills its processes, stops it, and says what its clients
noticed. Each check has a verdict: held, broken (with figures), or not applicable (with the reason).

  check --profile nginx
  check --start 'nginx -c /path/nginx.conf' --pid_file /path/nginx.pid \\
        --url http://127.0.0.1:8080/ --reload 'kill -HUP {pid}' --stop 'kill -QUIT {pid}'
  check compare nginx gunicorn ours

Commands are for /bin/sh; {pid} in them is the main process: of the pid file, or the one that
stays in the foreground. What you leave out makes some checks not applicable. A flag beside
--profile wins over the profile's own word.
"""
EPILOG = """\
exit status: 0 when every check that applies held, 1 when one is broken, 2 when nothing could be
judged: the server did not start, no check applied, or the command line is wrong
"""

# Flags that are fields of the Spec, and what they say.
SPEC_FLAGS = {
    "start": ("CMD", "starts the server, in the foreground or as a daemon"),
    "url": ("URL", "what to ask for; a small answer with status 2xx"),
    "pid_file": ("FILE", "where the server writes its main process's pid"),
    "reload": ("CMD", "reloads it, as its manual recommends: 'kill -HUP {pid}'"),
    "stop": ("CMD", "stops it politely (default: kill -TERM {pid})"),
    "break": ("CMD", "breaks its configuration or code, so that a reload can't succeed"),
    "mend": ("CMD", "takes that back"),
    "log_file": ("FILE", "where it writes a line for each request"),
    "log_line": ("REGEX", "what such a line has in it (default: 'GET ')"),
    "rotate": ("CMD", "has it open its log file again, after that was renamed"),
    "slow_url": ("URL", "one that is answered after half a second or so"),
    "upload_url": ("URL", "one that takes a POST of a megabyte"),
    "download_url": ("URL", "one that answers with several megabytes"),
}


class Parser(argparse.ArgumentParser):
    """argparse that knows what a mistyped flag was meant to be, and says it in one line."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (-\S+)", message)
        if unknown:
            word = unknown[1].partition("=")[0]
            flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
            message = f"unknown argument '{word}'{did_you_mean(word, flags)}"
        self.exit(NOT_JUDGED, f"check: {message}; try --help\n")


def parser() -> Parser:
    made = Parser(
        prog="check",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"check {VERSION}")
    server = made.add_argument_group("the server")
    server.add_argument(
        "--profile", metavar="NAME", help=f"a server known here: {', '.join(registry.NAMES)}"
    )
    for flag, (metavar, text) in SPEC_FLAGS.items():
        server.add_argument(f"--{flag}", metavar=metavar, help=text.replace("%", "%%"))
    add_run_flags(made)
    add_outputs(made)
    return made


def add_run_flags(made: argparse.ArgumentParser) -> None:
    run = made.add_argument_group("what is checked, and how thoroughly")
    run.add_argument("--list", action="store_true", help="print every check, and stop")
    run.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="only this check, or group; may be repeated, or several with commas",
    )
    run.add_argument("--checks", metavar="DIR", help="also the checks in this folder's *.py files")
    for field, kind, text in (
        ("seconds", float, "of the busiest load; the others are shorter"),
        ("connections", int, "to keep busy"),
        ("reloads", int, "at most, under each load"),
        ("patience", float, "in seconds, for what should happen soon"),
        ("max_pause", float, "in seconds: the longest time without any answer"),
        ("seed", int, "of random choices, such as which worker is killed"),
    ):
        default = getattr(Options, field)
        run.add_argument(
            f"--{field}", type=kind, default=default, help=f"{text} (default: {default:g})"
        )


def add_outputs(made: argparse.ArgumentParser) -> None:
    outputs = made.add_argument_group("reports (FILE - is the standard output)")
    outputs.add_argument("--json", metavar="FILE", help="all of it, with the timeline")
    outputs.add_argument("--html", metavar="FILE", help="a page with the timeline")
    outputs.add_argument("--junit", metavar="FILE", help="JUnit XML")
    outputs.add_argument("--keep", metavar="DIR", help="keep the server's files and output here")


def options_of(arguments: argparse.Namespace) -> Options:
    names = [field.name for field in dataclasses.fields(Options)]
    options = Options(**{name: getattr(arguments, name) for name in names})
    for name in ("seconds", "connections", "reloads", "patience", "max_pause"):
        if not getattr(options, name) > 0:  # which nan is not, either
            raise UsageError(f"--{name} must be more than 0")
    return options


def load_checks(folder: str | None, base: Path) -> None:
    """Puts this repository's checks on the list, and the user's."""
    for name in GROUP_FILES:
        importlib.import_module(f"integration_tests.check.{name}")
    if folder:
        checks.load_folder(base / folder)
    for check in CHECKS.values():
        for flag in check.needs:
            if flag not in SPEC_FLAGS:
                meant = did_you_mean(flag, SPEC_FLAGS)
                raise UsageError(f"the check {check.name} needs '{flag}', which is no flag{meant}")


def choose(only: Sequence[str] | None) -> list[Check]:
    """The checks that are named, or all."""
    every = checks.in_order()
    if not only:
        return every
    words = [word for each in only for word in each.split(",") if word]
    groups = {check.group for check in every}
    for word in words:
        if word not in CHECKS and word not in groups:
            raise UsageError(
                f"no check or group '{word}'{did_you_mean(word, [*CHECKS, *groups])}; see --list"
            )
    return [check for check in every if check.name in words or check.group in words]


def spec_of(arguments: argparse.Namespace, base: Path, folder: Path) -> Spec:
    """From a profile, from flags, or both."""
    given = {
        field_of(name): value
        for name in SPEC_FLAGS
        if (value := getattr(arguments, name)) is not None
    }
    for name in ("pid_file", "log_file"):
        if name in given:
            given[name] = str(base / given[name])
    for name in ("url", "slow_url", "upload_url", "download_url"):
        if name in given and not is_url(given[name]):
            raise UsageError(
                f"--{name} '{given[name]}' is not a URL such as http://127.0.0.1:8080/"
            )
    if ("break_" in given) != ("mend" in given):
        raise UsageError("--break and --mend go together: what is broken must be mended again")
    if arguments.profile:
        return dataclasses.replace(registry.make(arguments.profile, folder), **given)
    for name in ("start", "url"):
        if name not in given:
            raise UsageError(f"--{name} is missing (or name a server with --profile)")
    words = given["start"].split()
    return Spec(name=Path(words[0]).name if words else "server", folder=base, **given)


def is_url(text: str) -> bool:
    """One that a client here can ask for: of plain HTTP, with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        return False


@contextlib.contextmanager
def scratch(keep: str | None, base: Path) -> Iterator[Path]:
    """A folder for all files; its path is short, for Unix sockets, and others may look into it."""
    if keep:
        folder = base / keep
        folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="check-", dir=folder))
    else:
        folder = Path(tempfile.mkdtemp(prefix="check-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def need_address(spec: Spec) -> None:
    """Or another server would be judged."""
    with contextlib.suppress(OSError), Address.of(spec.url).connect():
        raise UsageError(
            f"somebody listens at {spec.url} already; stop that, or choose another port"
        )


def judge_server(
    spec: Spec, options: Options, chosen: list[Check], folder: Path, watcher: Watcher
) -> dict[str, Any]:
    """Runs the checks against one server; its report."""
    need_address(spec)
    run = Run(spec, options, folder / "run")
    run.folder.mkdir()
    # What is started from a terminal comes to this process when its parent ends.
    with adopted_descendants():
        try:
            first_start(run)
            run.go(chosen, watcher)
            run.end_server()
            return run.report()
        finally:
            run.close()


def first_start(run: Run) -> None:
    """Without it there is nothing to judge."""
    spec = run.spec
    try:
        run.fresh()
    except StartFailed as error:
        ours = spec.folder.is_relative_to(run.folder.parent)
        kept = " (with --keep DIR, which keeps its files)" if ours else ""
        raise StartFailed(
            f"{error}\nTry it by hand{kept}: cd {spec.folder} && {spec.start}"
        ) from error


def takes_escapes(stream: TextIO) -> bool:
    """Is it a terminal that knows more than lines?"""
    return os.environ.get("TERM", "dumb") != "dumb" and stream.isatty()


class Watcher:
    """Tells how far a run is, on the standard error when somebody sits there."""

    def __init__(self, show_results: bool) -> None:
        self._show = show_results
        self._group = ""
        self._live = takes_escapes(sys.stderr)
        self._colors = takes_escapes(sys.stdout) and not os.environ.get("NO_COLOR")

    def on_check(self, check: Check, number: int, of: int) -> None:
        if self._live:
            text = f"{number + 1} of {of}: {check.title}"
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        if self._show and check.group != self._group:
            self._clear()
            print(f"\n{checks.GROUPS[check.group]}", flush=True)
        self._group = check.group

    def on_result(self, result: dict[str, Any]) -> None:
        self._clear()
        if self._show:
            print(report.check_lines(result, self._colors), flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def write(file: str | None, base: Path, make: Callable[[], str]) -> None:
    if file == "-":
        print(make(), end="")
    elif file:
        path = base / file
        try:
            path.write_text(make(), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error


def check_outputs(files: Iterable[str | None], base: Path) -> None:
    """Before a run of a minute, not after it."""
    for file in files:
        if file and file != "-" and not (base / file).parent.is_dir():
            raise UsageError(f"cannot write {file}: {(base / file).parent} is not a folder")


def run_checks(words: Sequence[str], base: Path) -> int:
    arguments = parser().parse_args(words)
    load_checks(arguments.checks, base)
    chosen = choose(arguments.only)
    if arguments.list:
        print_list(chosen)
        return ALL_HELD
    check_outputs((arguments.json, arguments.html, arguments.junit), base)
    options = options_of(arguments)
    to_files = "-" not in (arguments.json, arguments.html, arguments.junit)
    with scratch(arguments.keep, base) as folder:
        spec = spec_of(arguments, base, folder)
        if to_files:
            print(f"check {VERSION}: {report.headline(dataclasses.asdict(spec))}", flush=True)
        made = judge_server(spec, options, chosen, folder, Watcher(to_files))
    write(arguments.json, base, lambda: report.as_json(made))
    write(arguments.junit, base, lambda: report.as_junit(made))
    write(arguments.html, base, lambda: page.render(made))
    if to_files:
        print(f"\n{report.summary(made)}")
    if made["broken"]:
        return SOME_BROKEN
    if not made["held"]:
        raise UsageError("nothing was judged: none of these checks applies to this server")
    return ALL_HELD


def print_list(chosen: list[Check]) -> None:
    """Each with the flags that it needs beside --start and --url."""
    group = ""
    for check in chosen:
        if check.group != group:
            group = check.group
            print(f"{checks.GROUPS[group]}")
        needs = " ".join(f"--{flag}" for flag in check.needs)
        print(f"  {check.name:<26}{check.title}{needs and f'  [{needs}]'}")


def main() -> int:
    """The program."""
    # `bazel run` starts it elsewhere; what the user names is where the user is.
    base = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")).resolve()
    # Ends as on Ctrl-C: with everything that it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)
    words = sys.argv[1:]
    try:
        if words[:1] == ["compare"]:
            # Not before: it is made of what is here.
            compare = importlib.import_module("integration_tests.check.compare")
            return compare.run_compare(words[1:], base)
        return run_checks(words, base)
    except (UsageError, StartFailed) as error:
        what = "the server did not start: " if isinstance(error, StartFailed) else ""
        print(f"check: {what}{error}", file=sys.stderr)
        return NOT_JUDGED
    except KeyboardInterrupt:
        print("check: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
