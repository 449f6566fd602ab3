#include "signals/lessons/safe_handler.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "signals/check.h"
#include "signals/lessons/lesson.h"
#include "signals/lessons/stage.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

constexpr int kNumbers = 1000;
constexpr int kMostSignals = 2000;  // to meet malloc(3) in the act: one or two do, mostly

void Allocate() {
  void* volatile memory = std::malloc(5000);  // more than what a thread keeps to itself
  std::free(memory);
}

// A thread that does nothing and takes no signal. With one thread alone malloc(3) takes no lock,
// and an allocating handler corrupts the heap instead.
void StartSecondThread() {
  sigset_t all, before;
  sigfillset(&all);
  Check(pthread_sigmask(SIG_BLOCK, &all, &before), "pthread_sigmask");
  std::thread([] {
    for (;;) pause();
  }).detach();
  Check(pthread_sigmask(SIG_SETMASK, &before, nullptr), "pthread_sigmask");
}

int pipe_of_handler;  // where a handler writes: write(2) is one of the few calls it may use

void AllocatingHandler(int) {
  Allocate();
  if (write(pipe_of_handler, "!", 1) == -1) _exit(1);
}

bool WaitsForALock(pid_t pid) {
  return ReadFile("/proc/" + std::to_string(pid) + "/syscall")
      .starts_with(std::to_string(SYS_futex) + " ");
}

}  // namespace

Deadlock FindDeadlock() {
  const Stage stage;
  Pipe ready, handled;
  const pid_t pid = Fork([&] {
    pipe_of_handler = handled.WriteEnd();
    Handle(SIGUSR1, AllocatingHandler);
    StartSecondThread();
    ready.Send('!');
    for (;;) Allocate();
  });
  ready.Receive<char>();
  for (int signals = 1; signals <= kMostSignals; ++signals) {
    Kill(pid, SIGUSR1);
    Await("the handler has ended, or waits for a lock",
          [&] { return handled.HasMessage() || WaitsForALock(pid); });
    // The only thread that ever allocates waits for malloc's lock: it holds it itself.
    if (!handled.HasMessage()) return {.signals = signals, .waits_for_a_lock = true};
    handled.Receive<char>();
  }
  return {.signals = kMostSignals, .waits_for_a_lock = false};
}

namespace {

void SelfPipeHandler(int, siginfo_t* info, void*) {
  const int kept = errno;
  const int number = info->si_value.sival_int;
  if (write(pipe_of_handler, &number, sizeof number) == -1) _exit(1);
  errno = kept;
}

// Counts the numbers that `next` has, until the last comes. Allocates all the time.
Delivery CountNumbers(const std::function<std::optional<int>()>& next) {
  Delivery delivery = {.sent = kNumbers, .received = 0, .in_order = true};
  for (int last = 0; last < kNumbers;) {
    Allocate();
    const auto number = next();
    if (!number) continue;
    ++delivery.received;
    delivery.in_order = delivery.in_order && *number == last + 1;
    last = *number;
  }
  return delivery;
}

// Sends the numbers to a process that runs `receive`, and returns what it says of them.
Delivery Deliver(const std::function<Delivery(const Pipe& ready)>& receive) {
  const Stage stage;
  Pipe ready, result;
  const pid_t pid = Fork([&] {
    StartSecondThread();
    result.Send(receive(ready));
  });
  ready.Receive<char>();
  for (int number = 1; number <= kNumbers; ++number) {
    Await("there is room for a signal", [&] {  // RLIMIT_SIGPENDING
      const int sent = sigqueue(pid, SIGRTMIN, {.sival_int = number});
      if (sent == -1 && errno != EAGAIN) ThrowErrno(errno, "sigqueue");
      return sent == 0;
    });
  }
  return result.Receive<Delivery>();
}

}  // namespace

Delivery FindSelfPipeDelivery() {
  return Deliver([](const Pipe& ready) {
    const Pipe self;
    pipe_of_handler = self.WriteEnd();
    struct sigaction action = {};
    action.sa_sigaction = SelfPipeHandler;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    Check(sigaction(SIGRTMIN, &action, nullptr), "sigaction", "SIGRTMIN");
    ready.Send('!');
    return CountNumbers([&]() -> std::optional<int> {
      if (!self.HasMessage()) return std::nullopt;
      return self.Receive<int>();
    });
  });
}

Delivery FindSignalFdDelivery() {
  return Deliver([](const Pipe& ready) {
    SignalFd signals({SIGRTMIN});
    ready.Send('!');
    return CountNumbers([&]() -> std::optional<int> {
      const auto info = signals.Read();
      if (!info) return std::nullopt;
      return info->ssi_int;
    });
  });
}

namespace {

void Tell() {
  const Deadlock deadlock = FindDeadlock();
  fmt::print("A process allocates all the time. Its signal handler calls malloc(3), too.\n");
  if (deadlock.waits_for_a_lock) {
    fmt::print(
        "  After {} signal(s) it hung in futex(2): the handler waits for malloc's lock, which the\n"
        "  code that it interrupted holds, and can't release before the handler returns.\n\n",
        deadlock.signals);
  } else {
    fmt::print("  {} signals did no harm, this time.\n\n", deadlock.signals);
  }
  const Delivery pipe = FindSelfPipeDelivery();
  const Delivery fd = FindSignalFdDelivery();
  fmt::print(
      "The same process, with {} numbered signals:\n"
      "  a handler that only writes to a pipe, read by the loop: {} arrived, {}\n"
      "  no handler: the loop reads a signalfd:                  {} arrived, {}\n\n"
      "A handler runs between any two instructions, also inside malloc(3), printf(3), or a lock "
      "of\n"
      "your own. It may call what signal-safety(7) lists, and little else. A loop that reads its\n"
      "signals like any other input may call everything.\n",
      pipe.sent, pipe.received, pipe.in_order ? "in order" : "out of order", fd.received,
      fd.in_order ? "in order" : "out of order");
}

}  // namespace

const Lesson kLesson = {"Why a handler may do almost nothing: a deadlock, self-pipe, signalfd.",
                        Tell};

}  // namespace graceful
