// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include "signals/lessons/interrupted.h"
#include "signals/lessons/lesson.h"

namespace graceful {

namespace {

const char* Describe(Outcome outcome) { return outcome == Outcome::kEintr ? "EINTR" : "sleeps on"; }

void Tell() {
  fmt::print(
      "A signal comes while a process sleeps in a system call.\n\n"
      "  {:<22}  {:<10}  {:<10}  {}\n",
      "", "handler", "SA_RESTART", "stopped, continued; no handler");
  for (const Interrupted& row : FindInterrupted()) {
    fmt::print("  {:<22}  {:<10}  {:<10}  {}\n", row.call, Describe(row.handler),
               Describe(row.with_restart), Describe(row.stopped));
  }
  fmt::print(
      "\nA handler interrupts every one of them. SA_RESTART hides that for calls that wait "
      "without\n"
      "end for one thing. Those that wait with a timeout, or for many things, always say EINTR.\n"
      "In the last column is what surprises programs that have no handler at all: Ctrl-Z and fg,\n"
      "or a debugger, are enough. So every loop around such a call must expect EINTR.\n");
}

}  // namespace

const Lesson kLesson = {"EINTR: which system calls a signal interrupts, and what SA_RESTART helps.",
                        Tell};

}  // namespace graceful
