"""Which method outlives its terminal? Each is started in a shell, which is then ended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from daemon_methods.tests.methods import EVENTS, METHODS, Outcome, outcome_of, start
from daemon_methods.tests.terminal import BASH, DASH, LOGIN_BASH, Terminal

LIVES = Outcome(lives=True, output_survives=True)
MUTE = Outcome(lives=True, output_survives=False)
DIES = Outcome(lives=False, output_survives=False)

# What is out of the shell's reach, and still prints to its terminal.
BEYOND_THE_SHELL = {
    "Ctrl-C": LIVES,
    "exit": LIVES,
    "exit, window closes": MUTE,
    "hangup": MUTE,
    "kill -9 shell": LIVES,
    "kill -HUP": DIES,
}

EXPECTED = {
    # A foreground run has the terminal: nobody can type `exit` while it runs.
    "foreground": {"Ctrl-C": DIES, "hangup": DIES, "kill -9 shell": DIES, "kill -HUP": DIES},
    # `&` alone. Folklore says that it dies with its shell. It dies only when bash itself is hung
    # up, for bash passes that on; after `exit` and `kill -9` it even prints, as long as somebody
    # holds the other end of the terminal (why ssh does not return). A window that closes with its
    # shell takes the output away, and still not the process.
    "background": BEYOND_THE_SHELL | {"hangup": DIES},
    # No job of bash any more: nothing is passed on. Its output has nowhere to go.
    "disown": BEYOND_THE_SHELL,
    # A session of its own: the terminal's hangup cannot reach it. The same for its output.
    "setsid": BEYOND_THE_SHELL,
    "nohup": dict.fromkeys(EVENTS, LIVES),
    # A daemon is out of the terminal's reach, not of a SIGHUP that somebody sends it: servers give
    # that a meaning of their own ("read your configuration again"), this one has none.
    "daemon_call": dict.fromkeys(EVENTS, LIVES) | {"kill -HUP": DIES},
    "double_fork": dict.fromkeys(EVENTS, LIVES) | {"kill -HUP": DIES},
    # The real server, with the double fork's own library. SIGHUP: it reads its configuration again.
    "config_flag": dict.fromkeys(EVENTS, LIVES),
}

CASES = [(method, event) for method, events in EXPECTED.items() for event in events]


@pytest.mark.parametrize(("method", "event"), CASES)
def test_what_an_event_leaves(
    method: str, event: str, terminal: Terminal, tmp_path: Path
) -> None:
    """The table above, case by case."""
    running = start(METHODS[method], terminal, tmp_path)
    assert outcome_of(event, running) == EXPECTED[method][event]


def test_dash_passes_no_hangup_on(tmp_path: Path) -> None:
    """The same `&` and the same closed window, under /bin/sh: the job lives."""
    with Terminal(tmp_path, DASH) as terminal:
        running = start(METHODS["background"], terminal, tmp_path)
        assert outcome_of("hangup", running) == MUTE


@pytest.mark.parametrize(
    ("shell", "option", "expected"),
    [
        (BASH, "-s", LIVES),
        (LOGIN_BASH, "-s", DIES),
        (LOGIN_BASH, "-u", LIVES),
    ],
    ids=["set, no login shell", "set, login shell", "unset, login shell"],
)
def test_huponexit_is_for_login_shells(
    shell: tuple[str, ...], option: str, expected: Outcome, tmp_path: Path
) -> None:
    """`shopt -s huponexit` makes `exit` kill jobs, and only where bash(1) says: a login shell."""
    method = dataclasses.replace(METHODS["background"], before=f"shopt {option} huponexit")
    with Terminal(tmp_path, shell) as terminal:
        assert outcome_of("exit", start(method, terminal, tmp_path)) == expected
