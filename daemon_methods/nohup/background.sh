#!/bin/sh
# The counter-example: `&` alone. It leaves the prompt, and the server on the terminal.
#
# usage: background.sh SERVER [OPTION ...]
set -eu
server=$(realpath "$1")
shift
cd "${BUILD_WORKING_DIRECTORY:-.}"

"$server" "$@" &

echo "started process $!, whose output still comes to this terminal"
echo "  stop it   kill $!"
