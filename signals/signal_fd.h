#ifndef GRACEFUL_SIGNALS_SIGNAL_FD_H_
#define GRACEFUL_SIGNALS_SIGNAL_FD_H_

#include <signal.h>
#include <sys/signalfd.h>

#include <initializer_list>
#include <optional>

#include "signals/unique_fd.h"

namespace graceful {

// Signals as messages that a loop reads, instead of a handler that interrupts it anywhere.
//
// A signal handler may call almost nothing (signal-safety(7)); so no program here has one. The
// constructor blocks the signals for this thread and they queue at the descriptor instead. Make
// one before any thread starts: threads inherit the mask.
//
// A signal that is ignored when the constructor runs stays ignored: `nohup` is obeyed. Except
// SIGCHLD, which goes back to its default: ignored, it would keep waitpid(2) from telling anything.
//
// The mask is also inherited over fork(2) and execve(2): a child calls RestoreSignals() before
// it runs anything else.
class SignalFd {
 public:
  // Throws std::system_error.
  SignalFd(std::initializer_list<int> signals);

  // Readable (poll(2), epoll(7)) while a signal waits.
  int Get() const { return fd_.Get(); }

  // The next signal that waits, without blocking: its number, sender and value, see
  // signalfd(2). Standard signals coalesce: one entry can stand for many of the same number.
  std::optional<signalfd_siginfo> Read();

 private:
  UniqueFd fd_;
};

// Unblocks every signal and gives each its default action: for a child, before it runs code
// that expects the world as execve(2) documents it. SIGPIPE included.
void RestoreSignals();

// Lets signals pass without effect, in this process only: with an empty handler. With SIG_IGN the
// programs that it starts would ignore them too, since execve(2) keeps that and resets handlers.
// A write to a closed pipe then fails with EPIPE for SIGPIPE. System calls are restarted.
void IgnoreUntilExec(std::initializer_list<int> signals);

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_SIGNAL_FD_H_
