// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include "signals/lessons/lesson.h"
#include "signals/lessons/safe_handler.h"

namespace graceful {

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
