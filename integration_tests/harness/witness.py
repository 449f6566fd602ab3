"""Running the witness (//integration_tests/witness) and reading its account."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any, Optional

from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until

Setting = Any  # str, int, float, Path, bool or a list of them


def flags(settings: dict[str, Setting]) -> list[str]:
    """The command line for settings by name: `a=1, b=True, c=[2, 3]` is `--a 1 --b --c 2 --c 3`.

    None and False leave a setting out.
    """
    arguments = []
    for name, value in settings.items():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if each is True:
                arguments.append(f"--{name}")
            elif each is not None and each is not False:
                arguments += [f"--{name}", str(each)]
    return arguments


class Account(dict):
    """The witness's report: the keys of its JSON, and what tests ask of it most."""

    def summary(self) -> str:
        """What was not as it should be, for the message of a failed test."""
        bad = ["reset", "truncated", "wrong", "refused", "timed_out", "unasked"]
        counts = {name: self[name] for name in ["requests", "ok", *bad]}
        return json.dumps([counts, self["connections"], self["descriptions"]])

    def assert_clean(self) -> None:
        """No request lost or wrong."""
        assert self["lost"] + self["wrong"] + self["unasked"] == 0, self.summary()

    def assert_nothing_noticed(self) -> None:
        """Clean, and the server closed no connection: nobody could tell that it was replaced."""
        self.assert_clean()
        connections = self["connections"]
        assert connections["closed"] == 0, self.summary()
        wanted = connections["busy"] + connections["resting"]
        assert connections["connects"] == wanted, self.summary()


class Witness:
    """A witness at work in the background: `finish()` or `stop()` gives its account."""

    def __init__(self, folder: Path, **settings: Setting) -> None:
        """Settings are the witness's own, without the dashes: url=..., connections=64, ..."""
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / "account.json"
        self._errors = folder / "errors.txt"
        self.timeout_seconds = settings.get("timeout_ms", 10_000) / 1000
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.tree = ProcessTree(
                [runfile("integration_tests/witness/witness"), "--json", *flags(settings)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
            )
        self.exit_status: Optional[int] = None
        self._uses = 0
        self._heard = self._errors.open()

    def errors(self) -> str:
        """What it has said on its standard error."""
        return self._errors.read_text()

    def _said(self, line: str) -> int:
        if self.tree.poll() not in (None, 0, 1):
            raise RuntimeError(f"the witness failed: {self.errors()}")
        return self.errors().splitlines().count(f"witness: {line}")

    def _write(self, line: str) -> None:
        self.tree.stdin.write(line.encode() + b"\n")
        self.tree.stdin.flush()

    def wait_ready(self, timeout: float = 30) -> None:
        """Waits until each connection has had its first answer."""
        wait_until(lambda: self._said("ready"), timeout, "every connection's first answer")

    def use_resting(self, timeout: float = 30) -> None:
        """Has each resting connection used once, and waits for the answers."""
        self._uses += 1
        self._write("use")
        wait_until(
            lambda: self._said("used") >= self._uses, timeout, "every resting connection's answer"
        )

    def tell(self, timeout: float = 10) -> Account:
        """Its account so far. While it runs: afterwards finish() has the whole."""
        told = "witness: told "
        line = ""

        def whole() -> bool:
            nonlocal line
            line += self._heard.readline()
            if line.endswith("\n") and not line.startswith(told):
                line = ""  # of something else
            return line.endswith("\n")

        self._write("tell")
        wait_until(whole, timeout, "the witness to tell")
        return Account(json.loads(line.removeprefix(told)))

    def finish(self, timeout: float = 120) -> Account:
        """Waits for the end of its run."""
        self.exit_status = self.tree.wait(timeout)
        self.tree.kill_all()
        text = self._output.read_text()
        if self.exit_status not in (0, 1) or not text:
            raise RuntimeError(f"the witness failed ({self.exit_status}): {self.errors()}")
        return Account(json.loads(text))

    def stop(self) -> Account:
        """Ends the run: what is under way is finished first."""
        try:
            self.tree.signal(signal.SIGTERM)
        except ProcessLookupError:  # at its end already
            pass
        return self.finish(2 * self.timeout_seconds + 10)

    def kill(self) -> None:
        """For the end of a test."""
        self.tree.kill_all()
