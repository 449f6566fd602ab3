"""The faulty server (//integration_tests/witness:faulty_server) as the check is told of it."""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles.registry import free_port
from integration_tests.harness.runfiles import runfile


def told(folder: Path, *faults: str) -> list[str]:
    """The words for its command line; without faults every check that applies should be held."""
    url = f"http://127.0.0.1:{free_port()}"
    server = runfile("integration_tests/witness/faulty_server").absolute()
    code = folder / "code"
    code.touch()
    port = url.rpartition(":")[2]
    words = {
        "start": f"{server} --port {port} --needs {code} {' '.join(faults)}",
        "url": f"{url}/",
        "reload": "kill -USR1 {pid}",
        "break": f"mv {code} {code}.away",
        "mend": f"mv {code}.away {code}",
        "upload_url": f"{url}/",
        "download_url": f"{url}/large",
    }
    return [word for flag, value in words.items() for word in (f"--{flag}", value)]
