"""Apache with the event MPM: https://httpd.apache.org/docs/2.4/stopping.html"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "apache"
PACKAGES = ["apache2-bin"]

MODULES = Path("/usr/lib/apache2/modules")

CONFIG = """\
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule env_module {modules}/mod_env.so
LoadModule ratelimit_module {modules}/mod_ratelimit.so
LoadModule lua_module {modules}/mod_lua.so
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog {folder}/access.log common
DocumentRoot {root}
DirectoryIndex index.html
{user}
StartServers 2
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 256
MinSpareThreads 64
MaxSpareThreads 192
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0
<Directory {root}>
  Require all granted
</Directory>
<Location /slow>
  SetOutputFilter RATE_LIMIT
  SetEnv rate-limit {rate}
</Location>
<Location /upload.lua>
  SetHandler lua-script
</Location>
"""

UPLOAD = """\
function handle(r)
  r:requestbody(nil, 16000000)
  r.content_type = "text/plain"
  r:puts("hello\\n")
  return apache2.OK
end
"""


def missing() -> str:
    return tools.missing("apache2")


def spec(folder: Path, port: int) -> Spec:
    root = tools.site(folder)
    tools.write(root / "upload.lua", UPLOAD)
    user = "User www-data\nGroup www-data" if tools.is_root() else ""
    text = CONFIG.format(
        modules=MODULES, folder=folder, port=port, root=root, user=user, rate=tools.SLOW_RATE_KB
    )
    config = tools.write(folder / "apache.conf", text)
    break_, mend = tools.breaking(config, "NoSuchDirective")
    url = f"http://127.0.0.1:{port}"
    apache = f"apache2 -f {config} -k"
    return Spec(
        name=NAME,
        version=tools.version("apache2", "-v").removeprefix("Server version: "),
        folder=folder,
        start=f"{apache} start",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload=f"{apache} graceful",
        stop=f"{apache} graceful-stop",
        break_=break_,
        mend=mend,
        log_file=f"{folder}/access.log",
        rotate=f"{apache} graceful",
        slow_url=f"{url}/slow/file.txt",
        upload_url=f"{url}/upload.lua",
        download_url=f"{url}/download",
        notes=(
            "event MPM, at first 2 processes of 64 threads, so that each of 64 clients can have one: "
            "with 25, as Debian sets it, all are busy, and then it closes kept-alive connections "
            "also without a reload: https://httpd.apache.org/docs/2.4/mod/event.html",
            "keep-alive for 75 s without a limit of requests (MaxKeepAliveRequests)",
            "-k graceful reloads, after a test of the configuration, and is how logs are opened "
            "again; -k graceful-stop stops: https://httpd.apache.org/docs/2.4/stopping.html",
        ),
    )
