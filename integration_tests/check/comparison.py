"""The reports of several servers side by side: tables for a terminal, and a page in Markdown."""

from __future__ import annotations

import math
import re
from typing import Any

from integration_tests.check.checks import BROKEN, GROUPS, HELD, NOT_APPLICABLE
from integration_tests.check.report import WORDS
from integration_tests.harness.table import Cell, Table

Report = dict[str, Any]

INTRO = """\
# Beside other servers

What do clients lose when a server is reloaded, when one of its workers is killed, when it stops?
Each server here was asked by the same program, one after another. All of this page is printed by

    ./setup --peers && bazel run //integration_tests:check -- {command}

in about {minutes} minutes. `--json FILE` keeps all that was measured, `--html FOLDER` a page with
the timeline of each server.

- Each is Debian's package (*ours* is this repository's server), set up and reloaded as its own
  manual says, with what loses least where the manual offers a choice: [see below](#the-servers).
  A reload that can be tested first is. Nobody closes a connection because it has served enough
  requests, where that can be set: it would be counted as the reload's.
- A request is *lost* when its connection is closed without the whole answer. The clients here ask
  once. A browser or a proxy asks again by itself, when it knows that this does no harm (RFC 9110,
  section 9.2.2): a lost GET may go unnoticed, a lost POST does not.
- A connection is *closed* when the server does that. When the answer before said so (*announced*,
  by `Connection: close`), the client knows, and nothing is lost but what it had sent behind that
  request already. Without a word, the next request may be on its way.
- This is one run. What crosses with a close is chance, and grows with the speed of the server and
  the number of clients: read whether requests are lost, not which server lost fewer. One lost
  request proves that it happens. A 0 only says that it did not happen here.
- Clients and server share the machine and its loopback device; the load when a server's turn began
  is given. The longest pause depends on that most.
- They do different work. Apache and lighttpd answer with a file, nginx and HAProxy out of their
  configuration, the others run a program. uWSGI's workers are behind its own router, which holds
  the connections and relays each request. All do much that *ours* does not.
- A verdict answers [what the check asks](../integration_tests/check/README.md#the-checks), and is no
  verdict on the server. Some is a choice: most of these are started by a service manager today,
  which sees to session, umask and folder, and starts what has ended.
- How fast they are is not compared here: see [what it costs](benchmarks.md). Nor are TLS, HTTP/2,
  memory, and what a proxy in front would hide.
"""


def tables(comparison: dict[str, Any]) -> str:
    """For a terminal."""
    reports = comparison["servers"]
    verdicts = _verdicts(reports, lambda check: f"  {check['name']}", lambda title: title, WORDS)
    return f"{verdicts.text()}\n\n{_figures(reports).text()}"


def page(comparison: dict[str, Any]) -> str:
    """In Markdown, with all that a reader needs to judge it and to repeat it."""
    reports = comparison["servers"]
    words = {**WORDS, BROKEN: "**broken**"}
    verdicts = _verdicts(reports, lambda check: check["title"], lambda title: f"**{title}**", words)
    about = [f"- {name}: {value}" for name, value in comparison["about"].items()]
    minutes = math.ceil(sum(report["seconds"] for report in reports) / 60)
    parts = [
        INTRO.format(command=comparison["command"], minutes=minutes).rstrip(),
        "\n".join(about),
        _with_reloads(_figures(reports), reports).markdown(),
        verdicts.markdown(),
        "## The servers",
        *(_server(report) for report in reports),
    ]
    return "\n\n".join(parts) + "\n"


def _verdicts(reports: list[Report], row: Any, group_row: Any, words: dict[str, str]) -> Table:
    """A row a check, a column a server."""
    rows: list[list[Cell]] = []
    group = ""
    columns = [{each["name"]: each["verdict"] for each in report["checks"]} for report in reports]
    for check in reports[0]["checks"]:
        if check["group"] != group:
            group = check["group"]
            rows.append([group_row(GROUPS[group]), *("" for _ in reports)])
        rows.append([row(check), *(words[column[check["name"]]] for column in columns)])
    for word in (HELD, BROKEN, NOT_APPLICABLE):
        counts = [str(list(column.values()).count(word)) for column in columns]
        rows.append([group_row(f"{word}, of {len(columns[0])}"), *counts])
    return Table("The verdicts", ["", *(report["target"]["name"] for report in reports)], rows)


def _figures(reports: list[Report]) -> Table:
    """A row a server: what its clients noticed, in numbers."""
    reloads = max(_figure(report, "reload.busy", "reloads") or 0 for report in reports)
    kills = max(_figure(report, "death.worker", "kills") or 0 for report in reports)
    head = [
        "server",
        f"lost in {reloads or 'the'} reloads",
        "connections closed",
        "longest pause",
        f"lost in {kills or 'the'} kills",
        "a stop answers",
        "and takes",
    ]
    rows = [
        [
            report["target"]["name"],
            _lost(report, "reload.busy", "reloads", reloads),
            _closed(report),
            _told(report, "reload.pause", "{longest_pause_ms:.0f} ms"),
            _lost(report, "death.worker", "kills", kills),
            _told(report, "stop.in_flight", "{answered} of {sent}"),
            _told(report, "stop.nothing_left", "{seconds:.1f} s"),
        ]
        for report in reports
    ]
    return Table("What a reload, a kill -9 of a worker and a stop cost", head, rows)


def _with_reloads(figures: Table, reports: list[Report]) -> Table:
    """The same for a page, which has room for more words."""
    rows = []
    for row, report in zip(figures.rows, reports):
        reload = report["target"]["reload"]
        rows.append([label(report), f"`{short(reload)}`" if reload else "–", *row[1:]])
    head = [figures.head[0], "how it reloads", *figures.head[1:]]
    return Table(figures.title, head, rows, left=2)


def _check(report: Report, name: str) -> dict[str, Any]:
    return next((each for each in report["checks"] if each["name"] == name), {})


def _figure(report: Report, check: str, name: str) -> Any:
    return _check(report, check).get("figures", {}).get(name)


def _told(report: Report, name: str, form: str) -> Cell:
    """Of the check's figures; its verdict when it has none, a dash when it was not asked for."""
    check = _check(report, name)
    try:
        return form.format(**check["figures"])
    except KeyError:
        return WORDS[check["verdict"]] if check else "–"


def _lost(report: Report, name: str, times: str, usual: int) -> Cell:
    often = _figure(report, name, times)
    exception = f" in {often}" if often not in (None, usual) else ""
    return _told(report, name, "{failed:,} of {requests:,}") + exception


def _closed(report: Report) -> Cell:
    told = _told(report, "reload.busy", "{connections_closed:,}")
    announced = _figure(report, "reload.busy", "connections_closed_announced")
    return f"{told} ({announced:,} announced)" if announced else told


def label(report: Report) -> str:
    """The server's name and the number of its version."""
    target = report["target"]
    number = re.search(r"\d+(\.\d+)+\S*", target["version"])
    return target["name"] + (f" {number[0].rstrip(')')}" if number else "")


def short(text: str) -> str:
    """Without the folders, which were there for this run only; {pid} as a reader would type it."""
    text = re.sub(r"(?:(?<=[\s>'\"])|^)/\S*/", "", text)
    return text.replace("{pid}", "PID")


def _server(report: Report) -> str:
    """How it was set up, and each verdict with its figures that is not held."""
    target = report["target"]
    lines = [f"### {label(report)}", ""]
    lines += [f"- {note}" for note in target["notes"]]
    lines += [
        f"- started with `{short(target['start'])}`, reloaded with `{short(target['reload'])}`, "
        f"stopped with `{short(target['stop'])}`",
        f"- {report['seconds']:.0f} s, load at the start {report['load']}",
    ]
    for word in (BROKEN, NOT_APPLICABLE):
        checks = [each for each in report["checks"] if each["verdict"] == word]
        if checks:
            lines += ["", f"{word.capitalize()}:", ""]
        for reason in dict.fromkeys(each["detail"] for each in checks):
            titles = "; ".join(each["title"] for each in checks if each["detail"] == reason)
            lines.append(f"- *{titles}*: {_in_a_line(reason)}")
    return "\n".join(lines)


def _in_a_line(text: str) -> str:
    """For Markdown, which must not take what a server said for its own marks."""
    text = " ".join(" ".join(dict.fromkeys(short(text).splitlines())).split())
    return re.sub(r"([*_<>|`\[\]])", r"\\\1", text)
