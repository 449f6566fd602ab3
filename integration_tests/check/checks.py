"""What a check is, what it says, and the list of all.

A check is a function that gets a `Run` and returns held(...) or broken(...), or raises
NotApplicable. `@check(...)` puts it on the list; the part of its name before the dot is its group.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from integration_tests.check.run import Run

HELD, BROKEN, NOT_APPLICABLE = "held", "broken", "not applicable"

# In the order in which they run: what a later one may leave behind must not matter to an earlier.
GROUPS = {
    "daemon": "Becoming a daemon",
    "reload": "Reload, under load",
    "output": "Output",
    "death": "Death",
    "stop": "Stop",
}


class NotApplicable(Exception):
    """The question makes no sense for this server; the text says why."""


class UsageError(Exception):
    """What the user asked for can't be done; one line that says why, and the remedy."""


@dataclass(frozen=True)
class Verdict:
    """What a check found: a word, a line with figures in it, and the figures by name."""

    word: str
    detail: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


def held(detail: str = "", **figures: Any) -> Verdict:
    return Verdict(HELD, detail, figures)


def broken(detail: str, **figures: Any) -> Verdict:
    return Verdict(BROKEN, detail, figures)


def judge(right: bool, detail: str, **figures: Any) -> Verdict:
    """held or broken, with the same words."""
    return Verdict(HELD if right else BROKEN, detail, figures)


@dataclass(frozen=True)
class Check:
    """One question to a server."""

    name: str
    title: str
    why: str
    chapter: str
    needs: tuple[str, ...]
    function: Callable[[Run], Verdict]

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]


CHECKS: dict[str, Check] = {}


def check(
    name: str, title: str, why: str, chapter: str = "", needs: Sequence[str] = ()
) -> Callable[[Callable[[Run], Verdict]], Callable[[Run], Verdict]]:
    """Puts a function on the list: `@check("reload.busy", title="...", why="...")`.

    `why`: one sentence for a reader who sees the verdict. `chapter`: where to read more. `needs`:
    the flags without which it does not apply, by their names ("slow_url").
    """

    def put(function: Callable[[Run], Verdict]) -> Callable[[Run], Verdict]:
        if "." not in name:
            raise UsageError(f"the name of a check is GROUP.NAME, and '{name}' has no dot")
        if name in CHECKS:
            raise UsageError(f"two checks are named {name}")
        GROUPS.setdefault(name.partition(".")[0], name.partition(".")[0].capitalize())
        CHECKS[name] = Check(name, title, why, chapter, tuple(needs), function)
        return function

    return put


def load_folder(folder: Path) -> None:
    """Puts the checks of every Python file of a folder on the list."""
    files = sorted(folder.glob("*.py"))
    if not files:
        raise UsageError(f"--checks {folder}: no Python file is there")
    for file in files:
        spec = importlib.util.spec_from_file_location(f"checks_of_user_{file.stem}", file)
        assert spec is not None and spec.loader is not None
        try:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001: a user's file may fail in any way
            raise UsageError(f"--checks: {file}: {type(error).__name__}: {error}") from error


def in_order() -> list[Check]:
    """All of them, group by group."""
    groups = list(GROUPS)
    return sorted(CHECKS.values(), key=lambda each: groups.index(each.group))
