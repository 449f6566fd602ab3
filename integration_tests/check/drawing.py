"""Draws an excerpt of a run's timeline: what lived, what was done to it, what its clients noticed.

A drawing is SVG whose x is in percent, so that it is as wide as there is room, with letters and
lines that keep their size. What a width has no room for is left out there, by a media query.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration_tests.check.lanes import Process, end_of, generation, lanes, reload_spans
from integration_tests.check.markup import Child, node
from integration_tests.check.room import LETTER, Room
from integration_tests.check.signs import MARKS, OTHER_MARK, VERDICTS, legend

Report = dict[str, Any]

# On a phone, on a tablet, on a desk: the least room of each, and the class of what is shown there.
PAGE_WIDTHS = {"s": 340, "m": 700, "l": 1120}
LANE_HEIGHTS = {"main": 15, "worker": 15, "other": 6}
LANE_GAP = 3
UNITS = 10_000  # of the x axis where it can't be in percent: in paths


def picture(
    report: Report,
    begin: float,
    end: float,
    *,
    width: int = 900,
    title: str = "",
    spans: Iterable[Span] = (),
) -> str:
    """A file of its own: this excerpt as SVG, for an <img> on light and on dark pages.

    `begin` and `end` are seconds of the run, as all times in the report: span() and reload_span()
    give such a pair. `spans` are named above it.
    """
    margin = 20
    inner = width - 2 * margin
    drawing = Drawing(report, begin, end, {"only": inner}, zero=begin)
    drawing.add_all(spans)
    drawing.add_legend()
    top = 44 if title else 16
    height = top + drawing.height + 12
    style = Path(__file__).with_name("drawing.css").read_text(encoding="utf-8")
    svg = node(
        "svg",
        node("title", title or drawing.description()),
        node("desc", drawing.description()),
        node("style", style),
        node("rect", class_="paper", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=6),
        node("text", title, class_="title", x=margin, y=28) if title else None,
        drawing.svg(x=margin, y=top, width=inner),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height:g}",
        width=width,
        height=f"{height:g}",
        role="img",
    )
    return ET.tostring(svg, encoding="unicode") + "\n"


def span(report: Report, check: str) -> tuple[float, float]:
    """When a check ran: `picture(report, *span(report, "reload.busy"))`."""
    for each in report["checks"]:
        if each["name"] == check:
            return each["begin"], each["end"]
    raise KeyError(f"the report has no check {check}")


def reload_span(report: Report, check: str = "reload.busy") -> tuple[float, float] | None:
    """One reload from close by: that of the check which cost most, or the one in the middle.

    None when there was no reload in it.
    """
    timeline = report["timeline"]
    try:
        first, last = span(report, check)
    except KeyError:
        return None
    asked = [mark["at"] for mark in timeline["marks"] if mark["kind"] == "reload"]
    marks = [at for at in asked if first <= at < last]
    if not marks:
        return None
    failures = sorted(r["end"] for r in timeline["requests"] if r["outcome"] == "failed")
    nexts = [*marks[1:], last]
    cost = [sum(a <= end < b for end in failures) for a, b in zip(marks, nexts)]
    chosen = cost.index(max(cost)) if any(cost) else len(marks) // 2
    at, until = marks[chosen], nexts[chosen]
    events = [end for end in failures if at <= end < until]
    for process in timeline["processes"]:
        events += [t for t in (process["born"], process["died"]) if t and at <= t < until]
    long = max(0.25, 1.35 * (max(events, default=at) - at))
    # What is done next is not in it.
    return max(first, at - 0.25 * long), at + min(0.98 * (until - at), long)


@dataclass(frozen=True)
class Span:
    """What has a name above a drawing: a check, or a group of them."""

    begin: float
    end: float
    names: Sequence[str]  # the longest that there is room for is shown
    verdict: str = ""
    link: str | None = None


class Drawing:
    """An excerpt, drawn from top to bottom: each add_...() continues below the last one."""

    def __init__(
        self,
        report: Report,
        begin: float,
        end: float,
        widths: dict[str, int] | None = None,
        zero: float = 0,
    ) -> None:
        self.begin = begin
        self.end = max(end, begin + 1e-3)
        self.height = 0.0
        self._report = report
        self._timeline = report["timeline"]
        self._room = Room(PAGE_WIDTHS if widths is None else widths)
        self._zero = zero
        self._parts: list[ET.Element] = []
        self._marks = [m for m in self._timeline["marks"] if begin <= m["at"] <= self.end]
        self._requests = [
            r for r in self._timeline["requests"] if r["begin"] < self.end and r["end"] >= begin
        ]

    def svg(self, **attributes: Any) -> ET.Element:
        return node("svg", self._parts, class_="drawing", height=f"{self.height:g}", **attributes)

    def add_all(
        self, spans: Iterable[Span] = (), requests_height: int = 104, latency: bool = True
    ) -> None:
        """Every band for which there is something."""
        self.add_spans(spans)
        self.add_marks()
        top = self.height
        self.add_lanes()
        if self._requests:
            self.add_requests(requests_height)
            self.add_rate("answered", "answered a second", 1 / self._timeline["rate"]["bin"], "")
            if latency:
                self.add_rate("p99_ms", "99 % took at most", 1, " ms")
        self._add_mark_lines(top)
        self.add_axis()

    def description(self) -> str:
        """In words, for those who don't see it."""
        kinds = Counter(mark["kind"] for mark in self._marks)
        done = ", ".join(f"{count} × {kind}" for kind, count in kinds.items()) or "nothing"
        alive = sum(len(lane) for _, lane in self._lanes())
        return (
            f"{self.end - self.begin:.2f} seconds: {done}; {alive} processes; "
            f"{len(self._failed())} requests failed"
        )

    # The bands.

    def add_spans(self, spans: Iterable[Span]) -> None:
        """What is above: names with a line as long as they took."""
        shown = [each for each in spans if each.begin < self.end and each.end > self.begin]
        if not shown:
            return
        y = self.height + 12
        for each in shown:
            begin, end = max(each.begin, self.begin), min(each.end, self.end)
            room = self._share(begin, end)
            parts: list[Child] = [
                node(
                    "line", class_="span", x1=self._x(begin), x2=self._x(end), y1=y + 8, y2=y + 8
                ),
                node("line", class_="span", **self._upright(begin, y - 9, y + 8)),
            ]
            indent = 20 if each.verdict else 5
            for name, where in self._room.longest(each.names, room, indent):
                parts.append(self._text(name, self._x(begin), y, f"name {where}", dx=indent))
                if each.verdict:
                    sign = VERDICTS[each.verdict]
                    parts.append(self._glyph(sign, begin, y - 4, f"verdict {where}", 11))
            group = node("a", parts, href=each.link) if each.link else node("g", parts)
            group.append(node("title", each.names[0]))
            group.set("class", each.verdict.replace(" ", "-"))
            self._parts.append(group)
        self.height += 24

    def add_marks(self) -> None:
        """What was done to the server, where there is room with a word for it."""
        if not self._marks:
            return
        y = self.height + 11
        nexts = [*(mark["at"] for mark in self._marks[1:]), self.end]
        places = [(self._share(self.begin, mark["at"]), mark["kind"]) for mark in self._marks]
        for mark, after, shifts in zip(self._marks, nexts, self._room.side_by_side(places)):
            for shift, where in shifts:
                self._parts.append(self._mark(mark, after, y, shift, where))
        self.height += 24

    def _mark(
        self, mark: dict[str, Any], after: float, y: float, shift: float, where: str
    ) -> ET.Element:
        kind, at = mark["kind"], mark["at"]
        return node(
            "g",
            node("title", f"{self._seconds(at)}, {kind}: {mark['what']}"),
            self._glyph(MARKS.get(kind, OTHER_MARK), at, y, dx=shift),
            [
                self._text(word, self._x(at), y + 4, f"word {fits}", dx=f"{shift + 11:g}")
                for word, fits in self._room.longest([kind], self._share(at, after), shift + 18)
            ],
            class_=f"mark {kind} {where}".strip(),
        )

    def _add_mark_lines(self, top: float) -> None:
        """Below everything else, down from the marks, and how long each reload took."""
        below = [
            self._rect(
                max(begin, self.begin), min(end, self.end), top, self.height - top, "during"
            )
            for begin, end in reload_spans(self._timeline)
            if begin < self.end and end > self.begin
        ]
        below += [
            node("line", class_=f"at {mark['kind']}", **self._upright(mark["at"], top, self.height))
            for mark in self._marks
        ]
        self._parts[:0] = below

    def add_lanes(self) -> None:
        """A bar for each process; how it was killed lies on top of its successor's."""
        found = self._lanes()
        if not found:
            return
        self._heading(["processes"])
        killed = []
        for role, processes in found:
            height = LANE_HEIGHTS[role]
            for process in processes:
                self._parts.append(self._bar(process, height))
                if "killed" in process["end"] and (process["died"] or math.inf) <= self.end:
                    y = self.height + height / 2
                    killed.append(self._glyph(MARKS["kill"], process["died"], y, "killed"))
            self.height += height + LANE_GAP
        self._parts += killed
        self.height += 4

    def _bar(self, process: Process, height: float) -> ET.Element:
        """A process: a bar from its birth, which has a strong edge, to its death."""
        role, y = process["role"], self.height
        begin, end = max(process["born"], self.begin), end_of(process, self.end)
        kind = role
        if role == "worker":
            kind += " even" if generation(process, self._timeline["marks"]) % 2 == 0 else " odd"
        died = "still alive" if process["died"] is None else f"to {self._seconds(process['died'])}"
        told = f"{role} {process['pid']}, {self._seconds(process['born'])} {died}"
        parts: list[Child] = [
            node("title", "\n".join(filter(None, [told, process["end"], process["command"]]))),
            self._rect(begin, end, y, height, "body"),
        ]
        if process["born"] >= self.begin:
            parts.append(node("rect", class_="edge", x=self._x(begin), y=y, width=2, height=height))
        if role != "other":
            # A report may call a process by a name of its own.
            called = process.get("name", role)
            names = [f"{called} {process['pid']}", str(process["pid"])]
            for name, where in self._room.longest(names, self._share(begin, end), 11):
                parts.append(self._text(name, self._x(begin), y + 11.5, f"pid {where}", dx=8))
        return node("g", parts, class_=f"process {kind}", data_pid=process["pid"])

    def add_requests(self, height: int) -> None:
        """One line a connection; what failed ends at a bar, and lies on top."""
        failed = self._failed()
        kinds = Counter(request["kind"] for request in failed)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        self._heading(
            ["requests, by connection" + self._sampled(), "requests, by connection"],
            f"{len(failed):,} failed",
            told,
            bool(failed),
        )
        connections = self._connections()
        strokes: dict[str, list[str]] = {}
        for request in self._requests:
            begin, end = self._units(request["begin"]), self._units(request["end"])
            share = (request["connection"] + 0.5) / connections(request)
            path = f"M{begin} {4 + share * (height - 8):.1f}h{max(1, end - begin)}"
            if request["outcome"] == "failed":
                path += "m0-3v6"
            strokes.setdefault(request["kind"], []).append(path)
        # Answered ones have no kind: they come first, the others lie on them.
        paths = [
            node(
                "path",
                node("title", f"{kind or 'answered'}: {len(strokes[kind])} drawn"),
                class_="lost" if kind else "answered",
                data_kind=kind or None,
                d="".join(strokes[kind]),
            )
            for kind in sorted(strokes)
        ]
        self._parts.append(self._stretched(paths, height, "requests"))
        self.height += height + 6

    def _sampled(self) -> str:
        """How many of the answered requests are drawn."""
        width = self._timeline["rate"]["bin"]
        answered = sum(
            count * (min(at + width, self.end) - max(at, self.begin)) / width
            for at, count in self._bins("answered")
        )
        drawn = len(self._requests) - len(self._failed())
        return f": {drawn:,} of some {max(answered, drawn):,.0f} answered, and all that failed"

    def add_rate(self, name: str, title: str, factor: float, unit: str) -> None:
        """A figure for each bin of time, as an area."""
        height = 26
        bins = self._bins(name)
        peak = max((value for _, value in bins), default=0)
        if not peak:
            return
        self._heading([title], f"peak {figure(factor * peak)}{unit}")
        path = ""
        for at, value in bins:
            left, right = self._units(at), self._units(at + self._timeline["rate"]["bin"])
            y = round(height * (1 - value / peak), 1)
            path += f"{'L' if path else 'M'}{left} {y}H{right}"
        left = path[1:].partition(" ")[0]
        paths = [
            node("path", class_="area", d=f"{path}V{height}H{left}Z"),
            node("path", class_="edge", d=path),
        ]
        self._parts.append(self._stretched(paths, height, "rate"))
        self.height += height + 6

    def add_axis(self) -> None:
        y = self.height + 1
        self._parts.append(node("line", class_="axis", x1="0", x2="100%", y1=y, y2=y))
        for at in ticks(self.begin - self._zero, self.end - self._zero):
            share = self._share(self.begin, at + self._zero)
            anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
            self._parts += [
                node("line", class_="axis", **self._upright(at + self._zero, y, y + 4)),
                self._text(
                    f"{at:g} s", self._x(at + self._zero), y + 15, "tick", text_anchor=anchor
                ),
            ]
        self.height += 22

    def add_legend(self) -> None:
        """How to read it, in a line."""
        y = self.height + 18
        x = 0.0
        for sample, text in legend():
            self._parts += [
                node("svg", sample, x=f"{x:g}", y=f"{y - 10:g}", width=30, height=14),
                self._text(text, f"{x + 36:g}", y + 1, "key"),
            ]
            x += 36 + LETTER * len(text) + 14
        self.height += 28

    # Where things are.

    def _share(self, begin: float, end: float) -> float:
        return (end - begin) / (self.end - self.begin)

    def _x(self, at: float) -> str:
        return f"{100 * self._share(self.begin, at):.3f}%"

    def _units(self, at: float) -> int:
        return round(UNITS * min(max(self._share(self.begin, at), -0.1), 1.1))

    def _seconds(self, at: float) -> str:
        return f"{at - self._zero:.2f} s"

    def _bins(self, name: str) -> list[tuple[float, float]]:
        """When each began, and its figure; while there are requests in this excerpt."""
        rate = self._timeline["rate"]
        begin = max(self.begin, min(request["begin"] for request in self._requests))
        end = min(self.end, max(request["end"] for request in self._requests))
        starts = [rate["begin"] + index * rate["bin"] for index in range(len(rate[name]))]
        return [
            (at, value)
            for at, value in zip(starts, rate[name])
            if at + rate["bin"] > begin and at < end
        ]

    def _lanes(self) -> list[tuple[str, list[Process]]]:
        return lanes(self._timeline["processes"], self.begin, self.end)

    def _failed(self) -> list[dict[str, Any]]:
        return [request for request in self._requests if request["outcome"] == "failed"]

    def _connections(self) -> Callable[[dict[str, Any]], int]:
        """How many connections there were beside a request's: each check has a load of its own."""
        most = 1 + max(request["connection"] for request in self._timeline["requests"])
        counts = []
        for check in self._report["checks"]:
            begin, end = check["begin"], check["end"]
            beside = [
                request["connection"]
                for request in self._timeline["requests"]
                if begin <= request["begin"] <= end
            ]
            if beside:
                counts.append((begin, end, 1 + max(beside)))
        return lambda request: next(
            (count for begin, end, count in counts if begin <= request["begin"] <= end), most
        )

    # Pieces.

    def _heading(
        self, names: Sequence[str], right: str = "", more: str = "", alarming: bool = False
    ) -> None:
        """The name of the band below, as long as there is room, and a figure at its other end."""
        y = self.height + 12
        for name, where in self._room.longest(names, 0.8):
            self._parts.append(self._text(name, "0", y, f"band {where}"))
        if right:
            told = self._text(
                right, "100%", y, "figure lost" if alarming else "figure", text_anchor="end"
            )
            if more:
                told.append(node("title", more))
            self._parts.append(told)
        self.height += 18

    def _text(self, text: str, x: str, y: float, class_: str, **more: Any) -> ET.Element:
        return node("text", text, class_=class_.strip(), x=x, y=f"{y:g}", **more)

    def _upright(self, at: float, top: float, bottom: float) -> dict[str, Any]:
        x = self._x(at)
        return {"x1": x, "x2": x, "y1": f"{top:g}", "y2": f"{bottom:g}"}

    def _rect(self, begin: float, end: float, y: float, height: float, class_: str) -> ET.Element:
        width = f"{100 * self._share(begin, end):.3f}%"
        return node(
            "rect", class_=class_, x=self._x(begin), y=f"{y:g}", width=width, height=height
        )

    def _glyph(
        self, path: str, at: float, y: float, class_: str = "glyph", dx: float = 0
    ) -> ET.Element:
        disk = node("circle", r=8) if class_ == "glyph" else None
        drawn = node("g", disk, node("path", d=path))
        if dx:
            drawn.set("transform", f"translate({dx:g} 0)")
        return node("svg", drawn, class_=class_, x=self._x(at), y=f"{y:g}", overflow="visible")

    def _stretched(self, paths: Child, height: float, class_: str) -> ET.Element:
        """Paths know no percent: their x goes to UNITS, whatever the width."""
        return node(
            "svg",
            paths,
            class_=class_,
            y=f"{self.height:g}",
            width="100%",
            height=f"{height:g}",
            viewBox=f"0 0 {UNITS} {height:g}",
            preserveAspectRatio="none",
        )


def ticks(begin: float, end: float) -> list[float]:
    """Round moments, five to eight or so."""
    raw = (end - begin) / 6
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.ceil(begin / step - 1e-9), math.floor(end / step + 1e-9)
    return [round(number * step, 6) + 0.0 for number in range(first, last + 1)]


def figure(value: float) -> str:
    """With three digits or so that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
