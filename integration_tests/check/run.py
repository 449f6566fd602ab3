"""One run of checks against one server: what the checks are given to work with."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import random
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol, TypeVar

from integration_tests.check.checks import (
    BROKEN,
    HELD,
    NOT_APPLICABLE,
    Check,
    NotApplicable,
    UsageError,
    Verdict,
    GROUPS,
    broken,
)
from integration_tests.check.load import Load, Outcome
from integration_tests.check.recorder import Recorder
from integration_tests.check.target import Address, Ran, Spec, StartFailed, Target
from integration_tests.harness.waiting import wait_until

VERSION = "0.1"

Value = TypeVar("Value")

# A reload that starts no process in this time after its command's end replaces nothing, when none
# did before; and processes that stay for so long while nothing happens (a share of the patience)
# are not to be replaced.
BIRTH_SECONDS = 1.0
REST = 0.3
# Between two reloads of a load, and for a server that shows no sign of the end of one.
PAUSE_SECONDS = 0.15
# For all the reloads of one load.
RELOADS_SECONDS = 60


@dataclass(frozen=True)
class Options:
    """How thorough a run is."""

    seconds: float = 4  # of the busiest load; the others are shorter
    connections: int = 64
    reloads: int = 10  # under the busiest load; at most, under the others
    patience: float = 10  # for what should happen soon: an end, a recovery, a free port
    max_pause: float = 0.5  # without any answer, under load
    seed: int = 1


@dataclass(frozen=True)
class Reload:
    """A reload that was asked for: when, what its command said, and when it seemed done.

    `done` is false when processes should have been replaced, and were not in time.
    """

    ran: Ran
    end: float
    done: bool = True

    @property
    def begin(self) -> float:
        return self.ran.begin


@dataclass
class Reloaded:
    """What a load went through: `outcome` and the reloads in it."""

    outcome: Outcome
    reloads: list[Reload]

    @property
    def done(self) -> int:
        return sum(each.done for each in self.reloads)


class Watcher(Protocol):
    """Whoever wants to know how far a run is."""

    def on_check(self, check: Check, number: int, of: int) -> None: ...

    def on_result(self, result: dict[str, Any]) -> None: ...


class Run:
    """The server under test, kept running between checks, and the record of all."""

    def __init__(self, spec: Spec, options: Options, folder: Path) -> None:
        self.spec = spec
        self.options = options
        self.folder = folder
        self.recorder = Recorder()
        self.random = random.Random(options.seed)
        self.started = datetime.now(timezone.utc).astimezone()
        self._numbers = itertools.count()
        self._target: Target | None = None
        self._known: dict[str, Any] = {}
        self._replacing = False  # has any reload started a process?
        self._staying: set[int] = set()  # workers that reloads leave alone
        self.results: list[dict[str, Any]] = []
        self._groups: dict[str, dict[str, Any]] = {}

    # The server.

    def new_folder(self, name: str) -> Path:
        """A path that nobody has."""
        return self.folder / f"{name}{next(self._numbers)}"

    def server(self) -> Target:
        """The running server; started when there is none that serves."""
        if self._target is not None and self._target.serves():
            return self._target
        return self.fresh()

    def fresh(self) -> Target:
        """Another server, as after a boot."""
        self.end_server()
        self._staying = set()
        self._target = Target(
            self.spec,
            self.recorder,
            self.new_folder("output"),
            start_timeout=2 * self.options.patience,
        )
        self._target.start()
        return self._target

    def end_server(self) -> None:
        """Nothing of it is left, and its address is free for the next."""
        if self._target is not None:
            self.recorder.mark("stop", "the end of this server")
            self._target.kill()
            self._target = None
        with contextlib.suppress(TimeoutError):
            wait_until(Address.of(self.spec.url).free, 5)

    # Conditions.

    def once(self, scenario: Callable[[Run], Value]) -> Value:
        """What several checks look at happens once in a run."""
        key = f"{scenario.__module__}.{scenario.__qualname__}"
        if key not in self._known:
            try:
                self._known[key] = scenario(self)
            except NotApplicable as reason:
                self._known[key] = reason
        found = self._known[key]
        if isinstance(found, NotApplicable):
            raise found
        return found

    def happens(self, condition: Callable[[], object], seconds: float | None = None) -> bool:
        """Does it come true, with patience?"""
        with contextlib.suppress(TimeoutError):
            wait_until(condition, self.options.patience if seconds is None else seconds)
            return True
        return False

    # Load and reloads.

    @contextlib.contextmanager
    def load(self, **settings: Any) -> Iterator[Load]:
        """A load that is ended with the block, if not before."""
        load = Load(
            self.recorder, self.new_folder("load"), **{"url": self.spec.url, **settings}
        )
        try:
            yield load
        finally:
            load.kill()

    def reload(self, patience: float | None = None) -> Reload:
        """Asks for a reload and waits until it seems done.

        That is when another main process has come, or when the old workers have gone and new ones
        have come; where some stay by design (a router beside the workers), without those.
        """
        target = self.server()
        main, before = target.main(), set(target.workers())
        ran = target.command("reload", self.spec.reload)
        asked = ran.begin + ran.seconds
        last, since = before, asked
        done = False
        patience = self.options.patience if patience is None else patience
        while not done and (now := time.monotonic()) < asked + patience:
            try:
                workers = set(target.workers())
                done = target.main() != main
            except StartFailed:  # it has ended; whoever asks next will find that
                break
            if workers != last:
                last, since = workers, now
            new, old = workers - before, before & workers - self._staying
            self._replacing = self._replacing or bool(new)
            if new and now > since + REST * self.options.patience:
                self._staying |= old
            done = done or bool(new) and not old - self._staying
            if ran.status != 0 and now > asked + BIRTH_SECONDS:
                break  # refused
            if not self._replacing and now > asked + (BIRTH_SECONDS if before else PAUSE_SECONDS):
                done = True
            time.sleep(0.01)
        return Reload(ran, time.monotonic(), done)

    def under_reloads(self, share: float = 0.4, all_: bool = False, **settings: Any) -> Reloaded:
        """A load, and reloads in it: before and after them it goes on for a while.

        `share` of the run's seconds; at least one reload, however long that takes, or `all_`.
        """
        seconds = share * self.options.seconds
        self.server()
        reloads: list[Reload] = []
        with self.load(**settings) as load:
            load.wait_ready()
            time.sleep(seconds / 8)
            over = time.monotonic() + (RELOADS_SECONDS if all_ else seconds * 3 / 4)
            while not reloads or time.monotonic() < over:
                reloads.append(self.reload())
                if len(reloads) >= self.options.reloads:
                    break
                time.sleep(PAUSE_SECONDS)
            time.sleep(seconds / 8)
            return Reloaded(load.stop(), reloads)

    # The run.

    def go(self, chosen: list[Check], watcher: Watcher) -> None:
        """Runs the checks, in their order."""
        for number, check in enumerate(chosen):
            watcher.on_check(check, number, len(chosen))
            self._group_goes_on(check)
            self.results.append(self._result(check))
            watcher.on_result(self.results[-1])

    def _group_goes_on(self, check: Check) -> None:
        group = self._groups.setdefault(
            check.group,
            {
                "name": check.group,
                "title": GROUPS[check.group],
                "begin": round(self.recorder.now(), 4),
            },
        )
        group["end"] = group["begin"]

    def _result(self, check: Check) -> dict[str, Any]:
        begin = self.recorder.now()
        verdict = self._verdict(check)
        end = self.recorder.now()
        self._groups[check.group]["end"] = round(end, 4)
        return {
            "name": check.name,
            "group": check.group,
            "title": check.title,
            "why": check.why,
            "verdict": verdict.word,
            "detail": verdict.detail,
            "figures": verdict.figures,
            "chapter": check.chapter,
            "begin": round(begin, 4),
            "end": round(end, 4),
        }

    def _verdict(self, check: Check) -> Verdict:
        missing = [f"--{flag}" for flag in check.needs if not self.spec.given(flag)]
        if missing:
            given = "which is not given" if len(missing) == 1 else "which are not given"
            return Verdict(NOT_APPLICABLE, f"needs {' and '.join(missing)}, {given}")
        try:
            verdict = check.function(self)
        except NotApplicable as reason:
            return Verdict(NOT_APPLICABLE, str(reason))
        except StartFailed as error:
            lines = str(error).splitlines()
            last = f" {lines[-1].strip()}" if len(lines) > 1 else ""
            return broken(f"the server does not start again: {lines[0]}{last}")
        except (TimeoutError, OSError) as error:
            return broken(f"{type(error).__name__}: {error}")
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001: a user's check may fail in any way
            at = traceback.extract_tb(error.__traceback__)[-1]
            raise UsageError(
                f"the check {check.name} itself fails: {type(error).__name__}: {error}"
                f" ({at.filename}, line {at.lineno})"
            ) from error
        if not isinstance(verdict, Verdict):
            raise UsageError(f"the check {check.name} returned no verdict but {verdict!r}")
        return verdict

    def close(self) -> None:
        """Nothing of it runs after that."""
        self.end_server()
        self.recorder.stop()

    def report(self) -> dict[str, Any]:
        """All of it, for every output."""
        words = [result["verdict"] for result in self.results]
        spec = self.spec
        return {
            "tool": {"name": "check", "version": VERSION},
            "target": {
                "name": spec.name,
                "version": spec.version,
                "start": spec.start,
                "url": spec.url,
                "reload": spec.reload,
                "stop": spec.stop,
                "notes": list(spec.notes),
            },
            "started": self.started.isoformat(timespec="milliseconds"),
            "seconds": round(self.recorder.now(), 1),
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "seed": self.options.seed,
            "held": words.count(HELD),
            "broken": words.count(BROKEN),
            "not_applicable": words.count(NOT_APPLICABLE),
            "groups": list(self._groups.values()),
            "checks": self.results,
            "timeline": self.recorder.timeline(),
        }
