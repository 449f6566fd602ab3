#ifndef GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_STARTER_H_
#define GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_STARTER_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daemon_methods/double_fork/report.h"
#include "signals/children.h"
#include "signals/signal_fd.h"
#include "signals/unique_fd.h"

namespace graceful {

// The original process while its daemon starts: what the shell waits for.
//
// It makes itself the subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)), so that the daemon becomes its
// child, not init's, when the process between them exits: only a parent is told how a process
// died. When the starter exits, the daemon goes on to init, or to the next subreaper.
class Starter {
 public:
  // To be made before the first fork: from here on the signals that a terminal sends wait for
  // WaitAndExit(). Throws std::system_error.
  explicit Starter(UniqueFd reports);

  // Waits for the daemon in the session that our child `session` makes, says how the start went,
  // and exits. Of a start that failed nothing is left running by then.
  [[noreturn]] void WaitAndExit(pid_t session, const std::string& log_file);

 private:
  struct Outcome {
    enum Kind { kReady, kFailed, kDied, kInterrupted };
    Kind kind;
    int value = 0;          // kFailed: the exit status; kInterrupted: the signal
    std::string text = {};  // kReady, kFailed: the daemon's message
  };

  Outcome Wait();
  // What the daemon has reported, or that nobody is left to report.
  std::optional<Outcome> ReadReports();
  // The signal that asks the starter to end. Reaps what has died.
  std::optional<int> ReadSignals();
  bool DaemonEnded() const;
  std::string DescribeDeath(const std::string& log_file) const;

  // Leaves the daemon time to clean up, then kills what is left of its process group.
  void EndSession(pid_t session, std::chrono::seconds grace);

  UniqueFd reports_;
  SignalFd signals_;
  pid_t daemon_ = 0;  // 0 until it has reported it
  std::vector<Ended> ended_;
};

}  // namespace graceful

#endif  // GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_STARTER_H_
