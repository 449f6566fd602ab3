"""uWSGI: https://uwsgi-docs.readthedocs.io/en/latest/articles/TheArtOfGracefulReloading.html"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "uwsgi"
PACKAGES = ["uwsgi-core", "uwsgi-plugin-python3"]

CONFIG = """\
[uwsgi]
plugins = http,python3
http = 127.0.0.1:{port}
http-keepalive = 75
http-timeout = 75
add-header = Connection: keep-alive
master = true
processes = 2
threads = 32
lazy-apps = true
chdir = {folder}
module = app
callable = app
safe-pidfile2 = {folder}/pid
daemonize2 = {folder}/uwsgi.log
log-master = true
master-fifo = {folder}/fifo
"""


def missing() -> str:
    return tools.missing("uwsgi")


def spec(folder: Path, port: int) -> Spec:
    app = tools.write(folder / "app.py", tools.WSGI_APP)
    config = tools.write(folder / "uwsgi.ini", CONFIG.format(folder=folder, port=port))
    break_, mend = tools.breaking(app, "this is no Python")
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version="uWSGI " + tools.version("uwsgi", "--version"),
        folder=folder,
        start=f"uwsgi --ini {config}",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload=f"echo c >{folder}/fifo",
        stop=f"echo q >{folder}/fifo",
        break_=break_,
        mend=mend,
        log_file=f"{folder}/uwsgi.log",
        log_line=r"\bGET /",
        rotate=f"echo l >{folder}/fifo",
        slow_url=f"{url}/slow",
        upload_url=f"{url}/upload",
        download_url=f"{url}/download",
        notes=(
            "2 workers of 32 threads behind its own HTTP router, as its manual has it for a server "
            "without a proxy; keep-alive for 75 s: "
            "https://uwsgi-docs.readthedocs.io/en/latest/ThingsToKnow.html",
            "chain reloading (c to the master FIFO) with lazy-apps: https://uwsgi-docs.readthedocs.io"
            "/en/latest/articles/TheArtOfGracefulReloading.html; it replaces the workers, not the "
            "router",
            "q is its graceful stop, l opens the log again: "
            "https://uwsgi-docs.readthedocs.io/en/latest/MasterFIFO.html",
        ),
    )
