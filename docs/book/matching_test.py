"""A transcript matches runs that differ in nothing but pids, times and the like."""

from __future__ import annotations

import pytest

from docs.book.matching import Names, match


def matches(written: str, printed: str, any_order: bool = False) -> bool:
    return match(written.split("\n"), printed.split("\n"), Names(), any_order) is not None


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("ready: 2 workers in 5 ms; pid 4101", "ready: 2 workers in 21 ms; pid 31337"),
        ("2026-11-24T04:02:08.147+00:00 info", "2027-01-01T23:59:59.000+02:00 info"),
        ("/dev/pts/0", "/dev/pts/17"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:43210/"),
        ("took 1.5 s, 250 kB", "took 12 s, 1.25 kB"),
        ("   4102    4101 pts/0    bash", "  14102   14101 pts/0    bash"),
        ("4101 started 4102; 4102 ended", "77 started 88; 88 ended"),
        ("one\n...\nthree", "one\nthree"),
        ("one\n...\nthree", "one\n2\n2.5\nthree"),
        ("a ... c", "a b c"),
    ],
)
def test_what_is_the_same(written: str, printed: str) -> None:
    assert matches(written, printed)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("12345 requests, 0 lost", "54321 requests, 1 lost"),
        ("2 workers", "3 workers"),
        ("exit status 0", "exit status 143"),
        ("4101 started 4102; 4102 ended", "77 started 88; 77 ended"),
        ("4101 and 4102", "77 and 77"),
        ("took 5 ms", "took 5 s"),
        ("pid 4101", "pid none"),
        ("one\nthree", "one\n2\nthree"),
        ("one", "one\ntwo"),
        ("one\n...\nthree", "one\ntwo"),
        ("two\none", "one\ntwo"),
    ],
)
def test_what_is_not(written: str, printed: str) -> None:
    assert not matches(written, printed)


def test_lines_of_two_processes_may_come_in_any_order_but_none_may_miss() -> None:
    assert matches("worker 4105\nworker 4104", "worker 78\nworker 77", any_order=True)
    assert not matches("worker 4105\nworker 4104", "worker 78", any_order=True)
    assert not matches("worker 4105\nworker 4104", "worker 78\nworker 78", any_order=True)


def test_a_name_stands_for_the_same_number_in_all_of_a_transcript() -> None:
    names = match(["[1] 4106"], ["[1] 77"], Names())
    assert names
    assert match(["kill 4106"], ["kill 77"], names)
    assert match(["kill 4106"], ["kill 78"], names) is None
