"""How many lines two kinds of log rotation lose: `bazel run //integration_tests:rotation`.

A real logrotate(8), in turn with the server's own configuration (rename, then `ctl reopen`) and
with copytruncate, while clients have lines printed.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until
from integration_tests.printing import LINE, PRINTED, PRINTS, Printing, all_lines

CLIENTS = 4
COPYTRUNCATE = "{log} {{\n    rotate 1000\n    copytruncate\n}}\n"


def find_logrotate() -> str:
    return shutil.which("logrotate") or "/usr/sbin/logrotate"


def configuration(way: str, log: Path, ctl: str) -> str:
    if way == "copytruncate":
        return COPYTRUNCATE.format(log=log)
    shipped = Path(runfile("reload/logrotate.conf")).read_text()
    shipped = shipped.replace("/var/log/graceful-server.log", str(log))
    return shipped.replace("graceful-ctl", ctl).replace("rotate 7", "rotate 1000").replace(
        "    compress\n", ""
    )


def measure(way: str, rotations: int, folder: Path) -> dict[str, int]:
    """Lines that were printed, and those of them that are in no file."""
    folder.mkdir(mode=0o755)
    log = folder / "log"
    server = Server(folder / "server", folder, worker_num=2, handler=runfile(PRINTS), log_file=log)
    try:
        rules = folder / "logrotate.conf"
        ctl = f"{runfile('reload/ctl')} --control_socket {server.control_socket}"
        rules.write_text(configuration(way, log, ctl))
        rules.chmod(0o644)
        clients = [Printing(server.address) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(rotations):
            size = log.stat().st_size
            wait_until(lambda: log.stat().st_size > size + 100_000, 30, "something to rotate")
            command = [find_logrotate(), "--force", "--state", folder / "state", rules]
            subprocess.run(list(map(str, command)), check=True, timeout=60)
        expected = sum((client.finish() for client in clients), Counter())
        server.stop()
        found: Counter[tuple[int, int]] = Counter()
        for line in all_lines(log):
            match = LINE.fullmatch(line)
            said = match and PRINTED.fullmatch(match[4])
            if said:
                found[int(said[1]), int(said[2])] += 1
        return {"lines": sum(expected.values()), "lost": sum((expected - found).values())}
    finally:
        server.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="rotation", description=__doc__)
    parser.add_argument("--rotations", type=int, default=50, help="of each kind (default 50)")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    if not Path(find_logrotate()).exists():
        print("rotation: logrotate is not installed: ./setup installs it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="gd-") as folder:
        figures = {
            way: measure(way, options.rotations, Path(folder) / way)
            for way in ["reopen", "copytruncate"]
        }
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"{options.rotations} rotations each, {CLIENTS} clients that have lines printed")
    for way, figure in figures.items():
        print(f"  {way:<13} {figure['lost']:>7} of {figure['lines']} lines lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
