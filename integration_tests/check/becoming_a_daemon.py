"""Becoming a daemon: what the one who started it gets, and what is left of him."""

from __future__ import annotations

import socket

from integration_tests.check.by_hand import DESCRIPTOR, UMASK, Findings, findings
from integration_tests.check.checks import NotApplicable, Verdict, check, judge
from integration_tests.check.run import Run
from integration_tests.check.target import Address, environment
from integration_tests.harness.processes import ProcessTree

TERMINAL = "docs/01-terminal.md"
DAEMON_CALL = "docs/03-daemon-call.md"
DOUBLE_FORK = "docs/04-double-fork.md"
CONFIG_FLAG = "docs/05-config-flag.md"

STARTER_LIMIT = 20  # seconds, for a start that fails to say so


def need_daemon(run: Run) -> None:
    if not run.server().daemon:
        raise NotApplicable(
            "it stays in the foreground, and whoever starts it there sees to this for it"
        )


def started_by_hand(run: Run) -> Findings:
    need_daemon(run)
    return run.once(findings)


@check(
    "daemon.starter",
    title="The starter returns when the server serves, and not before",
    why="A script that starts it goes on to use it, and believes exit status 0.",
    chapter=DOUBLE_FORK,
)
def daemon_starter(run: Run) -> Verdict:
    need_daemon(run)
    target = run.fresh()
    seconds, status = target.starter_seconds, target.starter_status
    serves = "" if target.served_at_once else ", when it did not yet serve"
    return judge(
        status == 0 and target.served_at_once,
        f"the starter ended with status {status} after {seconds:.2f} s{serves}",
        status=status,
        seconds=round(seconds, 3),
        served_at_once=target.served_at_once,
    )


@check(
    "daemon.session",
    title="A session of its own",
    why="What belongs to the shell's session gets the signals that are meant for the shell's jobs.",
    chapter=TERMINAL,
)
def daemon_session(run: Run) -> Verdict:
    found = started_by_hand(run)
    main, shell = found.main, found.shell
    leads = "which it leads" if main.session == main.pid else "whose leader has gone"
    own = main.session != shell.session
    detail = f"session {main.session}, {leads}" if own else "the session of the shell"
    return judge(own, detail, session=main.session, leader=main.session == main.pid)


@check(
    "daemon.terminal",
    title="No controlling terminal",
    why="A terminal that goes away takes with it whoever it controls.",
    chapter=TERMINAL,
)
def daemon_terminal(run: Run) -> Verdict:
    main = started_by_hand(run).main
    return judge(main.terminal == 0, "none" if main.terminal == 0 else "that of the shell")


@check(
    "daemon.parent",
    title="Its parent is init",
    why="A daemon whose parent lives may become a zombie that nobody reaps.",
    chapter=DAEMON_CALL,
)
def daemon_parent(run: Run) -> Verdict:
    found = started_by_hand(run)
    orphan = found.main.parent == found.daemons_parent
    return judge(
        orphan,
        "an orphan: it was adopted" if orphan else f"its parent is process {found.main.parent}",
    )


@check(
    "daemon.folder",
    title="Not in the folder where it was started",
    why="A file system can't be unmounted while a daemon has its working directory there.",
    chapter=DAEMON_CALL,
)
def daemon_folder(run: Run) -> Verdict:
    folder = started_by_hand(run).main.folder
    stays = folder == str(run.spec.folder.resolve())
    return judge(not stays, f"in {folder}" + (", where it was started" if stays else ""))


@check(
    "daemon.umask",
    title="A umask of its own",
    why="The rights of its files would depend on who started it.",
    chapter=DOUBLE_FORK,
)
def daemon_umask(run: Run) -> Verdict:
    umask = started_by_hand(run).main.umask
    whose = ", the shell's" if umask == UMASK else ""
    return judge(umask != UMASK, f"umask {umask:03o}{whose}", umask=f"{umask:03o}")


@check(
    "daemon.standard_streams",
    title="Descriptors 0, 1 and 2 are open, and not the terminal",
    why="Output to a terminal that has gone is an error, and a closed descriptor 1 becomes the "
    "number of the next file or connection.",
    chapter=DAEMON_CALL,
)
def daemon_standard_streams(run: Run) -> Verdict:
    descriptors = started_by_hand(run).main.descriptors
    streams = [descriptors.get(number, "closed") for number in range(3)]
    bad = ("closed", "/dev/pts", "/dev/tty")
    wrong = [each for each in streams if each.startswith(bad)]
    return judge(not wrong, ", ".join(streams), streams=streams)


