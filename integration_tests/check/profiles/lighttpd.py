"""lighttpd, one process as by default: lighttpd(8)"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "lighttpd"
PACKAGES = ["lighttpd"]

CONFIG = """\
server.modules = ("mod_accesslog", "mod_cgi")
server.bind = "127.0.0.1"
server.port = {port}
server.pid-file = "{folder}/pid"
server.errorlog = "{folder}/error.log"
accesslog.filename = "{folder}/access.log"
server.upload-dirs = ("{folder}")
server.document-root = "{root}"
index-file.names = ("index.html")
mimetype.assign = ("" => "text/plain")
server.max-keep-alive-requests = 1000000
server.max-keep-alive-idle = 75
server.feature-flags += ("server.graceful-restart-bg" => "enable")
$HTTP["url"] =~ "^/slow/" {{ connection.kbytes-per-second = {rate} }}
cgi.assign = (".sh" => "/bin/sh")
"""

UPLOAD = """\
cat >/dev/null
printf 'Content-Type: text/plain\\r\\nContent-Length: 6\\r\\n\\r\\nhello\\n'
"""


def missing() -> str:
    return tools.missing("lighttpd")


def spec(folder: Path, port: int) -> Spec:
    root = tools.site(folder)
    tools.write(root / "upload.sh", UPLOAD)
    text = CONFIG.format(folder=folder, port=port, root=root, rate=tools.SLOW_RATE_KB)
    config = tools.write(folder / "lighttpd.conf", text)
    break_, mend = tools.breaking(config, "no.such.directive ! 1")
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version=tools.version("lighttpd", "-v"),
        folder=folder,
        # It starts itself again in the background only when it was started by its whole path.
        start=f"{tools.find('lighttpd')} -f {config}",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload=f"lighttpd -tt -f {config} && kill -USR1 {{pid}}",
        stop="kill -INT {pid}",
        break_=break_,
        mend=mend,
        log_file=f"{folder}/access.log",
        rotate="kill -HUP {pid}",
        slow_url=f"{url}/slow/file.txt",
        upload_url=f"{url}/upload.sh",
        download_url=f"{url}/download",
        notes=(
            "one process, as by default; keep-alive for 75 s, practically without a limit of requests",
            "USR1 is its graceful restart, INT its graceful stop, HUP opens logs again: lighttpd(8); "
            "-tt tests the configuration first, as Debian's service does before a start",
            "with server.graceful-restart-bg, which lets the old process finish beside the new one; "
            "without it, a reload answers nobody for about a second: "
            "https://redmine.lighttpd.net/projects/lighttpd/wiki/Server_feature-flagsDetails",
        ),
    )
