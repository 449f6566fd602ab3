"""The table, for methods whose answers are as far apart as they get."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree
from pathlib import Path

from daemon_methods.comparison import UNIT, why_not
from integration_tests.harness.runfiles import runfile

COMPARE = runfile("daemon_methods/compare")


def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPARE, *arguments], capture_output=True, text=True, check=False)


def test_the_table_tells_methods_apart(tmp_path: Path) -> None:
    picture = tmp_path / "table.svg"
    names = ["foreground", "double_fork"] + [UNIT] * (not why_not(UNIT))
    chosen = [argument for name in names for argument in ("--method", name)]
    done = compare("--json", "--svg", str(picture), *chosen)
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["methods"]
    assert list(cells) == names

    foreground, double_fork = cells["foreground"], cells["double_fork"]
    assert foreground["survives closing the window"] == "no"
    assert double_fork["survives closing the window"] == "yes"
    assert double_fork["a failing start shows by"] == "status, reason"
    assert double_fork["comes back after a crash"] == "no"
    if UNIT in cells:
        assert cells[UNIT]["comes back after a crash"] == "yes"
        assert cells[UNIT]["output goes to"] == "journal"

    text = "{http://www.w3.org/2000/svg}text"
    shown = [node.text for node in xml.etree.ElementTree.parse(picture).iter(text)]
    for answers in cells.values():
        for question, answer in answers.items():
            assert question in shown
            assert answer in shown


def test_it_asks_only_what_it_is_asked_for() -> None:
    asked = ("--question", "its session", "--question", "output goes")
    done = compare("--method", "double_fork", *asked)
    assert done.stdout.splitlines() == [
        "                   double_fork",
        "leads its session  no",
        "output goes to     log.txt",
    ]
    mistaken = compare("--question", "price")
    assert mistaken.returncode == 2
    assert "'price': no question has these words" in mistaken.stderr
    assert "comes back after a crash" in mistaken.stderr


def test_a_picture_that_cannot_be_written_is_told() -> None:
    done = compare("--svg", "/nowhere/table.svg", "--method", "foreground")
    assert done.returncode == 1
    assert done.stderr == "compare: /nowhere/table.svg: No such file or directory\n"
