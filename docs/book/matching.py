"""Does a run print what the chapter says? Numbers that differ from run to run match by their kind.

- a time of day, a date, /dev/pts/N, a number with a unit (ms, s, kB, MB, %, per second): any other;
- an integer of four digits or more, a process id for one: any other of two or more, but the same
  one wherever the transcript has the same, and another where it has another;
- every other number: exactly this one, so that "0 lost" means 0;
- `...` in a line: anything; `...` as a line of its own: any lines, or none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CLOCK = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d|\d\d:\d\d:\d\d(?:\.\d+)?"
UNIT = r"\d[\d,]*(?:\.\d+)? ?(?:ms|us|ns|s|kB|MB|KiB|MiB|%|requests per second)(?![\w])"
PTS = r"pts/\d+"
PID = r"(?<![\w.,:])\d{4,}(?![\w])|(?<=:)\d{4,5}(?!\d)"
TOKEN = re.compile(
    f"(?P<any>\\.\\.\\.)|(?P<clock>{CLOCK})|(?P<unit>{UNIT})|(?P<pts>{PTS})|(?P<pid>{PID})"
    r"|(?P<space> {2,})"
)


@dataclass(frozen=True)
class Names:
    """Which number of the run stands for which of the chapter."""

    pairs: tuple[tuple[str, str], ...] = ()

    def add(self, written: str, printed: str) -> Names | None:
        for known, value in self.pairs:
            if (known == written) != (value == printed):
                return None
        if (written, printed) in self.pairs:
            return self
        return Names((*self.pairs, (written, printed)))


def pattern_of(line: str) -> tuple[re.Pattern[str], list[str]]:
    """A regular expression whose groups are the numbers that have to be told apart."""
    pattern, pids, end = "", [], 0
    for token in TOKEN.finditer(line):
        pattern += re.escape(line[end : token.start()])
        end = token.end()
        kind = token.lastgroup
        if kind == "any":
            pattern += ".*?"
        elif kind == "clock":
            pattern += f"(?:{CLOCK})"
        elif kind == "unit":
            pattern += r"\d[\d,]*(?:\.\d+)?" + re.escape(re.sub(r"^[\d.,]+", "", token[0]))
        elif kind == "pts":
            pattern += PTS
        elif kind == "pid":
            pattern += r"(\d{2,})"
            pids.append(token[0])
        else:  # columns move with the numbers in them
            pattern += " +"
    pattern += re.escape(line[end:])
    # A number at the left of a column, too, may be narrower.
    return re.compile(re.sub(r"^(?:\\ )", r" *", pattern) + r"\Z"), pids


def match_line(written: str, printed: str, names: Names) -> Names | None:
    pattern, pids = pattern_of(written.rstrip())
    found = pattern.match(printed.rstrip())
    if not found:
        return None
    result: Names | None = names
    for pid, value in zip(pids, found.groups(), strict=True):
        result = result.add(pid, value) if result else None
    return result


def match_in_order(written: list[str], printed: list[str], names: Names) -> Names | None:
    if not written:
        return names if not printed else None
    if written[0].strip() == "...":
        for skipped in range(len(printed) + 1):
            if found := match_in_order(written[1:], printed[skipped:], names):
                return found
        return None
    if not printed:
        return None
    found = match_line(written[0], printed[0], names)
    return match_in_order(written[1:], printed[1:], found) if found else None


def match_in_any_order(written: list[str], printed: list[str], names: Names) -> Names | None:
    if not written:
        return names if not printed else None
    for index, line in enumerate(printed):
        if found := match_line(written[0], line, names):
            rest = printed[:index] + printed[index + 1 :]
            if found := match_in_any_order(written[1:], rest, found):
                return found
    return None


def match(
    written: list[str], printed: list[str], names: Names, any_order: bool = False
) -> Names | None:
    """The names after this, or None when the run prints something else."""
    compare = match_in_any_order if any_order else match_in_order
    return compare(tidy(written), tidy(printed), names)


def tidy(lines: list[str]) -> list[str]:
    """Without empty lines at both ends, and without blanks at the ends of lines."""
    lines = [line.rstrip() for line in lines]
    while lines and not lines[0]:
        lines = lines[1:]
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines
