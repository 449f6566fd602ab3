"""A run's report for a terminal, as JSON, and as JUnit XML."""

from __future__ import annotations

import json
import textwrap
import xml.etree.ElementTree as ET
from typing import Any

from integration_tests.check.checks import BROKEN, HELD, NOT_APPLICABLE

COLORS = {HELD: "\033[32m", BROKEN: "\033[1;31m", NOT_APPLICABLE: "\033[2m"}
RESET = "\033[0m"
WORDS = {HELD: "held", BROKEN: "BROKEN", NOT_APPLICABLE: "n/a"}
WIDTH = 100
INDENT = " " * 10


def as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=1) + "\n"


def headline(target: dict[str, Any]) -> str:
    version = f" ({target['version']})" if target["version"] else ""
    return f"{target['name']}{version} at {target['url']}"


def check_lines(check: dict[str, Any], colors: bool) -> str:
    """A verdict; for one that is broken also why that matters and where to read on."""
    word = check["verdict"]
    shown = WORDS[word].ljust(8)
    if colors:
        shown = COLORS[word] + shown + RESET
    lines = [f"  {shown}{check['title']}  [{check['name']}]"]
    if check["detail"]:
        lines += _wrapped(check["detail"])
    if word == BROKEN:
        chapter = f" See {check['chapter']}." if check["chapter"] else ""
        lines += _wrapped(f"{check['why']}{chapter}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    lines = []
    for line in text.splitlines():
        lines += textwrap.wrap(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT) or [""]
    return lines


def summary(report: dict[str, Any]) -> str:
    """The last line."""
    return (
        f"{report['held']} held, {report['broken']} broken, "
        f"{report['not_applicable']} not applicable, in {report['seconds']:.0f} s"
    )


def as_junit(report: dict[str, Any]) -> str:
    """One test case a check, for the CI of whoever runs it."""
    name = report["target"]["name"]
    suite = ET.Element(
        "testsuite",
        name=f"check {name}",
        tests=str(len(report["checks"])),
        failures=str(report["broken"]),
        skipped=str(report["not_applicable"]),
        time=str(report["seconds"]),
        timestamp=report["started"],
    )
    for check in report["checks"]:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"check.{name}.{check['group']}",
            name=check["name"],
            time=f"{check['end'] - check['begin']:.3f}",
        )
        text = f"{check['title']}: {check['detail']}"
        if check["verdict"] == BROKEN:
            failure = ET.SubElement(case, "failure", message=text)
            failure.text = f"{check['why']}\n{json.dumps(check['figures'])}\n{check['chapter']}"
        elif check["verdict"] == NOT_APPLICABLE:
            ET.SubElement(case, "skipped", message=check["detail"])
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
