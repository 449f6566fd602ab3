#ifndef GRACEFUL_SIGNALS_LESSONS_INTERRUPTED_H_
#define GRACEFUL_SIGNALS_LESSONS_INTERRUPTED_H_

#include <string>
#include <vector>

namespace graceful {

// What became of a call that slept when a signal came.
enum class Outcome {
  kSleepsOn,  // it was restarted: its caller noticed nothing
  kEintr,     // it failed with EINTR: its caller must call again, or act on the signal
};

// One system call, and three signals: see signal(7), "Interruption of system calls".
struct Interrupted {
  std::string call;
  Outcome handler;       // a signal with a handler
  Outcome with_restart;  // the same, with SA_RESTART
  Outcome stopped;       // SIGSTOP and SIGCONT, with no handler anywhere
};

// One row for each call that is tried, the restarted ones first.
std::vector<Interrupted> FindInterrupted();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_INTERRUPTED_H_
