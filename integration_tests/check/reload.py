"""Reload, under load: what clients notice of it."""

from __future__ import annotations

import time
from typing import Any

from integration_tests.check.checks import HELD, NotApplicable, Verdict, broken, check, judge
from integration_tests.check.load import Outcome
from integration_tests.check.recorder import percentile
from integration_tests.check.run import Reloaded, Run
from integration_tests.check.target import Address, names
from integration_tests.harness.client import RawConnection, Response, request
from integration_tests.harness.waiting import wait_until

REPLACING = "docs/09-replacing-workers.md"
HALVES_MS = 60
# Requests a second on a connection that rests most of the time.
SLOW_RATE = 3
BROKEN_SECONDS = 4
UPLOAD_BYTES = 1_000_000
DOWNLOADS = 4
DOWNLOAD_LEAST_BYTES = 2_000_000
DOWNLOAD_BUFFER = 256 * 1024


def steady(run: Run) -> Outcome:
    """The busiest load, and nothing else happens."""
    run.server()
    with run.load(connections=run.options.connections) as load:
        load.wait_ready()
        time.sleep(max(0.5, run.options.seconds / 4))
        return load.stop()


def need_steady(run: Run) -> None:
    """A server that loses requests by itself can't be judged by what a reload loses."""
    outcome = run.once(steady)
    if outcome.failed:
        raise NotApplicable(
            f"it loses requests without any reload (see reload.steady: {outcome.detail()})"
        )


def judge_reloaded(reloaded: Reloaded, one_each: bool = False, **more: Any) -> Verdict:
    """Held when no request failed; not applicable when some did before the first reload."""
    outcome, reloads = reloaded.outcome, reloaded.reloads
    early = outcome.failed_before(reloads[0].begin)
    if early:
        raise NotApplicable(f"{early} such requests failed before there was a reload")
    if not reloaded.done and not outcome.failed:
        raise NotApplicable("asked to reload under this load, it had not done so when that ended")
    figures = {**outcome.figures(), "reloads": len(reloads), "done": reloaded.done, **more}
    # One request a connection: then it is the client's wish that they are closed.
    closed = "" if one_each else f", {outcome.closed} connections closed"
    detail = f"{outcome.detail()}{closed}; {count(reloads)}"
    if reloaded.done < len(reloads):
        detail += f", {len(reloads) - reloaded.done} not done in time"
    return judge(outcome.failed == 0, detail, **figures)


def count(reloads: list) -> str:
    return f"{len(reloads)} reload" + ("" if len(reloads) == 1 else "s")


@check(
    "reload.steady",
    title="Nothing is lost without a reload",
    why="What a server loses by itself would be taken for the reload's.",
    chapter="docs/13-judging.md",
)
def reload_steady(run: Run) -> Verdict:
    outcome = run.once(steady)
    return judge(outcome.failed == 0, outcome.detail(), **outcome.figures())


def busy(run: Run) -> Reloaded:
    """As many requests as it can answer, and reloads."""
    need_steady(run)
    return run.under_reloads(1, all_=True, connections=run.options.connections)


