"""A run's report as a page: one file, with its timeline, that needs nothing else to be read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from integration_tests.check.checks import BROKEN, HELD, NOT_APPLICABLE
from integration_tests.check.drawing import Drawing, Report, Span, figure, reload_span
from integration_tests.check.markup import Child, node
from integration_tests.check.report import headline
from integration_tests.check.signs import VERDICTS, legend, marks_legend

Check = dict[str, Any]

# Of a drawing with many checks in it; a longer one begins below it.
PANEL_SECONDS = 6


def render(report: Report) -> str:
    """The page."""
    styles = [
        Path(__file__).with_name(name).read_text(encoding="utf-8")
        for name in ("drawing.css", "page.css")
    ]
    title = f"check: {headline(report['target'])}"
    page = node(
        "html",
        node(
            "head",
            node("meta", charset="utf-8"),
            node("meta", name="viewport", content="width=device-width, initial-scale=1"),
            node("meta", name="color-scheme", content="light dark"),
            node("title", title),
            node("style", "".join(styles)),
        ),
        node(
            "body",
            header(report),
            node("main", closeup(report), whole_run(report), groups(report)),
            node("footer", f"{report['tool']['name']} {report['tool']['version']}"),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{ET.tostring(page, encoding='unicode', method='html')}\n"


# The head: what was judged, and how it came out.


def header(report: Report) -> ET.Element:
    target = report["target"]
    return node(
        "header",
        node(
            "div",
            node("p", "Daemon and reload check", class_="kicker"),
            node("h1", target["name"]),
            node("p", target["version"], class_="version") if target["version"] else None,
            counts(report),
        ),
        facts(report),
    )


def counts(report: Report) -> ET.Element:
    """A glyph for each check, in its group, and the three sums."""
    sums = [
        node("span", node("b", str(report[key])), f" {word}", class_=key if report[key] else None)
        for key, word in (("held", HELD), ("broken", BROKEN), ("not_applicable", NOT_APPLICABLE))
    ]
    strips = [
        node(
            "li",
            node("span", group["title"], class_="of"),
            node("span", [tile(check) for check in checks_of(report, group)], class_="tiles"),
        )
        for group in report["groups"]
    ]
    return node("div", node("p", sums, class_="sums"), node("ul", strips, class_="strip"))


def tile(check: Check) -> ET.Element:
    told = f"{check['verdict']}: {check['title']}"
    return node(
        "a",
        verdict(check),
        href=f"#{check['name']}",
        class_=f"tile {class_of(check)}",
        title=told,
        aria_label=told,
    )


def verdict(check: Check) -> ET.Element:
    """A tick, a cross or a dash."""
    return node(
        "svg",
        node("path", d=VERDICTS[check["verdict"]]),
        class_="verdict",
        viewBox="-7 -7 14 14",
        aria_hidden="true",
    )


def class_of(check: Check) -> str:
    return check["verdict"].replace(" ", "-")


def facts(report: Report) -> ET.Element:
    """What is needed to run it again."""
    target = report["target"]
    started = datetime.fromisoformat(report["started"])
    rows: list[tuple[str, Child]] = [
        (word, node("code", target[word.lower()]))
        for word in ("start", "reload", "stop", "URL")
        if target[word.lower()]
    ]
    if target["notes"]:
        rows.append(("settings", [node("p", note) for note in target["notes"]]))
    rows += [
        ("machine", report["machine"]),
        ("started", f"{started:%Y-%m-%d %H:%M:%S %z}"),
        ("seed", str(report["seed"])),
    ]
    return node("dl", [(node("dt", word), node("dd", text)) for word, text in rows], class_="facts")


# The timeline.


def drawn(drawing: Drawing) -> ET.Element:
    return drawing.svg(width="100%", role="img", aria_label=drawing.description())


def closeup(report: Report) -> Child:
    """One reload under load."""
    span = reload_span(report)
    if span is None:
        return None
    drawing = Drawing(report, *span)
    drawing.add_all(requests_height=168)
    return node(
        "section",
        node("h2", "One reload, from close by"),
        node("p", story(report, *span), class_="lead"),
        node("figure", drawn(drawing), key(report)),
    )


def story(report: Report, begin: float, end: float) -> str:
    """What the close-up shows, in figures."""
    timeline = report["timeline"]
    asked = next(m["at"] for m in timeline["marks"] if m["kind"] == "reload" and m["at"] >= begin)
    workers = [each for each in timeline["processes"] if each["role"] == "worker"]
    came = sum(asked <= each["born"] <= end for each in workers)
    went = [d for each in workers if (d := each["died"]) is not None and asked <= d <= end]
    failed = Counter(
        request["kind"]
        for request in timeline["requests"]
        if request["outcome"] == "failed" and asked <= request["end"] <= end
    )
    within = f" within {1000 * (max(went) - asked):.0f} ms" if went else ""
    told = ", ".join(f"{count} {kind}" for kind, count in failed.most_common())
    lost = f"{failed.total()} requests failed: {told}." if failed else "No request failed."
    return f"{came} workers came, {len(went)} went{within}. {lost}"


def key(report: Report) -> ET.Element:
    """How to read a drawing."""

    def sample(drawn: ET.Element, width: int, text: str) -> ET.Element:
        picture = node("svg", drawn, width=width, height=14, aria_hidden="true")
        return node("li", picture, node("span", text), class_=text)

    return node(
        "ul",
        [sample(drawn, 30, text) for drawn, text in legend()],
        [sample(drawn, 14, text) for drawn, text in marks_legend(report)],
        class_="key",
    )


def whole_run(report: Report) -> Child:
    """Everything on one axis."""
    if not report["groups"]:
        return None
    drawing = Drawing(report, 0, max(group["end"] for group in report["groups"]))
    spans = [
        Span(each["begin"], each["end"], (each["title"], each["name"]), link=f"#{each['name']}")
        for each in report["groups"]
    ]
    drawing.add_all(spans, requests_height=72, latency=False)
    return node(
        "section",
        node("h2", f"The whole run: {report['seconds']:.0f} seconds"),
        node("figure", drawn(drawing), None if reload_span(report) else key(report)),
    )


def groups(report: Report) -> Iterator[ET.Element]:
    for group in report["groups"]:
        checks = checks_of(report, group)
        sums = Counter(check["verdict"] for check in checks)
        yield node(
            "section",
            node("h2", group["title"], id=group["name"]),
            node("p", ", ".join(f"{sums[word]} {word}" for word in VERDICTS if sums[word])),
            [panel(report, together) for together in panels(checks)],
            node("ol", [entry(check) for check in checks], class_="checks"),
            class_="group",
        )


def checks_of(report: Report, group: dict[str, Any]) -> list[Check]:
    return [check for check in report["checks"] if check["group"] == group["name"]]


def panels(checks: Iterable[Check]) -> list[list[Check]]:
    """Checks that are drawn together: each drawing has its own scale of time."""
    found: list[list[Check]] = []
    for check in checks:
        if found and check["end"] - found[-1][0]["begin"] <= PANEL_SECONDS:
            found[-1].append(check)
        else:
            found.append([check])
    return found


def panel(report: Report, checks: list[Check]) -> Child:
    begin, end = checks[0]["begin"], checks[-1]["end"]
    if end - begin < 0.02:  # nothing but looks at what was there
        return None
    drawing = Drawing(report, begin, end)
    drawing.add_all(
        Span(
            check["begin"],
            check["end"],
            (check["title"], check["name"].partition(".")[2].replace("_", " ")),
            check["verdict"],
            f"#{check['name']}",
        )
        for check in checks
    )
    return node("figure", drawn(drawing))


# The checks.


def entry(check: Check) -> ET.Element:
    return node(
        "li",
        verdict(check),
        node(
            "div",
            node("h3", check["title"]),
            node("p", check["why"], class_="why"),
            node(
                "p",
                [node("code", word) for word in (check["name"], check["chapter"]) if word],
                class_="where",
            ),
        ),
        node(
            "div",
            node("p", node("b", check["verdict"]), detail_of(check), class_="detail"),
            figures(check["figures"]) if check["figures"] else None,
        ),
        id=check["name"],
        class_=class_of(check),
    )


def detail_of(check: Check) -> str:
    return f": {check['detail']}" if check["detail"] else ""


def figures(values: dict[str, Any]) -> ET.Element:
    rows = []
    for name, value in values.items():
        words = name.replace("_", " ")
        if isinstance(value, dict):
            value = ", ".join(f"{count} {kind}" for kind, count in value.items()) or "none"
        elif isinstance(value, float):
            value = figure(value)
        rows.append((node("dt", words), node("dd", str(value))))
    return node("details", node("summary", "figures"), node("dl", rows))
