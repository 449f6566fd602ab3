"""Trees of processes: what /proc says of each at one moment, drawn moment by moment."""

from __future__ import annotations

import os
import xml.etree.ElementTree as xml
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon_methods.tests.proc_state import ProcState
from integration_tests.check import drawing
from integration_tests.check.markup import Child, node
from integration_tests.harness.processes import stat_fields

WIDTH, MARGIN = 900, 24
BOX, BOX_HEIGHT, ROW, INDENT = 184, 26, 34, 24
TINTS = 5


@dataclass(frozen=True)
class Process:
    """A process as it was, and what is told of it: words by the name of their column."""

    pid: int
    parent: int
    kin: Hashable  # those that have the same have the same color: their session
    name: str
    words: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(pid: int, **more: str) -> Process:
        """As /proc has it now."""
        state = ProcState.of(pid)
        words = {
            "parent": str(state.parent),
            "process group": str(state.group),
            "session": str(state.session),
            "terminal": terminal(state.terminal),
            "in the foreground": "yes" if foreground(pid) == state.group else "",
            "output": output(state.descriptors.get(1, "closed")),
            "hangup": hangup(state),
        }
        return Process(pid, state.parent, state.session, name_of(pid), words | more)


@dataclass(frozen=True)
class Moment:
    """The processes that there were, after something had happened."""

    caption: str
    processes: Sequence[Process]
    elsewhere: bool = False  # other processes than before, whatever their numbers


def name_of(pid: int) -> str:
    """Its command line when that is short, its name when not: `sleep 1000`, `keeper 0`."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().strip("\0").split("\0")
    line = " ".join([os.path.basename(words[0].lstrip("-")), *words[1:]])
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    return line if len(line) <= 16 and line.startswith(name) else name


def terminal(device: int) -> str:
    """/dev/pts/N has the major number 136."""
    return f"pts/{os.minor(device)}" if device else "none"


def foreground(pid: int) -> int:
    """The process group that its terminal's keys go to."""
    return int(stat_fields(pid)[5])


def output(target: str) -> str:
    """Where it goes, without the folder of this run."""
    return target if target.startswith("/dev/") else target.rpartition("/")[2]


def hangup(state: ProcState) -> str:
    return "ignores it" if "SIGHUP" in state.ignored else "ends by it"


def everything() -> list[int]:
    """Every process here, but for those that watch: this one, its ancestors, and strace."""
    found = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return sorted(pid for pid in found if not watches(pid))


def watches(pid: int) -> bool:
    if pid in (1, os.getpid()):
        return True
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "strace"
    except OSError:
        return True


def look(pids: Iterable[int] | None = None) -> list[Process]:
    """These processes now, or every one here; those that end meanwhile are left out."""
    found = []
    for pid in everything() if pids is None else pids:
        try:
            if stat_fields(pid)[0] != "Z":
                found.append(Process.of(pid))
        except (OSError, IndexError):
            continue
    return found


def ordered(processes: Sequence[Process]) -> Iterator[tuple[Process, int]]:
    """Each with its depth, children below their parents."""
    known = {process.pid for process in processes}

    def below(parent: int, depth: int) -> Iterator[tuple[Process, int]]:
        for process in processes:
            if process.parent == parent:
                yield process, depth
                yield from below(process.pid, depth + 1)

    for process in processes:
        if process.parent not in known:
            yield process, 0
            yield from below(process.pid, 1)


def tree(title: str, told: str, columns: Mapping[str, int], moments: Sequence[Moment]) -> str:
    """SVG. `columns`: their names, which are keys of a process's words, and where they begin."""
    tints: dict[Hashable, int] = {}
    for moment in moments:
        for process in moment.processes:
            tints.setdefault(process.kin, len(tints) % TINTS)
    parts: list[Child] = [_text(name, x, 32 + ROW, "head") for name, x in columns.items()]
    y, before = 32 + ROW, dict[int, Process]()
    for moment in moments:
        if moment.elsewhere:
            before = {}
        if moment is not moments[0]:
            parts.append(node("line", class_="rule", x1=MARGIN, x2=WIDTH - MARGIN, y1=y, y2=y))
            y += 24
        parts.append(_text(moment.caption, MARGIN, y, "caption"))
        y += 12
        now = {process.pid: process for process in moment.processes}
        ends = [process for pid, process in before.items() if pid not in now]
        places: dict[int, int] = {}
        for process, depth in ordered(sorted([*now.values(), *ends], key=lambda each: each.pid)):
            gone = process.pid not in now
            parts.append(_branch(depth, y, places.get(process.parent)))
            parts.append(
                _row(process, depth, y, columns, before.get(process.pid), tints, gone, bool(before))
            )
            places[process.pid] = y
            y += ROW
        y, before = y + 4, now
    return page(title, told, parts, y + 6)


def page(title: str, told: str, parts: Child, height: int) -> str:
    """A picture of its own, with the timeline's style."""
    sheets = [Path(drawing.__file__).with_name("drawing.css"), Path(__file__).with_name("tree.css")]
    style = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    svg = node(
        "svg",
        node("title", title),
        node("desc", told),
        node("style", style),
        node("rect", class_="paper", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=6),
        _text(title, MARGIN, 32, "title"),
        parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
    )
    return xml.tostring(svg, encoding="unicode") + "\n"


def _row(
    process: Process,
    depth: int,
    y: int,
    columns: Mapping[str, int],
    before: Process | None,
    tints: Mapping[Hashable, int],
    gone: bool,
    compare: bool,
) -> xml.Element:
    left = MARGIN + depth * INDENT
    cells = []
    for name, x in columns.items():
        word = process.words.get(name, "")
        new = compare and not gone and before and before.words.get(name) != word
        cells.append(_text(word, x, y + 18, "changed" if new else "cell"))
    return node(
        "g",
        node("rect", x=left, y=y, width=BOX, height=BOX_HEIGHT, rx=5),
        _text(process.name, left + 10, y + 18, "name"),
        _text(str(process.pid), left + BOX - 10, y + 18, "pid", text_anchor="end"),
        [_text("gone", left + BOX + 12, y + 18, "cell")] if gone else cells,
        class_="gone" if gone else f"tint-{tints[process.kin]}",
        data_pid=process.pid,
    )


def _branch(depth: int, y: int, parent: int | None) -> xml.Element | None:
    """From a parent's box to a child's."""
    if parent is None:
        return None
    x, middle = MARGIN + depth * INDENT, y + BOX_HEIGHT // 2
    return node("path", class_="branch", d=f"M{x - 12} {parent + BOX_HEIGHT}V{middle}H{x}")


def _text(text: str, x: float, y: float, class_: str, **more: str) -> xml.Element:
    return node("text", text, class_=class_, x=x, y=y, **more)
