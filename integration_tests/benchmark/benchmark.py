"""How fast, how even, how small: `bazel run -c opt //reload:benchmark`, and --help."""

import argparse
import datetime
import json
import resource
import subprocess
import sys
from typing import Any, Callable

from integration_tests.benchmark import hot_parts, memory, pause, report, servers, throughput
from integration_tests.harness.machine import load, machine

SCALING = [1, 2, 4, 8]
IDLE = [0, 1000, 10_000]
PARTS = ["throughput", "pause", "memory", "scaling", "hot"]
SPARE_DESCRIPTORS = 500  # what a process needs beside its connections

DESCRIPTION = """\
Measures this server, side by side in one run and several rounds, and prints medians:

  throughput  requests/s under wrk: a bare epoll loop without parsing (the limit), this
              server, and nginx where it is installed; ratios are of the same round
  pause       how long requests wait during a reload and a kill -9, beside quiet times, with
              0, 1,000 and 10,000 idle connections
  memory      PSS of master, keeper and worker; bytes an idle connection
  scaling     requests/s with 1, 2, 4 and 8 workers
  hot         the parts of a request, by Google Benchmark
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; ends with status 2 for what makes no sense."""

    def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
        def convert(text: str) -> Any:
            value = kind(text)
            if value <= 0:
                raise argparse.ArgumentTypeError(f"{text} is not more than 0")
            return value

        return convert

    parser = argparse.ArgumentParser(
        prog="benchmark",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=positive(int), default=5, help="default: 5")
    parser.add_argument(
        "--seconds", type=positive(float), default=2, help="of one server's turn; default: 2"
    )
    parser.add_argument("--connections", type=positive(int), default=64, help="default: 64")
    parser.add_argument("--workers", type=positive(int), default=2, help="default: 2")
    parser.add_argument(
        "--idle", type=positive(int), default=max(IDLE), help="idle connections, at most; 10000"
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="this part only; may be repeated"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the results as JSON")
    form.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    return parser.parse_args(arguments)


def raise_descriptor_limit(idle: int) -> None:
    """For the thousands of connections of those that are started here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if idle + SPARE_DESCRIPTORS > most:
        sys.exit(
            f"benchmark: {idle} idle connections need more open files than the {most} that a "
            "process may have here; lower --idle or raise `ulimit -Hn`"
        )


def _version(*command: str) -> str:
    """What a program says of itself; nginx and wrk say it on their standard error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


def about(options: argparse.Namespace) -> dict[str, str]:
    """On what and with what it was measured."""
    found = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load at the start": load(),
        "turns": f"{options.rounds} rounds, {options.seconds:g} s each",
        "wrk": " ".join(_version(servers.find_wrk(), "-v").split()[1:3]),
    }
    nginx = servers.find_nginx()
    found["nginx"] = _version(nginx, "-v").rpartition("/")[2] if nginx else "not installed"
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    parts = options.only or PARTS
    rounds, seconds, connections = options.rounds, options.seconds, options.connections
    idle = sorted({min(number, options.idle) for number in IDLE})
    results: dict[str, Any] = {"about": about(options)}

    def progress(text: str) -> None:
        print(f"benchmark: {text}", file=sys.stderr, flush=True)

    if "throughput" in parts:
        results["throughput"] = throughput.measure(
            options.workers, rounds, connections, seconds, progress
        )
    if "scaling" in parts:
        results["scaling"] = throughput.measure_scaling(
            SCALING, rounds, connections, seconds, progress
        )
    if "pause" in parts:
        results["pause"] = pause.measure(
            options.workers, idle, rounds, connections, seconds, progress
        )
    if "memory" in parts:
        results["memory"] = memory.measure(options.workers, 100, max(idle), seconds, progress)
    if "hot" in parts:
        results["hot"] = hot_parts.measure(rounds, seconds, progress)
    return results


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    raise_descriptor_limit(options.idle)
    try:
        results = measure(options)
    except KeyboardInterrupt:
        print("benchmark: interrupted", file=sys.stderr)
        return 130
    except (FileNotFoundError, RuntimeError, TimeoutError, ConnectionError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(report.render(results, options.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
