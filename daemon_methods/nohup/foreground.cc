// A server that does nothing to become a daemon. It lives as long as its terminal lets it, unless
// whoever starts it sees to that: see the shell lines beside this file.

#include <fmt/format.h>

#include <cstdio>

#include "daemon_methods/echo_server.h"
#include "daemon_methods/program.h"

namespace graceful {
namespace {

int Main(const Options& options) {
  const auto pid_file = AcquirePidFile(options);
  EchoServer server(Listen(options.port));
  RedirectOutput(OpenLog(options));
  fmt::print("{}\n", Account(server.Port(), "Ctrl-C, or " + KillLine()));
  std::fflush(stdout);
  server.Run();
  return 0;
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  return graceful::RunProgram(argc, argv, "An echo server in the foreground of its terminal.",
                              graceful::Main);
}
