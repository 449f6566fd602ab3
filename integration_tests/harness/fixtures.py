"""The fixtures that every suite has, as a pytest plugin (pytest_main.py loads it)."""

import ctypes
import itertools
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.server import Server
from integration_tests.harness.witness import Account, Witness


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=1, help="how long a chaos test goes on")
    parser.addoption("--seed", type=int, help="for its random choices; default: another each time")


@pytest.fixture
def minutes(pytestconfig: pytest.Config) -> float:
    return pytestconfig.getoption("minutes")


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """Printed by the test that uses it, so that a failure can be had again."""
    given = pytestconfig.getoption("seed")
    return random.randrange(2**32) if given is None else given


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder with a path that is short enough for Unix sockets, as Bazel's are not."""
    folder = Path(tempfile.mkdtemp(prefix="gd-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`small_disk(kib=64)` mounts a file system of that size and returns its folder.

    In a mount namespace of this process, so that it ends with it. In a target with no-sandbox.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "disk"

    def refused(what: str) -> None:
        pytest.skip(f"{what}: {os.strerror(ctypes.get_errno())}; it needs root")

    def mount(kib: int) -> Path:
        folder.mkdir()
        clone_newns, ms_private = 0x20000, 1 << 18 | 1 << 14  # with MS_REC
        if libc.unshare(clone_newns) != 0 or libc.mount(b"none", b"/", None, ms_private, None) != 0:
            refused("no mount namespace")
        if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={kib}k".encode()) != 0:
            refused("no tmpfs can be mounted")
        return folder

    yield mount
    libc.umount2(bytes(folder), 2)  # MNT_DETACH


@pytest.fixture
def process_factory() -> Iterator[Callable[..., ProcessTree]]:
    """Starts programs as ProcessTree does; nothing of them is left after the test."""
    trees: list[ProcessTree] = []

    def start(*arguments: Any, **settings: Any) -> ProcessTree:
        trees.append(ProcessTree(*arguments, **settings))
        return trees[-1]

    yield start
    for tree in reversed(trees):
        tree.kill_all()


@pytest.fixture
def server_factory(tmp_path: Path, socket_folder: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers: `server_factory(worker_num=2)`. A failed test shows their logs."""
    servers: list[Server] = []
    numbers = itertools.count()

    def start(**settings: Any) -> Server:
        name = f"server{next(numbers)}"
        folder = socket_folder / name
        folder.mkdir()
        servers.append(Server(tmp_path / name, folder, **settings))
        return servers[-1]

    yield start
    for server in reversed(servers):
        server.kill()
        # pytest shows what a teardown prints when the test has failed, and only then.
        print(f"--- {server.log_path.parent.name} (pid {server.pid})\n{server.log()}")


@pytest.fixture
def start_witness(tmp_path: Path) -> Iterator[Callable[..., Witness]]:
    """Starts a witness in the background: `start_witness(url=server.url, connections=64)`."""
    witnesses: list[Witness] = []

    def start(**settings: Any) -> Witness:
        witnesses.append(Witness(tmp_path / f"witness{len(witnesses)}", **settings))
        return witnesses[-1]

    yield start
    for witness in witnesses:
        witness.kill()


@pytest.fixture
def witness(start_witness: Callable[..., Witness]) -> Callable[..., Account]:
    """Runs a witness to its end: `account = witness(url=server.url, requests=1000)`."""
    return lambda **settings: start_witness(**settings).finish()
