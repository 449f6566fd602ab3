#include "signals/children.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include "signals/check.h"
#include "signals/signal_names.h"

namespace graceful {

bool Ended::Cleanly() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

std::string Ended::Describe() const {
  if (WIFEXITED(status)) return "exited with status " + std::to_string(WEXITSTATUS(status));
  std::string text = "was killed by " + SignalName(WTERMSIG(status));
  if (WCOREDUMP(status)) text += " (core dumped)";
  return text;
}

std::vector<Ended> ReapChildren() {
  std::vector<Ended> ended;
  for (;;) {
    int status;
    const pid_t pid = RetryInterrupted([&] { return waitpid(-1, &status, WNOHANG); });
    if (pid == 0 || (pid == -1 && errno == ECHILD)) return ended;
    Check(pid, "waitpid");
    ended.push_back({pid, status});
  }
}

Ended WaitFor(pid_t pid) {
  int status;
  Check(RetryInterrupted([&] { return waitpid(pid, &status, 0); }), "waitpid", std::to_string(pid));
  return {pid, status};
}

// By number: glibc has had wrappers since 2.36 only.
UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(
      static_cast<int>(Check(syscall(SYS_pidfd_open, pid, 0), "pidfd_open", std::to_string(pid))));
}

bool SignalPidfd(const UniqueFd& pidfd, int signal) {
  const long result = syscall(SYS_pidfd_send_signal, pidfd.Get(), signal, nullptr, 0);
  if (result == -1 && errno == ESRCH) return false;
  Check(result, "pidfd_send_signal", SignalName(signal));
  return true;
}

}  // namespace graceful
