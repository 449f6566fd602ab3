"""Anyone's own checks: one Python file in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from integration_tests.check.faulty import told
from integration_tests.check.profiles.registry import free_port
from integration_tests.harness.runfiles import runfile


def example() -> Path:
    return runfile("integration_tests/check/examples/same_answer.py").absolute().parent


def test_the_example_is_listed_with_the_others(check) -> None:
    done = check("--checks", example(), "--list")
    assert "answers.same              A reload does not change the answer  [--reload]" in done.out
    assert "reload.busy" in done.out


def test_the_example_is_held(check, tmp_path: Path) -> None:
    done = check(*told(tmp_path), "--checks", example(), "--only", "answers", "--json", "-")
    assert done.with_verdict("held") == {
        "answers.same": r"b'hello\n', and b'hello\n' after the reload"
    }
    assert done.status == 0


def test_the_example_finds_what_it_is_for(check, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("old")
    port = free_port()
    done = check(
        *("--start", f"{sys.executable} -m http.server {port} --bind 127.0.0.1"),
        *("--url", f"http://127.0.0.1:{port}/page", "--reload", "echo new > page"),
        *("--checks", example(), "--only", "answers.same", "--json", "-"),
    )
    assert done.with_verdict("broken") == {
        "answers.same": r"b'old', and b'new\n' after the reload"
    }
    assert done.status == 1


HEAD = "from integration_tests.check.checks import check, held\n"
OWN = "@check('own.one', title='Mine', why='It matters.'{more})\ndef one(run):\n    {body}\n"


@pytest.mark.parametrize(
    "text, says",
    [
        ("import nowhere\n", "own.py: ModuleNotFoundError: No module named 'nowhere'"),
        (OWN.format(more="", body="return True"), "the check own.one returned no verdict but True"),
        (
            OWN.format(more="", body="return held(str({}['x']))"),
            "the check own.one itself fails: KeyError: 'x' (",
        ),
        (
            OWN.format(more=", needs=['relod']", body="return held()"),
            "the check own.one needs 'relod', which is no flag, did you mean reload?",
        ),
        (
            OWN.replace("own.one", "one").format(more="", body="return held()"),
            "the name of a check is GROUP.NAME, and 'one' has no dot",
        ),
        (
            OWN.replace("own.one", "stop.port_free").format(more="", body="return held()"),
            "two checks are named stop.port_free",
        ),
    ],
)
def test_a_check_that_is_wrong(text: str, says: str, check, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.py").write_text(HEAD + text)
    done = check(*told(tmp_path), "--checks", "mine", "--only", "own")
    assert done.status == 2
    assert says in done.err and len(done.err.splitlines()) == 1, done.err
