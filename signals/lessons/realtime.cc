#include "signals/lessons/realtime.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "signals/check.h"
#include "signals/lessons/stage.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

void Send(const std::vector<Numbered>& signals) {
  for (const auto& [signal, value] : signals) {
    Check(sigqueue(getpid(), signal, {.sival_int = value}), "sigqueue", SignalName(signal));
  }
}

// Takes what is pending of `set`, one after another, as a loop would.
std::vector<Numbered> Take(const sigset_t& set) {
  std::vector<Numbered> taken;
  const timespec now = {};
  siginfo_t info;
  while (sigtimedwait(&set, &info, &now) != -1) {
    taken.push_back({info.si_signo, info.si_value.sival_int});
  }
  if (errno != EAGAIN) ThrowErrno(errno, "sigtimedwait");
  return taken;
}

int SendWithoutRoom() {
  rlimit limit;
  Check(getrlimit(RLIMIT_SIGPENDING, &limit), "getrlimit");
  const rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
  Check(setrlimit(RLIMIT_SIGPENDING, &none), "setrlimit");
  const int error = sigqueue(getpid(), SIGRTMIN, {}) == -1 ? errno : 0;
  Check(setrlimit(RLIMIT_SIGPENDING, &limit), "setrlimit");
  return error;
}

}  // namespace

Queued FindQueued() {
  const Stage stage;
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGUSR1, SIGRTMIN, SIGRTMIN + 1, SIGRTMIN + 2}) sigaddset(&set, signal);
  Check(sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");

  Queued found;
  int value = 0;
  for (const int signal : {SIGRTMIN + 2, SIGRTMIN + 1, SIGRTMIN}) {
    for (int i = 0; i < 3; ++i) found.sent.push_back({signal, ++value});
  }
  Send(found.sent);
  found.received = Take(set);

  for (int i = 1; i <= 9; ++i) found.standard_sent.push_back({SIGUSR1, i});
  Send(found.standard_sent);
  found.standard_received = Take(set);

  found.error_when_full = SendWithoutRoom();
  Take(set);
  return found;
}

}  // namespace graceful
