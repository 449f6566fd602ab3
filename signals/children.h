#ifndef GRACEFUL_SIGNALS_CHILDREN_H_
#define GRACEFUL_SIGNALS_CHILDREN_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "signals/unique_fd.h"

namespace graceful {

// A child that has ended, and how (the status of waitpid(2)).
struct Ended {
  pid_t pid;
  int status;

  bool Cleanly() const;          // exit(0)
  std::string Describe() const;  // "exited with status 3", "was killed by SIGSEGV (core dumped)"
};

// Every child that has ended and was not reaped yet; none blocks. SIGCHLD coalesces, so one
// signal may stand for many: this asks until there are no more.
std::vector<Ended> ReapChildren();

// Waits until the child ends. Throws std::system_error when it is no child of this process.
Ended WaitFor(pid_t pid);

// A descriptor that names the process and never another one, as a pid may once its process was
// reaped (pidfd_open(2)): readable when the process has ended. Throws std::system_error.
UniqueFd OpenPidfd(pid_t pid);

// Sends a signal to the process that `pidfd` names. False when it has already ended.
// Throws std::system_error for any other failure.
bool SignalPidfd(const UniqueFd& pidfd, int signal);

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_CHILDREN_H_
