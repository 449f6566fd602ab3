"""The tour, step by step: what is typed, what one sees, and why that is worth a look."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration_tests.harness.server import READY
from integration_tests.tour.figures import Figures
from integration_tests.tour.screen import Screen
from integration_tests.tour.stage import Failed, Stage, server_command, witness_command

TICK_SECONDS = 0.2
SLOW_SECONDS = 1.5  # of the request that a stop waits for

HOLDS = "docs/08-master-keeper-worker.md"
SIGNALS = "docs/07-signals.md"
REPLACING = "docs/09-replacing-workers.md"
KILL = "docs/10-kill-9.md"
JUDGING = "docs/13-judging.md"


@dataclass
class Told:
    """A step that was told: for the timeline's page."""

    title: str
    lesson: str
    chapter: str
    begin: float
    end: float


@dataclass
class Tour:
    """One run through all steps; each takes `seconds`."""

    stage: Stage
    screen: Screen
    seconds: float
    figures: Figures = field(default_factory=Figures)
    told: list[Told] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # promises that were not kept
    versions: list[str] = field(default_factory=lambda: ["1"])
    deaths: int = 0
    url: str = ""

    def go(self) -> None:
        for step in STEPS:
            step(self)

    # What the steps are made of.

    @contextlib.contextmanager
    def step(self, title: str, lesson: str, chapter: str) -> Iterator[None]:
        """A title, what happens, and what it has shown."""
        begin = self.stage.recorder.now()
        self.screen.title(f"{len(self.told) + 1}/{len(STEPS)}  {title}")
        yield
        self.screen.say()
        self.screen.say(lesson)
        self.screen.say(f"Read on: {chapter}", "output")
        self.told.append(Told(title, lesson, chapter, begin, self.stage.recorder.now()))

    def type(self, command: str, mark: str = "", pid: int | None = None) -> int:
        """Types a command, shows what it says; its exit status."""
        self.screen.command(command)
        status, said = self.stage.run(command, mark, pid)
        if said.strip():
            self.screen.output(said)
        return status

    def expect(self, kept: bool, otherwise: str) -> None:
        """Goes on when a promise was not kept, and says so."""
        if not kept:
            self.broken.append(otherwise)
            self.screen.say(otherwise, "bad")

    def watch(self, each_tick: Callable[[], None] = lambda: None) -> None:
        """The figures, for the time of a step."""
        self.screen.say()
        until = time.monotonic() + self.seconds
        while True:
            each_tick()
            self.figures.update(self.stage.witness.tell())
            self.screen.live(self.lines())
            left = until - time.monotonic()
            if left <= 0 or self.screen.wait(min(TICK_SECONDS, left)):
                break
        self.screen.settle()

    def lines(self) -> list[str]:
        """The figures as they are now."""
        figures, style = self.figures, self.screen.style
        lost = f"{figures.lost:>9,}"
        closed = f"{figures.closed} of {figures.connections} connections closed"
        lines = [
            f"answered   {figures.account['ok']:>9,}   {figures.rate:,.0f} a second",
            f"lost       {style('bad' if figures.lost else 'good', lost)}   "
            f"{style('bad' if figures.closed else 'good', closed)}",
        ]
        answers = max(1, figures.lately.by_version.total())
        for version in self.versions:
            share = figures.lately.by_version[version] / answers
            color = "good" if version == self.versions[-1] else "old"
            bar = style(color, self.screen.bar(share))
            lines.append(f"version {version}  {share:>9.0%}   {bar}")
        since = figures.since_reload()
        if since is not None:
            old = figures.from_old_code("1")
            count = style("bad" if old else "good", f"{old:>9,}")
            lines.append(f"old code   {count}   of {since.total():,} answers since the reload")
        pids = ", ".join(
            f"{pid} {count / answers:.0%}" for pid, count in figures.lately.by_pid.most_common(4)
        )
        return lines + [f"workers               {pids}"]


def start(tour: Tour) -> None:
    lesson = (
        "The worker runs the code, its keeper holds the connections. That is all the secret: "
        "who holds nothing can be replaced at any time."
    )
    with tour.step("A server starts", lesson, HOLDS):
        settings = {"port": 0, "worker_num": 2, "handler": "handler.so"}
        tour.screen.command(server_command(settings))
        tour.stage.start_server(**settings)
        tour.screen.output("\n".join(tour.stage.log(rf"listening|{READY.pattern}")))
        tour.url = f"{tour.stage.server.url}/whoami"
        tour.type(f"curl -s {tour.url}")
        tour.screen.say()
        slots = tour.stage.slots()
        tour.screen.say(f"master {tour.stage.server.pid}")
        for slot in slots:
            branch = "└─" if slot is slots[-1] else "├─"
            tour.screen.say(f" {branch} keeper {slot['keeper']} ── worker {slot['worker']}")
        until = time.monotonic() + tour.seconds
        while (left := until - time.monotonic()) > 0 and not tour.screen.wait(left):
            pass


