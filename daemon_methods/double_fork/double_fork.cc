// The double fork, in full: see daemonize.cc, which has the steps.

#include <exception>

#include "daemon_methods/double_fork/daemonize.h"
#include "daemon_methods/echo_server.h"
#include "daemon_methods/program.h"

namespace graceful {
namespace {

int Main(const Options& options) {
  Startup startup = Daemonize({.log_file = options.log_file});
  try {
    const auto pid_file = AcquirePidFile(options);
    EchoServer server(Listen(options.port));
    startup.Ready(Account(server.Port(), KillLine()));
    server.Run();
    return 0;
  } catch (const std::exception& error) {
    startup.Failed(1, error.what());
    throw;
  }
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  return graceful::RunProgram(argc, argv,
                              "An echo server that becomes a daemon by fork, setsid, fork, and "
                              "tells its starter whether it serves.",
                              graceful::Main);
}
