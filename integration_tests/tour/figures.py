"""The figures of a load, made from what its witness tells."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass

from integration_tests.harness.witness import Account

RATE_SECONDS = 1.0


@dataclass(frozen=True)
class Answers:
    """Who has answered how often. What no worker can have said is counted under version ""."""

    by_pid: Counter[int]
    by_version: Counter[str]

    @staticmethod
    def of(account: Account) -> Answers:
        by_pid: Counter[int] = Counter()
        by_version: Counter[str] = Counter()
        for body, count in account["bodies"].items():
            try:
                who = json.loads(body)
                pid, version = int(who["pid"]), str(who["version"])
            except (ValueError, TypeError, KeyError):
                pid, version = 0, ""
            by_pid[pid] += count
            by_version[version] += count
        return Answers(by_pid, by_version)

    def since(self, earlier: Answers) -> Answers:
        return Answers(self.by_pid - earlier.by_pid, self.by_version - earlier.by_version)


class Figures:
    """How far the load is, and what was answered lately."""

    def __init__(self) -> None:
        self._told: deque[Account] = deque()
        self.account = Account()
        self.answers = Answers(Counter(), Counter())
        self.lately = self.answers  # since the account before
        self.rate = 0.0  # of the last second
        self._reloaded: Answers | None = None

    def update(self, account: Account) -> None:
        answers = Answers.of(account)
        self.lately = answers.since(self.answers)
        self.account, self.answers = account, answers
        self._told.append(account)
        while account["seconds"] - self._told[0]["seconds"] > RATE_SECONDS:
            if len(self._told) == 2:
                break
            self._told.popleft()
        first = self._told[0]
        seconds = account["seconds"] - first["seconds"]
        self.rate = (account["ok"] - first["ok"]) / seconds if seconds > 0 else 0.0

    def reloaded(self) -> None:
        """From the account that was told last all answers are counted for since_reload()."""
        self._reloaded = self.answers

    def since_reload(self) -> Counter[str] | None:
        """Answers by version, since a reload was done; None before."""
        if self._reloaded is None:
            return None
        return self.answers.since(self._reloaded).by_version

    @property
    def lost(self) -> int:
        """Requests without an answer, or with a wrong one."""
        account = self.account
        bad = account["lost"] + account["wrong"] + account["unasked"]
        return bad + self.answers.by_version[""]

    @property
    def closed(self) -> int:
        return self.account["connections"]["closed"]

    @property
    def connections(self) -> int:
        return self.account["connections"]["busy"] + self.account["connections"]["resting"]

    def from_old_code(self, version: str) -> int:
        """Answers of this version that came after the reload was done."""
        return (self.since_reload() or Counter())[version]
