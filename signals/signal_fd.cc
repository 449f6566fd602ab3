#include "signals/signal_fd.h"

#include "signals/check.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

void SetAction(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  Check(sigaction(signal, &action, nullptr), "sigaction", SignalName(signal));
}

bool IsIgnored(int signal) {
  struct sigaction action;
  Check(sigaction(signal, nullptr, &action), "sigaction", SignalName(signal));
  return action.sa_handler == SIG_IGN;
}

// `nohup` leaves SIGHUP ignored, a shell without job control SIGINT and SIGQUIT for what it starts
// with `&`: whoever started us asked for that, so those stay ignored. They must not be blocked,
// since Linux queues a blocked signal even when it is ignored.
sigset_t WithoutIgnored(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    // An ignored SIGCHLD reaps every child before waitpid(2) can tell of it.
    if (signal == SIGCHLD) SetAction(signal, SIG_DFL);
    if (!IsIgnored(signal)) sigaddset(&set, signal);
  }
  return set;
}

}  // namespace

SignalFd::SignalFd(std::initializer_list<int> signals) {
  const sigset_t set = WithoutIgnored(signals);
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
