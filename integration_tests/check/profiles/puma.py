"""Puma in cluster mode: https://puma.io/puma/file.restart.html"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "puma"
PACKAGES = ["puma"]

CONFIG = """\
directory "{folder}"
rackup "{folder}/config.ru"
environment "production"
bind "tcp://127.0.0.1:{port}"
pidfile "{folder}/pid"
workers 2
threads 32, 32
preload_app! false
persistent_timeout 75
log_requests true
stdout_redirect "{folder}/puma.log", "{folder}/puma.err", true
"""

APP = f"""\
LARGE = ("x" * {tools.DOWNLOAD_BYTES}).freeze
run(lambda do |env|
  body = "hello\\n"
  case env["PATH_INFO"]
  when "/slow" then sleep 0.5
  when "/upload" then env["rack.input"].read
  when "/download" then body = LARGE
  end
  [200, {{"Content-Type" => "text/plain", "Content-Length" => body.bytesize.to_s}}, [body]]
end)
"""


def missing() -> str:
    return tools.missing("puma")


def spec(folder: Path, port: int) -> Spec:
    app = tools.write(folder / "config.ru", APP)
    config = tools.write(folder / "puma.rb", CONFIG.format(folder=folder, port=port))
    break_, mend = tools.breaking(app, "this is ) no Ruby")
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version=tools.version("puma", "--version"),
        folder=folder,
        start=f"puma -C {config}",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload="kill -USR1 {pid}",
        stop="kill -TERM {pid}",
        break_=break_,
        mend=mend,
        log_file=f"{folder}/puma.log",
        rotate="kill -HUP {pid}",
        slow_url=f"{url}/slow",
        upload_url=f"{url}/upload",
        download_url=f"{url}/download",
        notes=(
            "2 workers of 32 threads, keep-alive for 75 s; it leaves becoming a daemon to a service "
            "manager, since version 5",
            "USR1 is its phased restart, for which the application must not be preloaded: "
            "https://puma.io/puma/file.restart.html",
            "TERM stops, HUP opens logs again: https://puma.io/puma/file.signals.html",
        ),
    )
