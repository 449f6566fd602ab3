"""Clients that have lines printed by //integration_tests/handlers:prints.so, and what is found of
them in a log."""

import re
import threading
from collections import Counter
from pathlib import Path

from integration_tests.harness.client import Address, RawConnection

PRINTS = "integration_tests/handlers/prints.so"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
LINE = re.compile(
    rf"{TIME} (debug|info|warning|error) +(master|(?:keeper|worker|output) \d+) +(\d+)  (.*)"
)
PRINTED = re.compile(r"line (\d+) (\d+) of a length that is not short")


class Printing(threading.Thread):
    """A client that has lines printed, and remembers which were."""

    def __init__(self, address: Address, lines_each: int = 100) -> None:
        super().__init__()
        self._connection = RawConnection(address)
        self._target = f"/print?n={lines_each}"
        self._over = threading.Event()
        self.expected: Counter[tuple[int, int]] = Counter()
        self.failed: Exception | None = None

    def once(self) -> None:
        pid, first, end = map(int, self._connection.get(self._target).body.split())
        self.expected.update((pid, number) for number in range(first, end))

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self.once()
        except Exception as error:  # told by finish()
            self.failed = error

    def finish(self) -> Counter:
        self._over.set()
        if self.is_alive():
            self.join()
        self._connection.close()
        if self.failed:
            raise self.failed
        return self.expected


def printed(lines: list[str]) -> Counter[tuple[int, int]]:
    """The numbered lines, each with the pid that it says and that the log says."""
    found: Counter[tuple[int, int]] = Counter()
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, f"torn: {line!r}"
        if match[2].startswith("output") and match[4].startswith("line"):
            said = PRINTED.fullmatch(match[4])
            assert said, f"torn: {line!r}"
            assert said[1] == match[3], f"not the writer's pid: {line!r}"
            found[int(said[1]), int(said[2])] += 1
    return found


def all_lines(log: Path) -> list[str]:
    """Of the file and of those that it was renamed to: LOG, LOG.1, ..."""
    files = [log, *log.parent.glob(log.name + ".*")]
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]
