#include "signals/signal_fd.h"

#include "signals/check.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

sigset_t MakeSet(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

}  // namespace

SignalFd::SignalFd(std::initializer_list<int> signals) {
  const sigset_t set = MakeSet(signals);
  // An ignored signal is never delivered, not even to a signalfd: `nohup` leaves SIGHUP so, and
  // a shell without job control leaves SIGINT and SIGQUIT so for what it starts with `&`. Those
  // stay ignored, since whoever started us asked for it; the others queue here.
  Check(sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
  fd_.Reset(Check(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

std::optional<signalfd_siginfo> SignalFd::Read() {
  signalfd_siginfo info;
  const ssize_t size = RetryInterrupted([&] { return read(fd_.Get(), &info, sizeof info); });
  if (size == -1 && errno == EAGAIN) return std::nullopt;
  Check(size, "read", "signalfd");
  return info;
}

void RestoreSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number <= SIGRTMAX; ++number) {
    // SIGKILL, SIGSTOP and the two that the C library keeps refuse with EINVAL: as they should.
    sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  Check(sigprocmask(SIG_SETMASK, &none, nullptr), "sigprocmask");
}

void IgnoreUntilExec(std::initializer_list<int> signals) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  for (const int number : signals) {
    Check(sigaction(number, &action, nullptr), "sigaction", SignalName(number));
  }
}

}  // namespace graceful
