"""Stop: what was begun is finished, and nothing is left."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass

from integration_tests.check.checks import NotApplicable, Verdict, check, judge
from integration_tests.check.run import Run
from integration_tests.check.target import Address, Ran, alive, names
from integration_tests.harness.client import RawConnection, request

SIGNALS = "docs/07-signals.md"
IN_FLIGHT = 8
IDLE = 4
# systemd.service(5), SuccessExitStatus=: these are clean ends of a service, too.
CLEAN_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)


@dataclass
class Stopped:
    """A server that was stopped while it had something to do."""

    ran: Ran
    sent: int
    answered: int
    free: bool
    gone: bool
    seconds: float
    left: int
    names: str
    status: int | None
    main_ended: bool


def stopped(run: Run) -> Stopped:
    target = run.server()
    main = target.main()
    address = Address.of(run.spec.url)
    idle = [address.connect() for _ in range(IDLE)]
    for connection in idle:
        connection.get(address.target)
    waiting = in_flight(run)
    begin = time.monotonic()
    ran = target.command("stop", run.spec.stop)
    answered = sum(is_answered(connection) for connection in waiting)
    gone = run.happens(target.tree.gone, max(0.1, begin + run.options.patience - time.monotonic()))
    seconds = time.monotonic() - begin
    left = target.processes()
    found = Stopped(
        ran=ran,
        sent=len(waiting),
        answered=answered,
        free=run.happens(address.free, 1),
        gone=gone,
        seconds=seconds,
        left=len(left),
        names=names(left),
        status=target.main_status(main),
        main_ended=not alive(main),
    )
    for connection in [*idle, *waiting]:
        connection.close()
    run.end_server()
    return found


def in_flight(run: Run) -> list[RawConnection]:
    """Requests that take a while, and have reached the server."""
    if not run.spec.slow_url:
        return []
    address = Address.of(run.spec.slow_url)
    connections = [address.connect() for _ in range(IN_FLIGHT)]
    for connection in connections:
        connection.send(request("GET", address.target))
    for connection in connections:
        connection.wait_delivered()
    time.sleep(0.1)  # in the kernel is not yet in the server
    return connections


def is_answered(connection: RawConnection) -> bool:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return connection.read_response(10).status == 200
    return False


@check(
    "stop.in_flight",
    title="Requests in flight are answered",
    why="A deployment stops servers all day; what they had begun must not be half done.",
    chapter=SIGNALS,
    needs=["slow_url"],
)
def stop_in_flight(run: Run) -> Verdict:
    found = run.once(stopped)
    return judge(
        found.answered == found.sent,
        f"{found.answered} of {found.sent} requests that were in flight were answered",
        sent=found.sent,
        answered=found.answered,
    )


@check(
    "stop.nothing_left",
    title="No process is left",
    why="A process that stays holds memory, locks and files, and its successor fails.",
    chapter=SIGNALS,
)
def stop_nothing_left(run: Run) -> Verdict:
    found = run.once(stopped)
    if found.gone:
        return judge(True, f"all had gone after {found.seconds:.2f} s", seconds=found.seconds)
    return judge(
        False,
        f"after {found.seconds:.0f} s {found.left} were left: {found.names}",
        left=found.left,
    )


@check(
    "stop.port_free",
    title="The port is free",
    why="Whoever comes next wants to listen there.",
    chapter=SIGNALS,
)
def stop_port_free(run: Run) -> Verdict:
    found = run.once(stopped)
    return judge(found.free, "free" if found.free else "another server could not listen there")


@check(
    "stop.exit_status",
    title="The exit status says that all went well",
    why="A service manager takes another one for a crash, and may start the server again.",
    chapter="docs/06-systemd.md",
)
def stop_exit_status(run: Run) -> Verdict:
    found = run.once(stopped)
    if not found.main_ended:
        return judge(False, "the main process has not ended")
    if found.status is None:
        raise NotApplicable("it is not known: its parent has taken it")
    clean = found.status == 0 or -found.status in CLEAN_SIGNALS
    how = f"status {found.status}"
    if found.status < 0:
        how = f"killed by {signal.Signals(-found.status).name}"
    return judge(clean, how, status=found.status, command_status=found.ran.status)
