#!/bin/sh
# Starts the server with server.toml; flags are the server's own and win over the file:
# --port 0, --pid_file F, --log_file F, --help.
set -eu
here=$(pwd)
exec "$here/reload/server" --config "$here/daemon_methods/config_flag/server.toml" "$@"
