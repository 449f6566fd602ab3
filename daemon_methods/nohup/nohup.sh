#!/bin/sh
# The shell's way: the server does nothing, nohup(1) ignores SIGHUP for it, `&` leaves the prompt.
#
# usage: nohup.sh SERVER [OPTION ...]     output is appended to log.txt in the working directory
set -eu
server=$(realpath "$1")
shift
# Words that are asked for belong to the one who asks, and start nothing.
case " $* " in
  *" --help "* | *" -h "* | *" --version "*) exec "$server" "$@" ;;
esac
cd "${BUILD_WORKING_DIRECTORY:-.}"

nohup "$server" "$@" >> log.txt 2>&1 < /dev/null &

echo "started process $!, and nobody knows yet if it serves: see log.txt"
echo "  stop it   kill $!"
