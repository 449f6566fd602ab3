// daemon(3), the C library's: fork once, setsid(2), chdir to "/", 0-1-2 to /dev/null.
//
// It leaves out the second fork (so the daemon leads its session, and a terminal that it opens
// without O_NOCTTY becomes its controlling terminal), the umask, inherited descriptors, signals,
// a pid file, and readiness: the shell gets its prompt and status 0 at the fork, whatever comes
// after. So whatever can fail is done before it here.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "daemon_methods/echo_server.h"
#include "daemon_methods/program.h"
#include "signals/check.h"

namespace graceful {
namespace {

bool noclose = false;

int Main(const Options& options) {
  auto pid_file = AcquirePidFile(options);
  const UniqueFd log = OpenLog(options);
  UniqueFd listener = Listen(options.port);
  fmt::print(
      "listening on http://127.0.0.1:{}/; what happens after daemon(3), nobody here will be told\n"
      "  stop it   {}\n",
      LocalPort(listener),
      pid_file ? fmt::format("kill $(cat {})", pid_file->Path())
               : "find its pid first: no --pid_file was given");
  std::fflush(stdout);

  // This process ends inside the call, by _exit(0); the child returns from it.
  Check(daemon(/*nochdir=*/0, noclose ? 1 : 0), "daemon");

  if (pid_file) pid_file->Adopt();  // the lock came along, the number has changed
  RedirectOutput(log);
  // Not before: see its constructor.
  EchoServer server(std::move(listener));
  fmt::print("{}\n", Account(server.Port(), KillLine()));
  std::fflush(stdout);
  server.Run();
  return 0;
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  return graceful::RunProgram(
      argc, argv, "An echo server that becomes a daemon by the C library's daemon(3).",
      graceful::Main, [](CLI::App& app) {
        app.add_flag("--noclose", graceful::noclose,
                     "leave 0, 1 and 2 on the terminal, as many a recipe does");
      });
}
