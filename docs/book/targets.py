"""Every program that Bazel can run, found by reading the BUILD files as what they are: Python.

Rules are functions that take note of their calls; what a .bzl file loads is read in the same way.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BINARIES = {"cc_binary", "py_binary", "sh_binary"}


class Rule:
    """What stands for a name that is not known: a function, or something that has functions."""

    def __init__(self, note: Callable[[dict[str, Any]], None]) -> None:
        self._note = note

    def __call__(self, *_: Any, **settings: Any) -> Rule:
        self._note(settings)
        return self

    def __getattr__(self, _: str) -> Rule:
        return self


class Scope(dict):
    """The names of one file."""

    def __init__(self, targets: Targets, package: str) -> None:
        super().__init__(
            load=self._load,
            glob=lambda *_, **__: [],
            select=lambda choices: next(iter(choices.values())),
            native=self,
        )
        self._targets, self._package = targets, package

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            return getattr(builtins, name)
        return Rule(lambda settings: self._targets.note(self._package, name, settings))

    def __getattr__(self, name: str) -> Any:  # native.cc_binary
        return self[name]

    def run(self, path: Path) -> Scope:
        exec(compile(path.read_text(encoding="utf-8"), path, "exec"), self)
        return self

    def _load(self, file: str, *names: str, **renamed: str) -> None:
        if file.startswith("@"):
            return
        file = self._package + file if file.startswith(":") else file
        path = self._targets.root / file.lstrip("/").replace(":", "/")
        loaded = Scope(self._targets, self._package).run(path)
        self.update({name: loaded[name] for name in names})
        self.update({name: loaded[there] for name, there in renamed.items()})


@dataclass
class Targets:
    """What the BUILD files below a folder define."""

    root: Path
    programs: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(root: Path) -> Targets:
        targets = Targets(root)
        for path in sorted(root.rglob("BUILD")):
            if not path.relative_to(root).parts[0].startswith("bazel-"):
                Scope(targets, "//" + str(path.parent.relative_to(root))).run(path)
        return targets

    def note(self, package: str, rule: str, settings: dict[str, Any]) -> None:
        if rule == "alias":
            actual = settings["actual"]
            actual = package + actual if actual.startswith(":") else actual
            self.aliases[label(package, settings["name"])] = actual
        # A shared object is made by cc_binary, too, and nothing to run.
        elif rule in BINARIES and not settings.get("linkshared"):
            self.programs.add(label(package, settings["name"]))

    def actual(self, typed: str) -> str:
        """The target that a label stands for."""
        package, _, name = typed.partition(":")
        full = label(package, name or package.rpartition("/")[2])
        return self.actual(self.aliases[full]) if full in self.aliases else full


def label(package: str, name: str) -> str:
    """As short as it can be typed: //a/b for //a/b:b."""
    return package if package.rpartition("/")[2] == name else f"{package.removesuffix('.')}:{name}"
