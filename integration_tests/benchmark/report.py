"""The results as tables, for a terminal or in Markdown."""

from typing import Any

from integration_tests.harness.table import Cell, Table


def _ms(us: float) -> Cell:
    return f"{us / 1000:.1f}"


def _kb(size: float) -> Cell:
    return f"{size / 1024:,.0f}"


def _throughput(result: dict[str, Any]) -> Table:
    rows = []
    for name, each in result["servers"].items():
        ratios = each["requests_per_second_ratio"]
        rows.append(
            [
                name,
                f"{each['requests_per_second']:,.0f}",
                f"{ratios['bare loop']:.2f}" if "bare loop" in ratios else "1",
                f"{ratios['nginx']:.2f}" if "nginx" in ratios else "1" if name == "nginx" else "–",
                f"{each['cpu_us_per_request']:.1f}",
                str(round(each["p50_us"])),
                str(round(each["p99_us"])),
                str(result["response_bytes"][name]),
            ]
        )
    head = ["server", "requests/s", "of the bare loop", "of nginx", "CPU µs a request"]
    title = f"Throughput: {result['workers']} workers, {result['connections']} connections, GET /"
    return Table(title, [*head, "p50 µs", "p99 µs", "bytes"], rows)


def _scaling(rows: list[dict[str, Any]]) -> Table:
    cells = []
    for row in rows:
        ours, bare = row["servers"]["this server"], row["servers"]["bare loop"]
        cells.append(
            [
                str(row["workers"]),
                f"{ours['requests_per_second']:,.0f}",
                f"{bare['requests_per_second']:,.0f}",
                f"{ours['requests_per_second_ratio']['bare loop']:.2f}",
            ]
        )
    head = ["workers", "this server, requests/s", "bare loop, requests/s", "ratio"]
    return Table("Throughput by the number of workers", head, cells)


def _pause(result: dict[str, Any]) -> Table:
    rows = []
    for row in result["idle_numbers"]:
        for kind in ("quiet", "reload", "kill"):
            each = row[kind]
            beyond = _ms(each["beyond_quiet_us"]) if "beyond_quiet_us" in each else "–"
            rows.append(
                [
                    f"{row['idle']:,} idle, {'kill -9' if kind == 'kill' else kind}",
                    _ms(each["longest_us"]),
                    beyond,
                    _ms(each["p99_us"]),
                    _ms(each["longest_of_all_us"]),
                    str(each["windows"]),
                ]
            )
    head = ["while", "longest wait ms", "beyond quiet ms", "p99 ms", "worst ms", "windows"]
    title = (
        f"The pause: {result['workers']} workers, {result['connections']} busy connections, "
        f"{result['requests_per_second']:,} requests/s"
    )
    lost = sum(row["lost"] for row in result["idle_numbers"])
    closed = sum(row["closed"] for row in result["idle_numbers"])
    note = f"Requests lost: {lost}; connections closed: {closed}."
    return Table(title, head, rows, [note])


def _memory(result: dict[str, Any]) -> Table:
    rows = []
    for role in ("master", "keeper", "worker"):
        loaded = result["under_load"]["roles"][role]
        rows.append(
            [
                role,
                _kb(result["at_rest"]["roles"][role]["Pss"]),
                _kb(loaded["Pss"]),
                _kb(loaded["Pss_Anon"]),
                _kb(loaded["Pss_File"]),
                _kb(loaded["Pss_Shmem"]),
            ]
        )
    head = ["process", "at rest kB", "busy kB", "of that anonymous", "of files", "shared"]
    note = (
        f"An idle connection adds {result['bytes_per_idle_connection']:.0f} bytes to the whole "
        f"server ({result['idle_connections']:,} of them), beyond what the kernel keeps for it."
    )
    title = f"Memory (PSS): {result['workers']} workers, {result['connections']} connections"
    return Table(title, head, rows, [note])


def _hot(parts: list[dict[str, Any]]) -> Table:
    rows = [[each["name"], f"{each['cpu_ns']:,.1f}"] for each in parts]
    return Table("The parts of a request", ["part", "CPU ns"], rows)


TABLES = {
    "throughput": _throughput,
    "scaling": _scaling,
    "pause": _pause,
    "memory": _memory,
    "hot": _hot,
}


def render(results: dict[str, Any], markdown: bool) -> str:
    """All that was measured, after a line on what and with what."""
    tables = [make(results[name]) for name, make in TABLES.items() if name in results]
    about = [f"{name}: {value}" for name, value in results["about"].items()]
    if markdown:
        head = "\n".join(f"- {line}" for line in about)
        return "\n\n".join([head, *(table.markdown() for table in tables)])
    return "\n\n".join(["\n".join(about), *(table.text() for table in tables)])
