#include "signals/lessons/realtime.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "signals/check.h"
#include "signals/lessons/lesson.h"
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

namespace {

void Print(const char* what, const std::vector<Numbered>& signals) {
  fmt::print("{}\n", what);
  int last = 0;
  for (const auto& [signal, value] : signals) {
    if (signal != last) fmt::print("{}  {:<10}", last == 0 ? "" : "\n", SignalName(signal));
    fmt::print(" {}", value);
    last = signal;
  }
  fmt::print("\n");
}

void Tell() {
  const Queued found = FindQueued();
  fmt::print(
      "A process blocks four signals, and sends them to itself with the numbers 1 to 9.\n\n");
  Print("Real-time signals, sent:", found.sent);
  Print("received:", found.received);
  Print("\nA standard signal, sent:", found.standard_sent);
  Print("received:", found.standard_received);
  fmt::print(
      "\nReal-time signals ({} to {} here) queue: none is lost, the lowest number comes first, "
      "and\n"
      "those of one number come as they were sent. A standard signal is pending or it isn't: what\n"
      "comes while it is pending is dropped, value and all. So count nothing with it.\n"
      "The queue has an end (ulimit -i). At the end sigqueue(3) fails: {}.\n",
      SIGRTMIN, SIGRTMAX,
      found.error_when_full == 0 ? "not here" : std::strerror(found.error_when_full));
}

}  // namespace

const Lesson kLesson = {"Real-time signals queue, with a value and in order; standard ones don't.",
                        Tell};

}  // namespace graceful
