"""A real shell on a real pseudo-terminal, and the ways in which one ends."""

from __future__ import annotations

import os
import pty
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pexpect
from pexpect import fdpexpect

PROMPT = "ready> "
BASH = ("bash", "--norc", "--noprofile", "--noediting", "-i")
LOGIN_BASH = ("bash", "--login", "--noprofile", "--noediting", "-i")
DASH = ("dash", "-i")


class Terminal:
    """The master side of a terminal, and the shell that leads the session on its other side."""

    def __init__(self, folder: Path, shell: Sequence[str] = BASH, timeout: float = 20) -> None:
        self.shell, self._master = pty.fork()
        if self.shell == 0:
            self._become(folder, shell)
        # Or the shell of the next terminal would hold this one open.
        os.set_inheritable(self._master, False)
        self._open = True
        self._reaped = False
        self.seen = ""  # what it has shown, as far as somebody has waited for it
        self._expect = fdpexpect.fdspawn(self._master, encoding="utf-8", timeout=timeout)
        self._expect.expect_exact(PROMPT)
        self.run("stty -echo")

    @staticmethod
    def _become(folder: Path, shell: Sequence[str]) -> None:
        try:
            os.chdir(folder)
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
            # TERM=dumb: no escape sequences between the words that a test looks for.
            os.execvpe(shell[0], shell, keep | {"PS1": PROMPT, "TERM": "dumb"})
        finally:
            os._exit(127)

    def send(self, line: str) -> None:
        """Types a line."""
        self._expect.sendline(line)

    def press(self, key: str) -> None:
        """Presses a key: a byte such as "\\x03"."""
        self._expect.send(key)

    def more(self, seconds: float) -> str:
        """What it shows within this time, up to the first pause; empty when that is nothing."""
        try:
            return self._expect.read_nonblocking(1 << 16, timeout=seconds)
        except (pexpect.EOF, pexpect.TIMEOUT, OSError):
            return ""

    def run(self, line: str) -> str:
        """Types a line and returns what is printed until the next prompt."""
        self.send(line)
        return self.wait_for_prompt()

    def wait_for_prompt(self) -> str:
        """Returns what is printed until the next prompt."""
        self._expect.expect_exact(PROMPT)
        self.seen += self._expect.before
        return self._expect.before.replace("\r\n", "\n")

    def status(self) -> int:
        """The exit status of the last command."""
        # What jobs print at the same time stands around it.
        return int(re.findall(r"status=(\d+)", self.run('echo "status=$?"'))[-1])

    def shows(self, text: str, timeout: float = 20) -> bool:
        """Whether the text was printed, or comes before the terminal ends or time is up."""
        if text in self.seen:
            return True
        if not self._open:
            return False
        try:
            self._expect.expect_exact(text, timeout=timeout)
        except (pexpect.EOF, pexpect.TIMEOUT, OSError):
            return False
        self.seen += self._expect.before + self._expect.after
        return True

    def interrupt(self) -> None:
        """Presses Ctrl-C, and returns when the shell has its prompt again."""
        self._expect.send("\x03")
        self.wait_for_prompt()

    def exit_shell(self) -> None:
        """Types `exit`."""
        self.send("exit")
        self._reap()

    def kill_shell(self) -> None:
        """Kills the shell, as the OOM killer would."""
        os.kill(self.shell, signal.SIGKILL)
        self._reap()

    def hang_up(self) -> None:
        """Closes the terminal's window: every SIGHUP that follows was sent when this returns."""
        self._close()
        self._reap()

    def close(self) -> None:
        """Leaves neither a shell nor a terminal, however the test went."""
        self._close()
        if not self._reaped:
            os.kill(self.shell, signal.SIGKILL)
        self._reap()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._master)

    def _reap(self) -> None:
        if not self._reaped:
            os.waitpid(self.shell, 0)
            self._reaped = True

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
