"""What profiles have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from integration_tests.check.target import environment

HELLO = "hello\n"
SLOW_BYTES = 60_000  # at 40 kB a second: half a second and more, a burst at first included
SLOW_RATE_KB = 40
DOWNLOAD_BYTES = 16_000_000

# For servers that run Python: the same answers as the others give.
WSGI_APP = f"""\
import time


def app(environ, start_response):
    body = b"hello\\n"
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(0.5)
    elif path == "/upload":
        size = int(environ["CONTENT_LENGTH"])
        while size:
            size -= len(environ["wsgi.input"].read(min(size, 65536)))
    elif path == "/download":
        body = b"x" * {DOWNLOAD_BYTES}
    start_response(
        "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    )
    return [body]
"""


def find(program: str) -> str | None:
    """The path of a program, also of one for administrators."""
    return shutil.which(program, path=environment()["PATH"])


def missing(program: str) -> str:
    """Empty when the program is there."""
    return "" if find(program) else f"{program} is not installed"


def version(*command: str) -> str:
    """The first line that a program says of itself, wherever it says it."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    return (done.stdout + done.stderr).strip().splitlines()[0]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def site(folder: Path) -> Path:
    """A folder of files for servers that answer with files."""
    root = folder / "www"
    write(root / "index.html", HELLO)
    write(root / "slow" / "file.txt", "x" * SLOW_BYTES)
    write(root / "download", "x" * DOWNLOAD_BYTES)
    return root


def breaking(config: Path, addition: str) -> tuple[str, str]:
    """Commands that break a configuration by another line, and mend it."""
    good = config.with_name(config.name + ".good")
    good.write_text(config.read_text())
    # In one step, as a deployment does: a reload never sees half of the file.
    bad = config.with_name(config.name + ".bad")
    bad.write_text(config.read_text() + addition + "\n")
    return tuple(f"cp {file} {config}.new && mv {config}.new {config}" for file in (bad, good))


def is_root() -> bool:
    return os.geteuid() == 0
