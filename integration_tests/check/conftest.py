"""The check as its users run it: a command line, what it prints, its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile


@dataclass
class Done:
    """A run of the check that has ended."""

    status: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """What `--json -` printed."""
        assert self.out, self.err
        return json.loads(self.out)

    def checks(self) -> dict[str, dict[str, Any]]:
        """The report's checks, by their names."""
        return {each["name"]: each for each in self.report["checks"]}

    def with_verdict(self, verdict: str) -> dict[str, str]:
        """The checks that have this verdict, and their details."""
        return {
            name: each["detail"]
            for name, each in self.checks().items()
            if each["verdict"] == verdict
        }


class Started:
    """The check under way, in `folder`; its streams may be a terminal instead of files."""

    def __init__(self, folder: Path, *words: object, **streams: int) -> None:
        self._out, self._err = folder / "out", folder / "err"
        command = [runfile("integration_tests/check/check").absolute(), *map(str, words)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.tree = ProcessTree(
                command, cwd=folder, **{"stdout": out, "stderr": err, **streams}
            )

    def out(self) -> str:
        return self._out.read_text()

    def finish(self, timeout: float = 280) -> Done:
        """Waits for its end, with which all that it started must have gone."""
        status = self.tree.wait(timeout)
        self.tree.wait_gone()
        return Done(status, self.out(), self._err.read_text())


@pytest.fixture
def start_check(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Starts the check in the background: `start_check("--profile", "ours")`."""
    started: list[Started] = []

    def start(*words: object, **streams: int) -> Started:
        started.append(Started(tmp_path, *words, **streams))
        return started[-1]

    yield start
    for each in started:
        each.tree.kill_all()


@pytest.fixture
def check(start_check: Callable[..., Started]) -> Callable[..., Done]:
    """Runs the check to its end: `done = check("--list")`."""
    return lambda *words: start_check(*words).finish()
