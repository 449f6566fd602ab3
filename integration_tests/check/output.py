"""Output: what a rotation of the log loses."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from integration_tests.check.checks import NotApplicable, Verdict, broken, check, judge
from integration_tests.check.run import Run
from integration_tests.check.target import get

ROTATIONS = 3
RATE = 800  # requests a second
PROBES = 5


def lines_of(log: Path, pattern: re.Pattern[str]) -> int:
    """Lines about requests, in the log and in what became of it."""
    count = 0
    for file in log.parent.glob(log.name + "*"):
        count += sum(
            pattern.search(line) is not None
            for line in file.read_text(errors="replace").splitlines()
        )
    return count


@check(
    "output.rotation",
    title="No line is lost when the log is rotated",
    why="The lines of the moment in which something went wrong are those that one looks for.",
    chapter="docs/12-output.md",
    needs=["log_file", "rotate"],
)
def output_rotation(run: Run) -> Verdict:
    target = run.server()
    log = run.spec.folder / run.spec.log_file
    pattern = re.compile(run.spec.log_line)
    before = lines_of(log, pattern)
    for _ in range(PROBES):
        get(run.spec.url)
    if not run.happens(lambda: lines_of(log, pattern) >= before + PROBES, 3):
        raise NotApplicable(f"{log} does not get a line with '{pattern.pattern}' for each request")
    before = lines_of(log, pattern)
    with run.load(connections=8, max_rate=RATE) as load:
        load.wait_ready()
        for number in range(ROTATIONS):
            time.sleep(max(0.2, run.options.seconds / 12))
            os.rename(log, f"{log}.{number}")
            ran = target.command("rotate", run.spec.rotate)
            if not run.happens(log.exists):
                return broken(
                    f"renamed, {log} was not opened again; the command's exit status was "
                    f"{ran.status}"
                )
        time.sleep(max(0.2, run.options.seconds / 12))
        outcome = load.stop()
    answered = outcome.requests - outcome.failed
    run.happens(lambda: lines_of(log, pattern) - before >= answered, 5)
    written = lines_of(log, pattern) - before
    lost = max(0, answered - written)
    return judge(
        lost == 0,
        f"{lost} of {answered} lines lost in {ROTATIONS} rotations; {outcome.failed} requests "
        f"failed meanwhile; the command's exit status was {ran.status}",
        lines=answered,
        lost=lost,
        requests_failed=outcome.failed,
        rotations=ROTATIONS,
    )
