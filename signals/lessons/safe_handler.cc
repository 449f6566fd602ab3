#include "signals/lessons/safe_handler.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "signals/lessons/safe_handler_heap.h"
#include "signals/lessons/stage.h"

namespace graceful {

namespace {

constexpr int kMostSignals = 2000;  // to meet malloc(3) in the act: one or two do, mostly

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

}  // namespace graceful
