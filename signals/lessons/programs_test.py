"""The lessons as programs: they run without a terminal, and leave nothing behind."""

import os
import pathlib
import subprocess
import sys
import time
import uuid

import pytest

LESSONS = sys.argv[1:]  # from BUILD
DEADLINE = 30
# What is killed can't clear up: its files are in a folder that Bazel empties.
FILES = os.environ.get("TEST_TMPDIR", "/tmp")


def start(lesson: str, mark: str, *arguments: str) -> subprocess.Popen:
    """Starts a lesson in a session of its own; `mark` is in its environment, and its children's."""
    return subprocess.Popen(
        [f"signals/lessons/{lesson}", *arguments],
        env={**os.environ, "LESSON_MARK": mark, "TMPDIR": FILES},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def marked(mark: str) -> list[int]:
    """The processes that carry the mark."""
    pids = []
    for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environ.read_bytes():
                pids.append(int(environ.parent.name))
        except OSError:
            continue  # it has ended
    return pids


def wait_until(what: str, condition) -> None:
    """Waits for a condition, and fails at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not in {DEADLINE} s: {what}"
        time.sleep(0.001)


@pytest.mark.parametrize("lesson", LESSONS)
def test_tells_and_leaves_nobody_behind(lesson: str) -> None:
    """It exits with 0, has something to say and no complaint."""
    mark = str(uuid.uuid4())
    program = start(lesson, mark)
    out, err = program.communicate(timeout=DEADLINE)
    assert (program.returncode, err) == (0, "")
    assert len(out.splitlines()) > 5
    assert marked(mark) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_killed_half_way_leaves_nobody_behind(lesson: str) -> None:
    """Its processes end with it, also when it can do nothing for that any more."""
    mark = str(uuid.uuid4())
    program = start(lesson, mark)
    wait_until("its processes play", lambda: len(marked(mark)) > 1 or program.poll() is not None)
    program.kill()
    program.communicate(timeout=DEADLINE)
    wait_until("all have gone", lambda: marked(mark) == [])


@pytest.mark.parametrize("lesson", LESSONS)
def test_explains_itself(lesson: str) -> None:
    """--help says what it is about; an unknown flag is a usage error."""
    helpful = start(lesson, "", "--help")
    out, _ = helpful.communicate(timeout=DEADLINE)
    assert helpful.returncode == 0
    assert "Usage" in out
    mistaken = start(lesson, "", "--no_such_flag")
    _, err = mistaken.communicate(timeout=DEADLINE)
    assert mistaken.returncode == 2
    assert "no_such_flag" in err


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider"]))
