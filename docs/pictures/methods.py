"""Pictures of how a process leaves its terminal (chapters 1 to 7)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from daemon_methods.tests import echo_units
from daemon_methods.tests.methods import DAEMON_CALL, DOUBLE_FORK, FOREGROUND
from daemon_methods.tests.terminal import Terminal
from docs.pictures.matrix import matrix
from docs.pictures.tree import Moment, Process, everything, look, tree
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until

COLUMNS = {"parent": 300, "process group": 400, "session": 530, "terminal": 640}
STEP_SECONDS = 0.3


def names() -> list[str]:
    return [process.name for process in look()]


def hung_up(
    shell: Terminal, told: Callable[[], list[Process]]
) -> tuple[list[Process], list[Process]]:
    """Before the terminal closes, and after it, when one process is left."""
    before = told()
    shell.hang_up()
    wait_until(lambda: len(everything()) == 1, what="the hangup to have its effect")
    return before, told()


def terminal_closes(folder: Path) -> str:
    columns = {"parent": 300, "process group": 380, "session": 510, "terminal": 600}
    columns["in the foreground"] = 700
    with Terminal(folder) as shell:
        shell.run("sleep 1000 | cat &")
        shell.run("setsid sleep 2000 &")
        shell.send("sort | less")
        jobs = ["bash", "cat", "less", "sleep 1000", "sleep 2000", "sort"]
        wait_until(lambda: sorted(names()) == jobs, what="the jobs")
        before, after = hung_up(shell, look)
    return tree(
        "One terminal, one session, and a process that left it",
        "A shell with a job in the foreground, a job in the background and a process that has "
        "called setsid. When the terminal closes, only the last one is left.",
        columns,
        [
            Moment("Two jobs and a daemon", before),
            Moment("The terminal was closed", after),
        ],
    )


def nohup(folder: Path) -> str:
    columns = {"parent": 300, "session": 370, "terminal": 450, "SIGHUP": 540, "output": 640}

    def told() -> list[Process]:
        return [
            replace(p, words={**p.words, "SIGHUP": p.words["hangup"]})
            for p in look()
        ]

    with Terminal(folder) as shell:
        shell.run(f"{FOREGROUND} --port 0 &")
        shell.run(f"nohup {FOREGROUND} --port 0 > log.txt 2>&1 < /dev/null &")
        wait_until(lambda: names().count("foreground") == 2, what="two servers")
        wait_until(lambda: "serving" in (folder / "log.txt").read_text(), what="the second one")
        before, after = hung_up(shell, told)
    return tree(
        "The same server with & and with nohup &",
        "A shell has started the same server twice, once with nohup. When the terminal closes, "
        "the one with nohup lives on: it ignores SIGHUP.",
        columns,
        [
            Moment("foreground & nohup foreground &", before),
            Moment("The terminal was closed", after),
        ],
    )


def steps(
    shell: Terminal, command: str, wanted: Sequence[tuple[str, Callable[[list[Process]], bool]]]
) -> list[Moment]:
    """Types a command whose fork, setsid and exit each take a while, and looks in between.

    strace(1), out of the way in a session of its own, delays the calls and changes nothing else.
    `wanted`: captions, in the order in which they come true.
    """
    delay = f"delay_enter={int(STEP_SECONDS * 1e6)}"
    calls = "clone,clone3,fork,vfork,setsid,fchdir,chdir,exit_group"
    strace = f"strace -DDD -f -qq -o /dev/null -e trace={calls} -e inject={calls}:{delay}"
    shell.send(f"{strace} {command}")
    moments = []
    for caption, holds in wanted:

        def now(holds: Callable[[list[Process]], bool] = holds) -> list[Process] | None:
            found = look()
            return found if holds(found) else None

        moments.append(Moment(caption, wait_until(now, 20, caption)))
    return moments


def of_program(name: str) -> Callable[[list[Process]], list[Process]]:
    return lambda processes: [process for process in processes if process.name == name]


def daemon_call(folder: Path) -> str:
    ours = of_program("daemon_call")
    with Terminal(folder) as shell:
        moments = steps(
            shell,
            f"{DAEMON_CALL} --port 0 --pid_file pid --log_file log.txt",
            [
                ("The shell has started the program", lambda all_: len(ours(all_)) == 1),
                ("daemon(3) has forked", lambda all_: len(ours(all_)) == 2),
                (
                    "The parent has exited; the child has called setsid(2)",
                    lambda all_: [p.pid == p.kin for p in ours(all_)] == [True],
                ),
            ],
        )
    return tree(
        "daemon(3): one fork, and a new session",
        "A shell starts a program, the program forks, its parent exits, and the child leads a "
        "session without a terminal.",
        COLUMNS,
        moments,
    )


def double_fork(folder: Path) -> str:
    ours = of_program("double_fork")

    def leader(processes: list[Process]) -> bool:
        return any(process.pid == process.kin for process in ours(processes))

    with Terminal(folder) as shell:
        moments = steps(
            shell,
            f"{DOUBLE_FORK} --port 0 --pid_file pid --log_file log.txt",
            [
                ("1. The starter opens what can fail", lambda all_: len(ours(all_)) == 1),
                ("2. First fork", lambda all_: len(ours(all_)) == 2),
                ("3. setsid: a session without a terminal", leader),
                ("4. Second fork", lambda all_: len(ours(all_)) == 3),
                (
                    "5. The middle one exits; the starter waits for a word from the daemon",
                    lambda all_: len(ours(all_)) == 2,
                ),
                (
                    "6. \u201cReady\u201d came through the pipe: the starter exits with 0",
                    lambda all_: len(ours(all_)) == 1 and not leader(all_),
                ),
            ],
        )
    return tree(
        "The double fork, step by step",
        "Starter, intermediate and daemon, from the shell's command until the starter exits: the "
        "daemon leads neither its session nor its process group.",
        COLUMNS,
        moments,
    )


def config_flag(folder: Path) -> str:
    server, handler = runfile("reload/server").resolve(), runfile("reload/handlers/echo.so")
    columns = {"parent": 300, "process group": 370, "session": 490, "terminal": 570, "output": 650}
    with Terminal(folder) as shell:
        said = shell.run(
            f"{server} --daemonize --port 0 --worker_num 2 --handler {handler.resolve()} "
            f"--pid_file {folder}/pid --log_file {folder}/log --control_socket {folder}/control"
        )
        assert shell.status() == 0, said
        now = shown_as_master(look())
    return tree(
        "A server that daemonizes itself, and its shell",
        "Master, keepers and workers of a daemonized server are in a session of their own; the "
        "shell that started it is in another.",
        columns,
        [Moment("The shell has its prompt back", now)],
    )


def shown_as_master(processes: list[Process]) -> list[Process]:
    """The first process of our server, by the name that the chapters have for it."""
    return [
        replace(process, name="master") if process.name == "server" else process
        for process in processes
    ]


def systemd(folder: Path) -> str:
    columns = {"parent": 300, "session": 370, "terminal": 450, "cgroup": 540}
    with echo_units.boot(folder) as manager:
        manager.do("start", "echo")
        # As systemd itself sees them, and with the cgroups that it has made.
        found = manager.run("ps", "-eo", "pid=,ppid=,sid=,tty=,comm=,cgroup=").stdout
    processes = []
    for line in found.splitlines():
        pid, parent, session, tty, name, cgroup = line.split(None, 5)
        if name == "ps":
            continue
        words = {"parent": parent, "session": session, "terminal": tty.replace("?", "none")}
        words["cgroup"] = cgroup.removeprefix("0::")
        processes.append(Process(int(pid), int(parent), int(session), name, words))
    return tree(
        "A unit is a cgroup below systemd",
        "PID 1 is systemd; the server is its child, in a cgroup of its own, without a terminal.",
        columns,
        [Moment("systemctl start echo has returned", processes)],
    )


def signals(folder: Path) -> str:
    told = subprocess.run(
        [runfile("signals/lessons/who_gets_it")], capture_output=True, text=True, check=True
    ).stdout
    events: dict[str, dict[str, str]] = {}
    for event, who in re.findall(r"^  (\S.*?): {2,}(.* got .*)$", told, re.M):
        hits = re.findall(r"(\w+) got (SIG\w+) from", who)
        events[re.sub(r" \(.*\)", "", event)] = dict(hits)
    rows = [
        ("leads the session", ["shell"]),
        ("in the foreground", ["sort", "less"]),
        ("in the background", ["make", "compiler"]),
        ("stopped", ["editor"]),
        ("has called setsid", ["daemon"]),
    ]
    assert {name for hits in events.values() for name in hits} <= {n for _, g in rows for n in g}
    return matrix(
        "Who gets the signal",
        "A key reaches the process group in the foreground, kill one process or one group, and "
        "nothing of that the daemon.",
        rows,
        events,
    )
