#ifndef GRACEFUL_SIGNALS_LESSONS_INHERITED_H_
#define GRACEFUL_SIGNALS_LESSONS_INHERITED_H_

#include <set>
#include <string>

namespace graceful {

// What the kernel notes about a process's standard signals (/proc/PID/status, proc(5)).
struct SignalState {
  std::set<int> blocked;
  std::set<int> pending;
  std::set<int> ignored;
  std::set<int> caught;
  bool operator==(const SignalState&) const = default;
};

// A process ignores SIGUSR1, catches SIGUSR2, and has a SIGTERM pending that it blocks.
struct Inherited {
  SignalState before;      // that process
  SignalState after_fork;  // its child: the same, but nothing is pending
  SignalState after_exec;  // the same process once it runs `cat`: the same, but nothing is caught
};
Inherited FindInherited();

// How `cat` ends when it gets SIGHUP, and the end of its input then.
struct Nohup {
  std::string without;  // "was killed by SIGHUP"
  std::string with;     // `nohup cat`: "exited with status 0"
};
Nohup FindNohup();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_INHERITED_H_
