// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include "signals/lessons/hangup.h"
#include "signals/lessons/lesson.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

void Print(const char* when, const Sightings& sightings) {
  fmt::print("{}\n", when);
  for (const Actor actor : kActors) {
    const auto seen = sightings.find(actor);
    if (seen == sightings.end()) continue;
    fmt::print("  {:<10}", Name(actor));
    for (const Sighting& sighting : seen->second) fmt::print(" {}", SignalName(sighting.signal));
    fmt::print("\n");
  }
}

void Tell() {
  const WhoHeard heard = FindWhoHears();
  fmt::print(
      "A shell with a foreground job (sort | less), a background job (make, compiler), a stopped\n"
      "editor and a daemon. All of them catch signals and live on, so that we see who gets "
      "which.\n\n");
  Print("The terminal closes. The kernel sends:", heard.when_it_closed);
  Print("\nThen the shell exits. The kernel sends:", heard.when_shell_ended);
  fmt::print(
      "\nThe shell leads the session: it hears of the hangup first, and alone. The foreground job\n"
      "hears when the shell exits. So does the stopped editor: nobody is left to continue it (its\n"
      "group is orphaned), so it gets SIGHUP, and SIGCONT to be able to act on it. Nobody tells "
      "the\n"
      "background job. What it reads from the terminal is now the end ({}), what it writes fails\n"
      "({}).\n\n"
      "The same again with programs that took no care:\n",
      heard.read_result, std::strerror(heard.write_error));
  for (const auto& [actor, fate] : FindFates()) fmt::print("  {:<10} {}\n", Name(actor), fate);
  fmt::print(
      "\nSIGHUP kills unless it is caught, blocked or ignored. A background job that dies with "
      "its\n"
      "terminal was told by its shell: bash passes SIGHUP on to all its jobs. The kernel does "
      "not.\n");
}

}  // namespace

const Lesson kLesson = {"What closing a terminal sends, to whom, and what that does.", Tell};

}  // namespace graceful
