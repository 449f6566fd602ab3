#!/bin/sh
# The counter-example: `&` alone. It leaves the prompt, and the server on the terminal.
#
# usage: background.sh SERVER [OPTION ...]
set -eu
server=$(realpath "$1")
shift
# Words that are asked for belong to the one who asks, and start nothing.
case " $* " in
  *" --help "* | *" -h "* | *" --version "*) exec "$server" "$@" ;;
esac
cd "${BUILD_WORKING_DIRECTORY:-.}"

"$server" "$@" &

echo "started process $!, whose output still comes to this terminal"
echo "  stop it   kill $!"
