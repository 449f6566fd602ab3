// What the lesson's program says of what it has found.

#include <fmt/core.h>
#include <signal.h>

#include "signals/lessons/lesson.h"
#include "signals/lessons/realtime.h"
#include "signals/signal_names.h"

namespace graceful {

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
