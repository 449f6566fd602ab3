// Two ways to take a signal while the program allocates: neither loses one.

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "signals/check.h"
#include "signals/lessons/safe_handler.h"
#include "signals/lessons/safe_handler_heap.h"
#include "signals/lessons/stage.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

constexpr int kNumbers = 1000;

int pipe_of_handler;

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

}  // namespace graceful
