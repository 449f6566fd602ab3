"""The page and its drawings: all of a report is in them, and nothing that runs or is fetched."""

import copy
import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Iterator

import pytest

from integration_tests.check import page
from integration_tests.check.checks import BROKEN, HELD, NOT_APPLICABLE
from integration_tests.check.drawing import Drawing, picture, reload_span, span, ticks
from integration_tests.check.lanes import end_of, lanes
from integration_tests.harness.runfiles import runfile

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = {"meta", "link", "img", "br", "hr", "input"}
HOSTILE = "<script>alert('1')</script>\"'><img src=http://a.test/b onerror=alert(2)>&amp;\x1b[31m\0"


class Page(HTMLParser):
    """What a browser makes of it: elements, texts; and that each element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def assert_fetches_nothing(elements: list[tuple[str, dict[str, str]]], text: str) -> None:
    for tag, attributes in elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base", "use")
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href", "#").startswith("#")
        assert "url(" not in attributes.get("style", "")
    for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL):
        assert "url(" not in style and "@import" not in style


def process(pid: int, role: str, born: float, died: float | None, **more: Any) -> dict[str, Any]:
    made = {"pid": pid, "parent": 1, "role": role, "command": "server", "end": ""}
    return {**made, "born": born, "died": died, **more}


def request(begin: float, end: float, connection: int = 0, kind: str = "") -> dict[str, Any]:
    outcome = "failed" if kind else "answered"
    made = {"begin": begin, "end": end, "connection": connection}
    return {**made, "outcome": outcome, "kind": kind, "detail": ""}


def mark(at: float, kind: str, what: str = "kill -HUP 1") -> dict[str, Any]:
    return {"at": at, "pid": None, "what": what, "kind": kind}


def check(name: str, begin: float, end: float, verdict: str = HELD, **more: Any) -> dict[str, Any]:
    made = {"name": name, "group": name.partition(".")[0], "title": f"title of {name}"}
    made |= {"why": "because", "verdict": verdict, "detail": "so it was", "figures": {}}
    return {**made, "chapter": "docs/09.md", "begin": begin, "end": end, **more}


def report(checks: list[dict[str, Any]], **timeline: Any) -> dict[str, Any]:
    """One such as `--json` writes, of a run of ten seconds."""
    names = list(dict.fromkeys(each["group"] for each in checks))
    words = [each["verdict"] for each in checks]
    rate = {"bin": 0.1, "begin": 0, "answered": [], "failed": [], "p99_ms": []}
    return {
        "tool": {"name": "check", "version": "0"},
        "target": {
            "name": "some server",
            "version": "",
            "start": "server --daemonize",
            "url": "http://127.0.0.1:1/",
            "reload": "",
            "stop": "",
            "notes": [],
        },
        "started": "2026-01-01T00:00:00.000+00:00",
        "seconds": 10.0,
        "machine": "2 cores",
        "seed": 1,
        "held": words.count(HELD),
        "broken": words.count(BROKEN),
        "not_applicable": words.count(NOT_APPLICABLE),
        "groups": [{"name": name, "title": name, "begin": 0, "end": 10} for name in names],
        "checks": checks,
        "timeline": {"processes": [], "marks": [], "requests": [], "rate": rate, **timeline},
    }


def paths(drawn: ET.Element, word: str) -> list[ET.Element]:
    return [path for path in drawn.iter("path") if path.get("class") == word and path.get("d")]


def bars(drawn: ET.Element) -> Iterator[ET.Element]:
    return (each for each in drawn.iter("g") if (each.get("class") or "").startswith("process"))


def whole(made: dict[str, Any]) -> ET.Element:
    drawing = Drawing(made, 0, made["seconds"])
    drawing.add_all()
    return drawing.svg()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """A short run of this repository's server: its report, and its page."""
    folder = tmp_path_factory.mktemp("run")
    command = [runfile("integration_tests/check/check"), "--profile", "ours"]
    command += ["--only", "reload.busy,daemon.umask", "--seconds", "0.5", "--reloads", "2"]
    command += ["--json", folder / "run.json", "--html", folder / "run.html"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads((folder / "run.json").read_text()), (folder / "run.html").read_text()


def test_the_page_of_a_real_run_is_whole_and_needs_nothing_else(
    real: tuple[dict[str, Any], str],
) -> None:
    made, text = real
    seen = Page(text)
    assert_fetches_nothing(seen.elements, text)
    ids = [attributes.get("id") for _, attributes in seen.elements]
    for each in made["checks"]:
        assert ids.count(each["name"]) == 1
        assert each["detail"] in "".join(seen.texts)
    pids = {attributes["data-pid"] for _, attributes in seen.elements if "data-pid" in attributes}
    assert pids == {str(each["pid"]) for each in made["timeline"]["processes"]}


def test_each_process_has_a_lane_to_itself(real: tuple[dict[str, Any], str]) -> None:
    made, _ = real
    found = lanes(made["timeline"]["processes"], 0, made["seconds"])
    assert sum(len(lane) for _, lane in found) == len(made["timeline"]["processes"])
    for role, lane in found:
        assert {each["role"] for each in lane} == {role}
        for one, next_ in zip(lane, lane[1:]):
            assert end_of(one, made["seconds"]) <= next_["born"]


def test_a_picture_of_a_real_run_is_a_file_of_its_own(real: tuple[dict[str, Any], str]) -> None:
    made, _ = real
    text = picture(made, *span(made, "reload.busy"), title="Two reloads")
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg" and root.get("width") == "900"
    elements = [(each.tag.removeprefix(SVG), dict(each.attrib)) for each in root.iter()]
    assert_fetches_nothing(elements, text)
    assert "prefers-color-scheme: dark" in text
    assert len(root.findall(f".//{SVG}g[@class='mark reload']")) == 2


def test_each_failed_request_has_its_stroke_on_top_of_the_answered() -> None:
    answered = [request(0.01 * i, 0.01 * i + 0.001, i % 64) for i in range(900)]
    failed = [request(2, 2.5, 3, "closed"), request(2, 2, 3, "closed"), request(9, 9.9, 7, "wrong")]
    drawn = whole(report([check("reload.busy", 0, 10)], requests=answered + failed))
    strokes = {path.get("data-kind"): path.get("d").count("M") for path in paths(drawn, "lost")}
    assert strokes == {"closed": 2, "wrong": 1}
    order = [path.get("class") for path in drawn.iter("path") if path.get("class")]
    assert order.index("answered") < order.index("lost")
    assert "3 failed" in "".join(drawn.itertext())


def test_every_failure_is_drawn_however_many_there_are() -> None:
    failed = [request(i / 1000, i / 1000, i % 8, "refused") for i in range(9000)]
    made = report([check("reload.busy", 0, 10, BROKEN)], requests=failed)
    assert sum(path.get("d").count("M") for path in paths(whole(made), "lost")) == 9000
    assert Page(page.render(made)).texts.count("9,000 failed") == 2  # the run, and its check


def test_a_process_that_never_died_goes_on_to_the_end() -> None:
    processes = [process(7, "main", 2.5, None), process(8, "worker", 2.5, 5)]
    drawn = whole(report([check("a.b", 0, 10)], processes=processes))
    bodies = [each.find("rect[@class='body']") for each in bars(drawn)]
    places = [(each.get("x"), each.get("width")) for each in bodies if each is not None]
    assert places == [("25.000%", "75.000%"), ("25.000%", "25.000%")]


def test_a_killed_process_is_marked_where_it_died() -> None:
    killed = process(8, "worker", 0, 5, end="killed by SIGKILL")
    drawn = whole(report([check("a.b", 0, 10)], processes=[killed]))
    crosses = [each.get("x") for each in drawn.iter("svg") if each.get("class") == "killed"]
    assert crosses == ["50.000%"]


@pytest.mark.parametrize(
    "made",
    [
        report([]),
        report([check("stop.idle", 3, 3, NOT_APPLICABLE)]),
        report([check("a.b", 0, 10)], processes=[process(7, "main", 0, None)]),
        report([check("reload.busy", 0, 10)], marks=[mark(1, "reload"), mark(1, "unheard of")]),
    ],
    ids=["no checks", "nothing happened", "no requests", "no processes"],
)
def test_a_report_may_lack_anything(made: dict[str, Any]) -> None:
    text = page.render(made)
    assert_fetches_nothing(Page(text).elements, text)
    assert paths(whole(made), "lost") == paths(whole(made), "answered") == []
    ET.fromstring(picture(made, 0, 10))
    ET.fromstring(picture(made, 5, 5))


def test_hostile_words_are_only_words() -> None:
    hostile = check(f"a.{HOSTILE}", 0, 10, title=HOSTILE, why=HOSTILE, detail=HOSTILE)
    hostile |= {"chapter": HOSTILE, "figures": {HOSTILE: HOSTILE, "by": {HOSTILE: 1}}}
    made = report(
        [hostile],
        processes=[process(7, "main", 0, None, command=HOSTILE, end=HOSTILE)],
        marks=[mark(1, "reload", HOSTILE), mark(5, HOSTILE, HOSTILE)],
        requests=[request(1, 2, 0, HOSTILE)],
    )
    for name in ("name", "version", "start", "reload", "stop"):
        made["target"][name] = HOSTILE
    made["target"]["notes"] = [HOSTILE]
    text = page.render(made)
    seen = Page(text)
    assert_fetches_nothing(seen.elements, text)
    assert HOSTILE.replace("\x1b", "\ufffd").replace("\0", "\ufffd") in seen.texts
    root = ET.fromstring(picture(made, 0, 10, title=HOSTILE))
    assert_fetches_nothing([(each.tag.removeprefix(SVG), each.attrib) for each in root.iter()], "")


def test_the_close_up_is_of_the_reload_that_cost_most() -> None:
    made = report(
        [check("reload.busy", 1, 9)],
        marks=[mark(at, "reload") for at in (0.5, 2, 4, 6, 9.5)],
        requests=[request(2, 2.1, 0, "closed"), *(request(4, 4.2, i, "closed") for i in range(5))],
    )
    begin, end = reload_span(made) or (0, 0)
    assert 2.2 < begin < 4 and 4.2 < end <= 6
    made["timeline"]["requests"] = []
    begin, end = reload_span(made) or (0, 0)
    assert 2 < begin < 4 < end < 6
    made["timeline"]["marks"] = []
    assert reload_span(made) is None


@pytest.mark.parametrize("long", [0.003, 0.25, 1, 7.7, 41, 119])
def test_ticks_are_few_and_round(long: float) -> None:
    found = ticks(12.34, 12.34 + long)
    assert 3 <= len(found) <= 8
    assert all(12.34 <= at <= 12.34 + long for at in found)


BROWSER = shutil.which("chromium")


@pytest.mark.skipif(BROWSER is None, reason="there is no browser here: apt-get install chromium")
def test_no_width_needs_scrolling_sideways(real: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    made = copy.deepcopy(real[0])
    made["target"]["name"] = made["checks"][0]["detail"] = "a_name_without_end_" * 20
    framed = html.escape(page.render(made))
    widths = (390, 800, 1600)
    frames = "".join(f'<iframe width="{width}" srcdoc="{framed}"></iframe>' for width in widths)
    script = (
        "onload = () => document.title = 'needed: ' + [...document.querySelectorAll('iframe')]"
        ".map(frame => frame.contentDocument.documentElement.scrollWidth).join()"
    )
    (tmp_path / "frames.html").write_text(f"{frames}<script>{script}</script>")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --hide-scrollbars --dump-dom"
    shown = subprocess.run(
        [BROWSER, *flags.split(), f"--user-data-dir={tmp_path}", tmp_path / "frames.html"],
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert f"needed: {','.join(map(str, widths))}" in shown.stdout, shown.stderr
