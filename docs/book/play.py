"""Plays the transcripts of one chapter, inside its place, and prints as JSON what was seen.

    play.py CHAPTER.md [--fresh]

--fresh: nothing is expected, so it waits for silence instead of for the lines in the chapter.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
from pathlib import Path

from daemon_methods.tests.systemd import Systemd
from daemon_methods.tests.terminal import PROMPT, Terminal
from docs.book import place
from docs.book.chapter import KEYS, Block, Step, transcripts
from docs.book.matching import Names, match
from integration_tests.harness import guard
from integration_tests.harness.processes import command_line, stat_fields
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until

HOME = Path("/tmp/reader")
CLONE = HOME / "graceful-daemons"
PROMPT_COMES, OUTPUT_COMES, SILENCE, TYPING = 60.0, 15.0, 1.0, 1.0


def make_clone() -> None:
    """The reader's clone: the sources, and what was built of them as bazel-bin."""
    runfiles = runfile("docs/book/reader.bash").absolute().parents[2]
    CLONE.mkdir(parents=True)
    (CLONE / "bazel-bin").symlink_to(runfiles)
    for entry in Path(__file__).resolve().parents[2].iterdir():
        if not entry.name.startswith(("bazel-", ".")):
            (CLONE / entry.name).symlink_to(entry)
    table = json.loads((runfiles / "docs/programs.json").read_text())["programs"]
    words = {label: " ".join(["./" + program[0], *program[1:]]) for label, program in table.items()}
    lines = [f"programs[{label}]={shlex.quote(program)}" for label, program in words.items()]
    # Debian's own bashrc, which bash reads before this, sets another prompt.
    lines = [f"PS1={shlex.quote(PROMPT)}", "declare -A programs", *lines]
    (HOME / "rc").write_text("\n".join([*lines, runfile("docs/book/reader.bash").read_text()]))


def boot_systemd() -> Systemd:
    """With the unit that the chapter is about, installed as it says."""
    folder = HOME / "systemd"
    for name in ("bin", "units"):
        (folder / name).mkdir(parents=True)
    program = runfile("daemon_methods/systemd_unit/systemd_unit").read_bytes()
    (folder / "bin/graceful-echo").write_bytes(program)
    (folder / "bin/graceful-echo").chmod(0o755)
    for unit in runfile("daemon_methods/systemd_unit/echo.service").parent.glob("echo*"):
        (folder / "units" / unit.name).write_text(unit.read_text())
    manager = Systemd(folder)
    manager.run("sh", "-c", f"echo {place.LAST_PID} > /proc/sys/kernel/ns_last_pid")
    functions = [
        f"{name}() {{ SYSTEMD_COLORS=0 SYSTEMD_PAGER= SYSTEMD_UNIT_PATH=/run/outside/units "
        f'{shlex.join(manager.inside(name))} "$@"; }}'
        for name in ("systemctl", "journalctl", "curl", "kill")
    ]
    with (HOME / "rc").open("a") as rc:
        rc.write("\n".join([*functions, ""]))
    return manager


class Window:
    """A terminal, its shell, and what it shows."""

    def __init__(self) -> None:
        os.environ["HOME"] = str(HOME)
        shell = ("bash", "--noprofile", "--rcfile", str(HOME / "rc"), "--noediting", "-i")
        self._terminal = Terminal(CLONE, shell)
        self.open = True

    def do(self, step: Step) -> None:
        if step.action == "close":
            self._terminal.hang_up()
            self.open = False
        elif step.text == "exit":
            self._terminal.exit_shell()
            self._terminal.close()
            self.open = False
        elif step.action == "key":
            self._terminal.press(KEYS[step.text])
        elif step.action == "type":
            self._let_jobs_begin()
            self._terminal.send(step.text)

    def _let_jobs_begin(self) -> None:
        """Nobody types so fast that what the last line started has not come to rest."""

        def begun(pid: int) -> bool:
            return stat_fields(pid)[0] != "R" and command_line(pid) != command_line(self._terminal.shell)

        def all_begun() -> bool:
            with contextlib.suppress(OSError):
                return all(begun(pid) for pid in guard.descendants(self._terminal.shell))
            return False

        # What is a copy of the shell for good, or always busy, is not waited for.
        with contextlib.suppress(TimeoutError):
            wait_until(all_begun, TYPING)

    def watch(self, prompt_comes: bool, expected, fresh: bool) -> list[str]:
        """What is shown until the prompt, and until it is what was expected, or time is up."""
        seen, quiet_since, begun = "", time.monotonic(), time.monotonic()
        while self.open:
            more = self._terminal.more(0.02)
            now = time.monotonic()
            if more:
                seen, quiet_since = seen + more, now
            lines = seen.replace(PROMPT, "").replace("\r", "").split("\n")
            prompt_seen = PROMPT in seen or not prompt_comes
            if prompt_seen and (now - quiet_since > SILENCE if fresh else expected(lines)):
                return lines
            patience = OUTPUT_COMES if prompt_seen else PROMPT_COMES
            if now - (quiet_since if prompt_seen else begun) > patience:
                return lines
        return []

    def close(self) -> None:
        if self.open:
            self._terminal.close()


def play(path: str, fresh: bool) -> None:
    script = transcripts(Path(path).read_text(encoding="utf-8"))
    make_clone()
    manager = boot_systemd() if any("systemd" in block.options for block in script) else None
    windows: dict[int, Window] = {}
    seen = []
    try:
        for block in script:
            if block.missing:
                seen.append(None)
                continue
            if block.window not in windows or not windows[block.window].open:
                windows[block.window] = Window()
            seen.append(play_block(block, windows[block.window], fresh))
    finally:
        for window in windows.values():
            window.close()
        if manager:
            manager.close()
    print(json.dumps(seen))


def play_block(block: Block, window: Window, fresh: bool) -> list[list[str]]:
    names, seen = Names(), []
    steps = block.steps
    for index, step in enumerate(steps):
        window.do(step)
        # A key has its effect on what runs; whatever stands next is done once this was seen.
        followed_by_key = index + 1 < len(steps) and steps[index + 1].action != "type"
        stays = step.action == "wait" or followed_by_key
        stays = stays or (block.runs_on and index + 1 == len(steps))

        def expected(lines: list[str], step: Step = step) -> bool:
            return match(step.expected, lines, names, block.any_order) is not None

        lines = window.watch(not stays, expected, fresh)
        names = match(step.expected, lines, names, block.any_order) or names
        seen.append(lines)
    return seen


if __name__ == "__main__":
    sys.exit(place.run_as_init(play, sys.argv[1], "--fresh" in sys.argv[2:]))
