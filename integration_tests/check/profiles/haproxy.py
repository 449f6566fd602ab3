"""HAProxy in master-worker mode: https://docs.haproxy.org/2.6/management.html"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "haproxy"
PACKAGES = ["haproxy"]

CONFIG = """\
global
  lua-load {folder}/answers.lua
  nbthread 2
  hard-stop-after 5s
  tune.bufsize 32768
defaults
  mode http
  option idle-close-on-response
  timeout client 75s
  timeout http-keep-alive 75s
  timeout http-request 75s
  timeout connect 5s
  timeout server 75s
frontend check
  bind 127.0.0.1:{port}
  http-request use-service lua.slow if {{ path /slow }}
  http-request use-service lua.upload if {{ path /upload }}
  http-request use-service lua.download if {{ path /download }}
  http-request return status 200 content-type text/plain string "hello"
"""

ANSWERS = f"""\
local function answer(applet, body)
  applet:set_status(200)
  applet:add_header("content-type", "text/plain")
  applet:add_header("content-length", tostring(#body))
  applet:start_response()
  applet:send(body)
end
local large = string.rep("x", {tools.DOWNLOAD_BYTES})
core.register_service("slow", "http", function(applet)
  core.msleep(500)
  answer(applet, "hello\\n")
end)
core.register_service("upload", "http", function(applet)
  while true do
    local piece = applet:receive(65536)
    if piece == nil or #piece == 0 then break end
  end
  answer(applet, "hello\\n")
end)
core.register_service("download", "http", function(applet)
  answer(applet, large)
end)
"""


def missing() -> str:
    return tools.missing("haproxy")


def spec(folder: Path, port: int) -> Spec:
    tools.write(folder / "answers.lua", ANSWERS)
    config = tools.write(folder / "haproxy.cfg", CONFIG.format(folder=folder, port=port))
    break_, mend = tools.breaking(config, "  no_such_directive")
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version=tools.version("haproxy", "-v").partition(" - ")[0],
        folder=folder,
        start=f"haproxy -W -D -f {config} -p {folder}/pid",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload=f"haproxy -c -q -f {config} && kill -USR2 {{pid}}",
        stop="kill -USR1 {pid}",
        break_=break_,
        mend=mend,
        slow_url=f"{url}/slow",
        upload_url=f"{url}/upload",
        download_url=f"{url}/download",
        notes=(
            "master-worker mode, 2 threads; it answers by itself, without a server behind it, and "
            "writes no log file",
            "USR2 reloads, USR1 is its soft stop: https://docs.haproxy.org/2.6/management.html; the "
            "configuration is tested first, as Debian's service does",
            "with option idle-close-on-response, which its manual has for clients that don't ask "
            "again: an old process closes a connection with its next answer; and with "
            "hard-stop-after, which that needs: connections that rest for 5 s after a reload are "
            "closed without a word: https://docs.haproxy.org/2.6/configuration.html",
            "a master whose worker dies ends too, as by default: a service manager starts it again",
        ),
    )