@check(
    "daemon.inherited",
    title="No inherited descriptors",
    why="What the shell had open stays open for as long as the daemon lives: a lock, a pipe that "
    "somebody waits on, a deleted file.",
    chapter=DOUBLE_FORK,
)
def daemon_inherited(run: Run) -> Verdict:
    inherited = started_by_hand(run).inherited
    detail = f"the shell's descriptor 7 ({DESCRIPTOR}) is open in {len(inherited)} of its processes"
    return judge(not inherited, detail if inherited else "none", processes=len(inherited))


@check(
    "daemon.pid_file",
    title="The pid file names the main process",
    why="Whoever stops or reloads it signals what that file says.",
    chapter=CONFIG_FLAG,
    needs=["pid_file"],
)
def daemon_pid_file(run: Run) -> Verdict:
    found = started_by_hand(run)
    said = found.pid_file_text.split()
    locked = found.pid_file_locked
    lock = "locked" if locked else "not locked: a stale one is known by its pid only"
    right = bool(said) and said[0] == str(found.main.pid)
    return judge(right, f"{found.pid_file_text.strip()!r}, {lock}", locked=locked)


@check(
    "daemon.second_start",
    title="A second start is refused, and says so",
    why="Two servers on one pid file or one log are a mistake that nobody notices at first.",
    chapter=CONFIG_FLAG,
)
def daemon_second_start(run: Run) -> Verdict:
    found = started_by_hand(run)
    status, said = found.second_status, (found.second_said.splitlines() or [""])[-1]
    told = f"status {status}, " + (f"said: {said}" if said else "said nothing")
    if not found.first_lives:
        return judge(False, f"the first does not serve any more; {told}", status=status)
    if found.second_left:
        return judge(False, f"processes that are left of it: {found.second_left}; {told}", status=status)
    if found.pid_file_after != found.pid_file_text:
        left = f"says {found.pid_file_after.strip()!r}" if found.pid_file_after else "has gone"
        return judge(False, f"the pid file of the first {left}; {told}", status=status)
    # Those that count a second start as done (LSB) have to say at least why nothing happened.
    return judge(status != 0 or bool(said), told, status=status, said=found.second_said)


@check(
    "daemon.failing_start",
    title="A start that fails says so",
    why="A daemon that fails after its starter has said 'done' is found dead much later.",
    chapter=DOUBLE_FORK,
)
def daemon_failing_start(run: Run) -> Verdict:
    run.server()
    run.end_server()
    address = Address.of(run.spec.url)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    path = run.new_folder("failing")
    with socket.create_server((address.host, address.port), family=family), path.open("wb") as out:
        run.recorder.mark("start", "with its port in use")
        tree = ProcessTree(
            ["/bin/sh", "-c", run.spec.start],
            cwd=run.spec.folder,
            env=environment(),
            stdout=out,
            stderr=out,
        )
        with tree:
            run.recorder.watch(tree.guard_pid)
            ended = run.happens(lambda: tree.poll() is not None, STARTER_LIMIT)
            status = tree.poll()
            run.recorder.forget(tree.guard_pid)
    said = path.read_text(errors="replace").strip()
    last = (said.splitlines() or [""])[-1]
    if not ended:
        return judge(False, f"with its port in use, it has not ended after {STARTER_LIMIT} s")
    told = f"said: {last[:160]}" if last else "said nothing"
    return judge(
        status != 0, f"with its port in use, status {status}, {told}", status=status, said=said
    )


def survives(run: Run, event: str) -> Verdict:
    found = started_by_hand(run)
    if event not in found.survives:
        raise NotApplicable("it did not live so long")
    lives = found.survives[event]
    return judge(lives, "it serves" if lives else "it has ended")


@check(
    "daemon.survives_ctrl_c",
    title="Survives Ctrl-C",
    why="Ctrl-C in the shell is meant for the command that runs there now.",
    chapter=TERMINAL,
)
def daemon_survives_ctrl_c(run: Run) -> Verdict:
    return survives(run, "Ctrl-C")


@check(
    "daemon.survives_exit",
    title="Survives the end of the shell",
    why="People log out.",
    chapter=TERMINAL,
)
def daemon_survives_exit(run: Run) -> Verdict:
    return survives(run, "exit")


@check(
    "daemon.survives_hangup",
    title="Survives the closing of its terminal",
    why="A connection that breaks, or a window that is closed, sends SIGHUP.",
    chapter=TERMINAL,
)
def daemon_survives_hangup(run: Run) -> Verdict:
    return survives(run, "hangup")
