// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include "signals/lessons/lesson.h"
#include "signals/lessons/who_gets_it.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

void Print(const char* what, const Sightings& sightings) {
  fmt::print("  {:<28}", what);
  for (const auto& [actor, seen] : sightings) {
    for (const auto& [signal, sender] : seen) {
      fmt::print(" {} got {} from {};", Name(actor), SignalName(signal),
                 sender == 0 ? "the kernel" : fmt::format("process {}", sender));
    }
  }
  fmt::print("\n");
}

void Tell() {
  const WhoGotIt found = FindWhoGetsIt();
  fmt::print(
      "A shell at a terminal, and its jobs, one process group each:\n"
      "  sort | less        in the foreground\n"
      "  make, compiler     in the background\n"
      "  editor             stopped\n"
      "  daemon             started here too, but it called setsid(2)\n\n");
  Print("Ctrl-C (byte 0x03):", found.ctrl_c);
  Print("Ctrl-\\ (byte 0x1c):", found.ctrl_backslash);
  Print("kill PID-of-less:", found.kill_pid);
  Print("kill -PID-of-make:", found.kill_group);
  Print("fg make, then Ctrl-C:", found.ctrl_c_after_fg);
  Print("Ctrl-C at the prompt:", found.ctrl_c_at_prompt);
  fmt::print(
      "\nA key goes to the foreground process group of the terminal, and to all of it. The shell\n"
      "is a group of its own, in the foreground while it shows its prompt. `kill PID` reaches one\n"
      "process, `kill -PID` a group, also in the background. None of them reached the daemon: it\n"
      "has left the session, and with it the terminal.\n");
}

}  // namespace

const Lesson kLesson = {"Who gets a signal: Ctrl-C, kill PID, kill -PID.", Tell};

}  // namespace graceful
