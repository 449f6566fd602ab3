"""What the tour writes to: a terminal where figures change in place, or plain lines."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import textwrap
import time
from collections.abc import Iterator, Sequence

STDIN, STDOUT = 0, 1
MARGIN = "   "
WIDTH = 80  # of prose, on a wider terminal too
STYLES = {
    "title": "\033[1m",
    "command": "\033[1;36m",
    "output": "\033[2m",
    "good": "\033[32m",
    "old": "\033[33m",
    "bad": "\033[1;31m",
}
PLAIN = "\033[0m"
STYLE = re.compile(r"(\033\[[0-9;]*m)")


class Stopped(BaseException):
    """A signal asks for the end: SIGINT, SIGTERM, SIGHUP; SIGPIPE for a reader that has gone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Screen:
    """One thing below the other; only the last, the live lines, may change until settle()."""

    def __init__(self) -> None:
        self.terminal = os.isatty(STDOUT) and os.environ.get("TERM", "dumb") != "dumb"
        self._colors = self.terminal and not os.environ.get("NO_COLOR")
        self._encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self._live: list[str] = []

    # Words.

    def width(self) -> int:
        """Of a line; one less than the terminal's, which may go to the next after its last one."""
        columns = os.get_terminal_size(STDOUT).columns if self.terminal else 0
        return min(columns - 1 if columns > 0 else WIDTH, WIDTH)

    def style(self, name: str, text: str) -> str:
        return f"{STYLES[name]}{text}{PLAIN}" if self._colors and name and text else text

    def say(self, text: str = "", style: str = "", margin: str = MARGIN, then: str = "") -> None:
        """Prose, wrapped; lines after the first one also have the margin `then`."""
        for line in text.splitlines() or [""]:
            lines = textwrap.wrap(
                line,
                self.width(),
                initial_indent=margin,
                subsequent_indent=margin + then,
                break_long_words=False,
                break_on_hyphens=False,
            )
            self._write("".join(f"{self.style(style, each)}\n" for each in lines or [""]))

    def title(self, text: str) -> None:
        self.say()
        self.say(text, "title", margin="")

    def command(self, text: str) -> None:
        """As it can be typed, on several lines too."""
        room = self.width() - len(MARGIN) - 4
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        shown = f" \\\n{MARGIN}    ".join(self.style("command", line) for line in lines)
        self._write(f"{MARGIN}$ {shown}\n")

    def output(self, text: str) -> None:
        """What a command has said."""
        self.say(text.rstrip(), "output", then="  ")

    def bar(self, share: float) -> str:
        room = max(10, min(40, self.width() - 30))
        full = round(share * room)
        filled, empty = "█░" if self._encoding.lower().startswith("utf") else "#."
        return filled * full + empty * (room - full)

    # Live lines.

    def live(self, lines: Sequence[str]) -> None:
        """Draws them where the last ones were; without a terminal, settle() prints the last."""
        before, self._live = len(self._live), list(lines)
        if self.terminal:
            up = f"\r\033[{before}A" if before else ""
            rest = "\033[J" if before > len(lines) else ""
            width = self.width()
            drawn = "".join(f"{clip(MARGIN + line, width)}\033[K\n" for line in lines)
            self._write(up + drawn + rest)

    def settle(self) -> None:
        """They stay as they are."""
        if not self.terminal:
            self._write("".join(f"{clip(MARGIN + line, WIDTH)}\n" for line in self._live))
        self._live = []

    # The reader.

    @contextlib.contextmanager
    def quiet_keys(self) -> Iterator[None]:
        """What is typed meanwhile is not shown: it would push the live lines about."""
        try:
            before = termios.tcgetattr(STDIN) if self._keys() else None
        except termios.error:
            before = None
        if before is None:
            yield
            return
        silent = list(before)
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(STDIN, termios.TCSANOW, silent)
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):  # the terminal may have gone
                termios.tcsetattr(STDIN, termios.TCSAFLUSH, before)

    def _keys(self) -> bool:
        """Is there somebody who can type, and is it to us?"""
        try:
            return self.terminal and os.tcgetpgrp(STDIN) == os.getpgrp()
        except OSError:  # no terminal, or not ours
            return False

    def wait(self, seconds: float) -> bool:
        """Lets time pass; true, and sooner, when somebody has pressed Enter."""
        if not self._keys():
            time.sleep(seconds)
            return False
        if not select.select([STDIN], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):  # it has gone
            if os.read(STDIN, 4096):
                return True
        raise Stopped(signal.SIGHUP)

    def _write(self, text: str) -> None:
        # Not print(): what it could not write, it would try again at the end.
        data = text.encode(self._encoding, "replace")
        try:
            while data:
                data = data[os.write(STDOUT, data) :]
        except BrokenPipeError:
            raise Stopped(signal.SIGPIPE) from None
        except OSError:
            raise Stopped(signal.SIGHUP) from None


def clip(line: str, width: int) -> str:
    """Its first `width` letters, and all of its colors."""
    clipped = ""
    for piece in STYLE.split(line):
        if not STYLE.fullmatch(piece):
            piece, width = piece[:width], width - len(piece[:width])
        clipped += piece
    return clipped
