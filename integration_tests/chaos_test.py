"""Everything at once, at random moments, under load; nothing is lost and nothing is left.

A minute of it in `bazel test`; longer by hand:

    bazel test //integration_tests:chaos_test --test_arg=--minutes=60 --test_timeout=4000

The seed of a run is in its output; `--test_arg=--seed=N` makes the same choices again.
"""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil

from integration_tests.deploy import ECHO, ECHO_V2, deploy
from integration_tests.harness.waiting import wait_until

BROKEN = "integration_tests/handlers/Aborts_at_start.so"
LOADS = {
    "get": {"target": "/", "connections": 32, "idle": 100, "expect": "hello\n"},
    "pipelined": {"target": "/", "connections": 8, "pipeline": 8, "expect": "hello\n"},
    "sleep": {"target": "/sleep?ms=20", "connections": 16, "expect": "slept\n"},
    "post": {
        "target": "/echo",
        "connections": 16,
        "method": "POST",
        "body_size": 9000,
        "expect": "echo",
    },
}
SLOTS = 2
MOST_SLOTS = 4


def descriptors(pid: int) -> int:
    """Those that stay: the least of some looks, since ctl's own connection comes and goes."""
    looks = []
    for _ in range(20):
        looks.append(len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.01)
    return min(looks)


def settled(server) -> bool:
    status = server.status()
    return status["state"] == "serving" and all(slot["worker"] for slot in status["slots"])


class Chaos:
    """Does to a server what its random numbers say, and counts it."""

    def __init__(self, server, handler: Path, seed: int) -> None:
        self.server = server
        self.handler = handler
        self.choice = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.slots = SLOTS

    def run(self, seconds: float) -> None:
        acts = [self.kill, self.reload, self.deploy, self.deploy_broken, self.more, self.fewer]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            act = self.choice.choices(acts, weights=[10, 4, 3, 1, 2, 2])[0]
            self.done[act.__name__] += act()
            time.sleep(self.choice.uniform(0.01, 0.3))

    def kill(self) -> bool:
        """A worker in any part of its life: starting, serving, or about to go."""
        try:
            keepers = psutil.Process(self.server.pid).children()
            workers = [worker for keeper in keepers for worker in keeper.children()]
        except psutil.NoSuchProcess:  # one that was given up just now
            return False
        if not workers:
            return False
        try:
            os.kill(self.choice.choice(workers).pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def reload(self) -> bool:
        self.server.signal(signal.SIGUSR1)
        return True

    def deploy(self) -> bool:
        deploy(self.choice.choice([ECHO, ECHO_V2]), self.handler)
        return self.reload()

    def deploy_broken(self) -> bool:
        deploy(BROKEN, self.handler)
        return self.reload()

    def more(self) -> bool:
        return self.resize(+1)

    def fewer(self) -> bool:
        return self.resize(-1)

    def resize(self, by: int) -> bool:
        """One slot more or fewer; when that is done, since such signals coalesce."""
        if not 1 <= self.slots + by <= MOST_SLOTS:
            return False
        self.slots += by
        self.server.signal(signal.SIGTTIN if by > 0 else signal.SIGTTOU)
        wait_until(lambda: len(self.server.slots()) == self.slots, 30, f"{self.slots} slots")
        return True

    def warm_up(self) -> None:
        """Every slot was there once: the master keeps the listeners of those that are given up."""
        while self.slots < MOST_SLOTS:
            self.resize(+1)
        self.restore()

    def lasting(self) -> list[int]:
        """The master and the keepers, whose descriptors are counted."""
        return [self.server.pid, *(slot["keeper"] for slot in self.server.slots())]

    def restore(self) -> None:
        """As at the start, and at rest."""
        while self.slots != SLOTS:
            self.resize(1 if self.slots < SLOTS else -1)
        deploy(ECHO, self.handler)
        wait_until(lambda: settled(self.server), 30, "the last reload")
        result = self.server.ctl("reload")
        assert result.returncode == 0, result


def test_chaos(server_factory, start_witness, tmp_path: Path, minutes: float, seed: int) -> None:
    print(f"seed {seed}")
    handler = deploy(ECHO, tmp_path / "handler.so")
    server = server_factory(worker_num=SLOTS, handler=handler, start_timeout=2)
    chaos = Chaos(server, handler, seed)
    chaos.warm_up()
    at_first = [descriptors(pid) for pid in chaos.lasting()]

    seconds = 60 * minutes
    witnesses = {
        # Told so: a POST that was begun, or a GET that was in the hands of two dead workers.
        name: start_witness(
            url=server.url + load["target"],
            seconds=seconds + 300,
            allow=503,
            **{key: value for key, value in load.items() if key != "target"},
        )
        for name, load in LOADS.items()
    }
    for witness in witnesses.values():
        witness.wait_ready()
    chaos.run(seconds)
    chaos.restore()
    witnesses["get"].use_resting()
    accounts = {name: witness.stop() for name, witness in witnesses.items()}

    print(dict(chaos.done), {name: account["requests"] for name, account in accounts.items()})
    for account in accounts.values():
        account.assert_nothing_noticed()
    told = sum(sum(account["allowed"].values()) for account in accounts.values())
    assert told <= chaos.done["kill"]
    told_to_gets = sum(accounts["get"]["allowed"].values())
    assert told_to_gets <= chaos.done["kill"] / 2

    wait_until(lambda: all(slot["connections"] == 0 for slot in server.slots()), 10, "no client")
    slots = server.slots()
    assert all(slot["buffer_pages"] == 0 for slot in slots), slots
    processes = [server.pid, *(slot[role] for slot in slots for role in ["keeper", "worker"])]
    assert sorted(server.tree.descendants()) == sorted(processes)
    assert [descriptors(pid) for pid in chaos.lasting()] == at_first
    assert server.stop() == 0
