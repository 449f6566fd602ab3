"""Death: what a kill -9 costs, and what it leaves behind."""

from __future__ import annotations

import time
from dataclasses import dataclass

from integration_tests.check.checks import NotApplicable, Verdict, check, judge
from integration_tests.check.load import Outcome
from integration_tests.check.reload import need_steady
from integration_tests.check.run import Run
from integration_tests.check.target import StartFailed, Target, names

KILL = "docs/10-kill-9.md"
KILLS = 3


@dataclass
class Killed:
    """A load in which workers were killed."""

    outcome: Outcome
    kills: int
    recovered: list[float]  # seconds, for each time that it did
    main_lives: bool


def workers_killed(run: Run) -> Killed:
    """One after another, each when the last one has been replaced."""
    need_steady(run)
    target = run.server()
    if not target.workers():
        raise NotApplicable("it is one process: there is no worker beside the main one")
    kills, recovered = 0, []
    with run.load(connections=run.options.connections) as load:
        load.wait_ready()
        time.sleep(0.2)
        for _ in range(KILLS):
            workers = target.workers()
            victim = run.random.choice(workers)
            begin = time.monotonic()
            target.kill_process(victim)
            kills += 1
            if not run.happens(lambda: replaced(target, victim, len(workers))):
                break
            recovered.append(time.monotonic() - begin)
            time.sleep(0.3)
        return Killed(load.stop(), kills, recovered, main_lives(target))


def main_lives(target: Target) -> bool:
    try:
        return bool(target.main())
    except StartFailed:
        return False


def replaced(target: Target, victim: int, count: int) -> bool:
    """As many workers as before, and it answers."""
    try:
        workers = target.workers()
    except StartFailed:
        return False
    return victim not in workers and len(workers) >= count and target.serves()


@check(
    "death.worker",
    title="A killed worker costs nobody anything",
    why="Workers die: of a fault in a handler, of the kernel's OOM killer.",
    chapter=KILL,
)
def death_worker(run: Run) -> Verdict:
    killed = run.once(workers_killed)
    outcome = killed.outcome
    return judge(
        outcome.failed == 0 and outcome.closed == 0,
        f"{outcome.detail()}, {outcome.closed} connections closed; {killed.kills} worker"
        f"{'' if killed.kills == 1 else 's'} killed",
        **outcome.figures(),
        kills=killed.kills,
    )


@check(
    "death.recovery",
    title="A killed worker is replaced",
    why="With each worker that is not, the others have more to do.",
    chapter=KILL,
)
def death_recovery(run: Run) -> Verdict:
    killed = run.once(workers_killed)
    longest = max(killed.recovered, default=0)
    figures = {"kills": killed.kills, "recovered": len(killed.recovered)}
    if len(killed.recovered) == killed.kills:
        return judge(
            True,
            f"{killed.kills} of {killed.kills} replaced, each within {1000 * longest:.0f} ms",
            longest_ms=round(1000 * longest, 1),
            **figures,
        )
    why = "" if killed.main_lives else ": the main process ended, too"
    return judge(False, f"not replaced within {run.options.patience:g} s{why}", **figures)


@dataclass
class Left:
    """What was left of a server whose main process was killed, and what a start then did."""

    seconds: float
    processes: int
    names: str
    start: str  # empty: it served again


def main_killed(run: Run) -> Left:
    target = run.fresh()
    begin = time.monotonic()
    target.kill_process(target.main())
    gone = run.happens(target.tree.gone)
    seconds = time.monotonic() - begin
    left = [] if gone else target.processes()
    named = names(left)
    # What was left may still answer, while the new one tries to get the port.
    patience = 1 if gone else run.options.patience
    output = run.new_folder("output")
    again = Target(run.spec, run.recorder, output, starter_timeout=patience)
    try:
        start = started_again(again)
    finally:
        run.end_server()
    return Left(seconds, len(left), named, start)


def started_again(again: Target) -> str:
    """What was wrong with it."""
    try:
        again.start()
    except StartFailed as error:
        return str(error)
    again.kill()
    return ""


@check(
    "death.main",
    title="Nothing is left of a server whose main process was killed",
    why="Workers without a main process serve old code that nobody can reload or stop.",
    chapter=KILL,
)
def death_main(run: Run) -> Verdict:
    left = run.once(main_killed)
    if not left.processes:
        return judge(True, f"all had gone after {left.seconds:.1f} s", seconds=left.seconds)
    return judge(
        False,
        f"after {left.seconds:.0f} s {left.processes} processes were left: {left.names}",
        left=left.processes,
    )


@check(
    "death.start_again",
    title="It starts again after that, without help",
    why="A pid file, a socket or a port that the dead one left would need a human at night.",
    chapter=KILL,
)
def death_start_again(run: Run) -> Verdict:
    left = run.once(main_killed)
    return judge(not left.start, left.start or "it serves again")
