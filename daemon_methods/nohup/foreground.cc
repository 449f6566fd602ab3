// A server that does nothing to become a daemon. It lives as long as its terminal lets it, unless
// whoever starts it sees to that: see the shell lines beside this file.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "daemon_methods/echo_server.h"
#include "daemon_methods/program.h"
#include "signals/check.h"

namespace graceful {
namespace {

void RedirectOutput(const std::string& path) {
  const UniqueFd log(Check(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640),
                           "open the log file", path));
  Check(dup2(log.Get(), STDOUT_FILENO), "dup2", "1");
  Check(dup2(log.Get(), STDERR_FILENO), "dup2", "2");
}

int Main(const Options& options) {
  const auto pid_file = AcquirePidFile(options);
  EchoServer server(Listen(options.port));
  if (!options.log_file.empty()) RedirectOutput(options.log_file);
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
