"""nginx: https://nginx.org/en/docs/control.html"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "nginx"
PACKAGES = ["nginx"]

CONFIG = """\
{user}
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log;
  default_type text/plain;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 16m;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location = / {{ return 200 "hello\\n"; }}
    location /slow/ {{ limit_rate {rate}k; }}
    location = /upload {{ proxy_pass http://127.0.0.1:{port}/; }}
  }}
}}
"""


def missing() -> str:
    return tools.missing("nginx")


def spec(folder: Path, port: int) -> Spec:
    user = "user www-data;" if tools.is_root() else ""
    root = tools.site(folder)
    text = CONFIG.format(
        user=user, folder=folder, port=port, root=root, rate=tools.SLOW_RATE_KB
    )
    config = tools.write(folder / "nginx.conf", text)
    break_, mend = tools.breaking(config, "no_such_directive;")
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version=tools.version("nginx", "-v").removeprefix("nginx version: "),
        folder=folder,
        start=f"nginx -c {config}",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload="kill -HUP {pid}",
        stop="kill -QUIT {pid}",
        break_=break_,
        mend=mend,
        log_file=f"{folder}/access.log",
        rotate="kill -USR1 {pid}",
        slow_url=f"{url}/slow/file.txt",
        upload_url=f"{url}/upload",
        download_url=f"{url}/download",
        notes=(
            "2 workers, keep-alive for 75 s as built in, without a limit of requests "
            "(keepalive_requests)",
            "HUP reloads, after a test of the configuration; QUIT stops gracefully, USR1 opens logs "
            "again: https://nginx.org/en/docs/control.html",
        ),
    )
