"""This repository's own server (//reload:server)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from integration_tests.check.target import Spec
from integration_tests.harness.runfiles import runfile

NAME = "ours"
PACKAGES: list[str] = []
DOWNLOAD_BYTES = 6_000_000


def missing() -> str:
    """Nothing: it is built with the check."""
    return ""


def spec(folder: Path, port: int) -> Spec:
    server, ctl = runfile("reload/server").resolve(), runfile("reload/ctl").resolve()
    version = subprocess.run([server, "--version"], capture_output=True, text=True).stdout.strip()
    good = folder / "good.so"
    handler = folder / "handler.so"
    for file in (good, handler):
        shutil.copyfile(runfile("integration_tests/handlers/logs_requests.so"), file)
    control = folder / "control"
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version=version,
        folder=folder,
        start=f"{server} --daemonize --port {port} --worker_num 2 --handler {handler}"
        f" --pid_file {folder}/pid --log_file {folder}/log --control_socket {control}",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload=f"{ctl} --control_socket {control} reload",
        break_=f"echo broken >{handler}.new && mv {handler}.new {handler}",
        mend=f"cp {good} {handler}.new && mv {handler}.new {handler}",
        stop="kill -TERM {pid}",
        log_file=f"{folder}/log",
        rotate=f"{ctl} --control_socket {control} reopen",
        slow_url=f"{url}/sleep?ms=500",
        upload_url=f"{url}/echo",
        download_url=f"{url}/echo",
        download_bytes=DOWNLOAD_BYTES,
        notes=(
            "2 workers, the echo handler, and a line in the log for each request",
            "reload with ctl, which returns when it is done",
            "a worker answers one request at a time: a stop that finds 8 of half a second takes some "
            "seconds",
        ),
    )