@check(
    "reload.busy",
    title="Busy connections survive a reload",
    why="A request that crosses with the close of its connection is lost, and the client can't "
    "know whether it was done.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_busy(run: Run) -> Verdict:
    reloaded = run.once(busy)
    return judge_reloaded(reloaded, **phases(reloaded))


def phases(reloaded: Reloaded) -> dict[str, float]:
    """Latency before, during and after the reloads."""
    times: dict[str, list[float]] = {"before": [], "during": [], "after": []}
    first, last = reloaded.reloads[0].begin, reloaded.reloads[-1].end
    for stroke in reloaded.outcome.strokes:
        phase = "before" if stroke.end < first else "after" if stroke.begin > last else "during"
        times[phase].append(stroke.end - stroke.begin)
    return {
        f"{name}_{phase}_ms": round(1000 * percentile(took, share), 3)
        for phase, took in times.items()
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


@check(
    "reload.pause",
    title="Answers keep coming during a reload",
    why="A reload that makes everybody wait is an outage, even when nothing is lost.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_pause(run: Run) -> Verdict:
    reloaded = run.once(busy)
    pause = reloaded.outcome.longest_pause
    latency = phases(reloaded)
    before, during = latency["p99_before_ms"], latency["p99_during_ms"]
    return judge(
        pause <= run.options.max_pause,
        f"the longest time without any answer was {1000 * pause:.0f} ms; "
        f"99 % of the requests took at most {during:.1f} ms, {before:.1f} ms before the reloads",
        longest_pause_ms=round(1000 * pause, 1),
        limit_ms=1000 * run.options.max_pause,
        **latency,
    )


@check(
    "reload.idle",
    title="Idle connections survive a reload",
    why="A client may use its idle connection at the very moment in which it is closed.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_idle(run: Run) -> Verdict:
    need_steady(run)
    idle = run.options.connections
    run.server()
    with run.load(connections=0, idle=idle) as load:
        load.wait_ready()
        # They would rest as long without a reload: closed then, it is an idle timeout.
        time.sleep(0.5)
        load.witness.use_resting()
        begin = time.monotonic()
        reload = run.reload()
        load.witness.use_resting()
        outcome = load.stop()
    closed = outcome.unannounced
    if closed and reload.end - begin > 0.5 and not idle_for(run, reload.end - begin):
        raise NotApplicable(
            f"the reload took {reload.end - begin:.1f} s, and it closes connections that rest as "
            "long without a reload"
        )
    return judge(
        closed == 0 and outcome.failed == 0,
        f"{closed} of {idle} idle connections closed without a word, {outcome.failed} requests failed",
        **{**outcome.figures(), "idle": idle},
    )


def idle_for(run: Run, seconds: float) -> bool:
    """Does a connection that rests so long stay open, without a reload?"""
    address = Address.of(run.spec.url)
    run.fresh()  # in the last one, a reload may still be under way
    with address.connect() as connection:
        connection.get(address.target)
        return not connection.closed(seconds)


@check(
    "reload.slow",
    title="Connections with a request now and then survive a reload",
    why="Most keep-alive connections of a real server rest most of the time, and a request may "
    "be on its way while its connection is closed.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_slow(run: Run) -> Verdict:
    need_steady(run)
    connections = run.options.connections
    reloaded = run.under_reloads(connections=connections, max_rate=SLOW_RATE * connections)
    verdict = judge_reloaded(reloaded)
    closed = reloaded.outcome.unannounced
    if verdict.word != HELD or not closed:
        return verdict
    if not idle_for(run, 2 / SLOW_RATE):
        raise NotApplicable("it closes connections that rest so long without a reload, too")
    # None of the requests crossed with a close, this time.
    return broken(f"{verdict.detail}; {closed} closed without a word", **verdict.figures)


def probe(run: Run, pieces: list[bytes], answers: int) -> None:
    """Sends these with a pause between them; NotApplicable when the answers don't come."""
    address = Address.of(run.spec.url)
    run.server()
    try:
        with address.connect() as connection:
            for piece in pieces:
                connection.send(piece)
                time.sleep(HALVES_MS / 1000)
            statuses = [connection.read_response(3).status for _ in range(answers)]
    except (OSError, ValueError, IndexError) as error:
        raise NotApplicable(f"not answered without a reload, either: {error}"[:200]) from error
    if any(status >= 300 for status in statuses):
        raise NotApplicable(f"answered with status {max(statuses)} without a reload, too")


@check(
    "reload.halves",
    title="Requests whose first half has come are answered",
    why="A reload finds some request half read at any moment; its client has done nothing wrong.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_halves(run: Run) -> Verdict:
    need_steady(run)
    whole = request("GET", Address.of(run.spec.url).target)
    probe(run, [whole[: len(whole) // 2], whole[len(whole) // 2 :]], 1)
    # Each on a connection of its own, so that only what is in progress is judged.
    return judge_reloaded(
        run.under_reloads(connections=16, split_ms=HALVES_MS, close=True), one_each=True
    )


@check(
    "reload.pipelined",
    title="Pipelined requests are answered",
    why="What has been sent behind a request is in the server's buffer, and gone with it.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_pipelined(run: Run) -> Verdict:
    need_steady(run)
    probe(run, [2 * request("GET", Address.of(run.spec.url).target)], 2)
    return judge_reloaded(run.under_reloads(connections=16, pipeline=8))


@check(
    "reload.new_connections",
    title="New connections are accepted during a reload",
    why="A connection that waits in the queue of a listening socket is reset when that is closed.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_new_connections(run: Run) -> Verdict:
    need_steady(run)
    # A rate that leaves ports: each connection keeps one for a minute (TIME_WAIT).
    return judge_reloaded(
        run.under_reloads(connections=8, close=True, max_rate=1500), one_each=True
    )


@check(
    "reload.uploads",
    title="Uploads in progress arrive",
    why="An upload takes longer than a reload, and is dear to repeat.",
    chapter=REPLACING,
    needs=["reload", "upload_url"],
)
def reload_uploads(run: Run) -> Verdict:
    need_steady(run)
    url = run.spec.upload_url
    body = {"url": url, "body_size": UPLOAD_BYTES, "split_ms": HALVES_MS}
    return judge_reloaded(run.under_reloads(connections=8, close=True, **body), one_each=True)


class Download:
    """A response that is read slowly, so that it is in progress for as long as it takes."""

    def __init__(self, run: Run) -> None:
        address = Address.of(run.spec.download_url)
        body = b"x" * run.spec.download_bytes
        self.connection = RawConnection((address.host, address.port), 20)
        method = "POST" if body else "GET"
        self.connection.send(request(method, address.target, body))
        self.begin = time.monotonic()

    def rest(self) -> Response:
        return self.connection.read_response(20)


@check(
    "reload.downloads",
    title="Downloads in progress are completed",
    why="A slow client is in the middle of a response in every reload.",
    chapter=REPLACING,
    needs=["reload", "download_url"],
)
def reload_downloads(run: Run) -> Verdict:
    need_steady(run)
    run.server()
    first = Download(run).rest()
    if first.status != 200 or len(first.body) < DOWNLOAD_LEAST_BYTES:
        raise NotApplicable(
            f"--download_url answers with status {first.status} and {len(first.body)} bytes; "
            f"it takes {DOWNLOAD_LEAST_BYTES} to be in progress for a while"
        )
    downloads = [Download(run) for _ in range(DOWNLOADS)]
    for download in downloads:
        wait_until(lambda: download.connection.pending() > 0, 10, "the beginning of a download")
    ran = run.server().command("reload", run.spec.reload)
    time.sleep(0.3)
    broken_off = []
    for download in downloads:
        try:
            whole = download.rest().body == first.body
        except OSError as error:
            broken_off.append(str(error)[:80])
        else:
            broken_off += [] if whole else ["other bytes"]
        download.connection.close()
    return judge(
        not broken_off,
        f"{len(broken_off)} of {DOWNLOADS} downloads of {len(first.body)} bytes broken off",
        downloads=DOWNLOADS,
        failed=len(broken_off),
        bytes=len(first.body),
        reload_status=ran.status,
    )


@check(
    "reload.old_processes",
    title="The old processes go",
    why="Each that stays keeps its memory, and its old code may still answer somebody.",
    chapter=REPLACING,
    needs=["reload"],
)
def reload_old_processes(run: Run) -> Verdict:
    target = run.server()
    for _ in range(2):
        run.reload()
    gone = run.happens(lambda: len(target.processes()) == target.size)
    gone = gone or len(target.processes()) < target.size
    left = target.processes()
    return judge(
        gone,
        f"{target.size} processes after the start, {len(left)} after reloads"
        + ("" if gone else f" and {run.options.patience:g} s: {names(left)}"),
        at_first=target.size,
        after=len(left),
    )


@check(
    "reload.broken",
    title="A reload that can't be leaves it serving",
    why="Somebody deploys a typing error one day; the old code must go on.",
    chapter=REPLACING,
    needs=["reload", "break", "mend"],
)
def reload_broken(run: Run) -> Verdict:
    need_steady(run)
    target = run.server()
    with run.load(connections=8, max_rate=400) as load:
        load.wait_ready()
        target.command("break", run.spec.break_)
        try:
            # One that is refused says so, or by starting nothing in this time.
            ran = run.reload(min(BROKEN_SECONDS, run.options.patience)).ran
            time.sleep(0.5)
            lives = target.serves()
        finally:
            mended = target.command("mend", run.spec.mend)
        outcome = load.stop()
    if mended.status != 0:
        return judge(False, f"--mend ended with status {mended.status}: {mended.said()}")
    detail = outcome.detail() + f"; the reload's own exit status was {ran.status}"
    if not lives:
        detail = f"it does not serve any more; {detail}"
    elif outcome.failed == 0:
        run.reload()
        if not run.happens(run.server().serves):
            return judge(False, "it does not serve after the mended reload")
    return judge(
        lives and outcome.failed == 0,
        detail,
        **outcome.figures(),
        reload_status=ran.status,
        serves=lives,
    )