def load(tour: Tour) -> None:
    lesson = (
        "Connections are open, and will stay open to the end of the tour: 64 are busy, 100 rest "
        "and must be there when they are needed. Each request is accounted for."
    )
    settings: dict[str, Any] = {
        "url": tour.url, "connections": 64, "idle": 100, "max_rate": 2000, "tally": True,
    }
    with tour.step("Clients come, 2,000 requests a second", lesson, JUDGING):
        tour.screen.command(witness_command(settings))
        tour.stage.start_load(**settings)
        tour.watch()


def deploy(tour: Tour) -> None:
    lesson = (
        "The file is another one, at once and as a whole, and nothing has happened: workers run "
        "what they have loaded. When new code comes is decided by you, not by a file's date."
    )
    with tour.step("New code is deployed", lesson, REPLACING):
        tour.versions.append("2")
        tour.type("cp version2.so handler.so.new && mv handler.so.new handler.so")
        tour.watch()


def reload(tour: Tour) -> None:
    lesson = (
        "All code was replaced under load. The old workers finished what they had in their hands, "
        "and from the moment that ctl returned not one answer came from the old code. Servers that "
        "close their idle connections at a reload lose requests here."
    )
    with tour.step("The workers are replaced", lesson, REPLACING):
        status = tour.type(tour.stage.ctl("reload"), "reload")
        tour.expect(status == 0, "The reload failed.")
        # What the old code sent before is read by the time that the second account is told.
        for _ in range(2):
            tour.figures.update(tour.stage.witness.tell())
        tour.figures.reloaded()
        tour.watch()
        tour.expect(not tour.figures.from_old_code("1"), "Old code answered after the reload.")


def kill(tour: Tour) -> None:
    lesson = (
        "kill -9 can't be caught: the worker was gone between two instructions. Its connections "
        "were its keeper's, its requests in memory that they share, and its successor went on "
        "with them."
    )
    with tour.step("A worker is killed", lesson, KILL):
        worker = tour.stage.slots()[0]["worker"]
        events = r"keeper 0 .*(killed by|serves)"
        before = len(tour.stage.log(events))
        tour.type(f"kill -9 {worker}", "kill", worker)
        tour.screen.output("\n".join(tour.stage.log(events, skip=before, count=2)))
        tour.watch()


def break_it(tour: Tour) -> None:
    lesson = (
        "A copy that stopped half way, as on a full disk: the first new worker crashed while "
        "loading it, so the reload ended there. ctl says why, with exit status 1. Nothing else has "
        "changed: version 2 serves on."
    )
    with tour.step("Broken code is deployed", lesson, REPLACING):
        command = "head -c 10000 version2.so > handler.so.new && mv handler.so.new handler.so"
        tour.type(command, "break")
        status = tour.type(tour.stage.ctl("reload"), "reload")
        tour.expect(status == 1, f"The reload should have failed; its exit status is {status}.")
        tour.watch()


def storm(tour: Tour) -> None:
    lesson = (
        "The file on the disk is broken still, and each new worker runs version 2: the server "
        "keeps the last code that worked."
    )
    with tour.step("All workers are killed, five times a second", lesson, KILL):
        slots = tour.stage.slots()
        keepers = ",".join(str(slot["keeper"]) for slot in slots)
        command = f"pkill -9 -P {keepers}"
        tour.screen.command(f"while sleep {TICK_SECONDS}; do {command}; done")
        tour.watch(lambda: tour.stage.run(command, "kill") and None)
        tour.deaths = sum(slot["deaths"] for slot in tour.stage.slots())
        tour.screen.say(f"workers killed so far: {tour.deaths}")


def stop(tour: Tour) -> None:
    lesson = (
        "The slow request had begun, so it was answered before the server went, with exit status "
        "0. A stop loses nothing either."
    )
    with tour.step("The server stops", lesson, SIGNALS):
        tour.screen.say("The load ends: each resting connection is used once more.")
        tour.figures.update(tour.stage.stop_load())
        tour.screen.say()
        tour.screen.live(tour.lines()[:2])
        tour.screen.settle()
        tour.screen.say()
        milliseconds = round(1000 * min(SLOW_SECONDS, tour.seconds))
        url = f"{tour.stage.server.url}/sleep?ms={milliseconds}"
        command = f"curl -s '{url}' & sleep .2; {tour.stage.ctl('stop')}; wait"
        tour.screen.command(command)
        status, said = tour.stage.run(command, "stop")
        tour.screen.output(said)
        tour.expect("slept" in said, "The request that was under way was not answered.")
        ended = tour.stage.server.wait(10)
        tour.expect(ended == 0, f"The server ended with status {ended}.")
        tour.stage.server.tree.wait_gone()


STEPS = [start, load, deploy, reload, kill, break_it, storm, stop]
