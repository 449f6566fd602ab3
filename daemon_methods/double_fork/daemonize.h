#ifndef GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_DAEMONIZE_H_
#define GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_DAEMONIZE_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "signals/unique_fd.h"

namespace graceful {

struct DaemonOptions {
  // Where descriptors 1 and 2 go, opened to append, created with mode 0640; a relative path is
  // taken from the folder of the call. Empty: /dev/null, with a warning on standard error before.
  std::string log_file = {};
  // A daemon that stays in the folder of its shell keeps that file system from being unmounted.
  std::string working_directory = "/";
  mode_t umask = 027;
  // Descriptors above 2 that the daemon takes along; every other one is closed.
  std::vector<int> keep = {};
};

// What a daemon owes to the process that started it: one report, whether the start succeeded.
//
// Until then the daemon belongs to its starter: a Ctrl-C or a hangup there ends both.
class Startup {
 public:
  Startup(Startup&&) = default;
  Startup& operator=(Startup&&) = delete;
  // Without a report so far, the start has failed.
  ~Startup();

  // The starter prints `message` on its standard output and exits 0. Throws std::system_error
  // (EPIPE) when the starter is gone: it was killed, nobody knows of this daemon, so it must end.
  void Ready(std::string_view message);

  // The starter prints `message` on its standard error, waits until this process has ended, and
  // exits with `status` (1 to 255; any other becomes 1). Does nothing after the first report,
  // so that an error handler may call it at any time.
  void Failed(int status, std::string_view message) noexcept;

 private:
  friend Startup Daemonize(const DaemonOptions& options);
  explicit Startup(UniqueFd report);

  UniqueFd report_;
  pid_t daemon_;  // A process that the daemon forks has no report to make.
};

// Turns this process into a daemon, step by step: see the .cc, it reads from top to bottom.
//
// Returns in the daemon only: in a session of its own without a controlling terminal and unable
// to get one, every signal at its default and unblocked, 0 from /dev/null, 1 and 2 to the log. The
// original process never returns: it waits for the report, prints it, and exits accordingly. When
// the daemon dies without a report, the starter says how, and exits 1.
//
//   Startup startup = Daemonize({.log_file = "/var/log/echo.log"});
//   try {
//     PidFile pid_file = PidFile::Acquire("/run/echo.pid");
//     Server server(...);
//     startup.Ready("echo: serving on port 8080");
//     server.Run();
//   } catch (const std::exception& error) {
//     startup.Failed(1, error.what());
//     return 1;
//   }
//
// Call it first: before children (the starter would reap them) and threads (fork(2) copies only the
// calling one), before opening what is not in `keep`, and before a SignalFd (an epoll instance
// would show the starter's signals, not ours).
//
// Throws in the original process, before any fork: std::system_error when the log or the folder
// can't be opened, std::logic_error when other threads run. What fails later is reported.
Startup Daemonize(const DaemonOptions& options);

}  // namespace graceful

#endif  // GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_DAEMONIZE_H_
