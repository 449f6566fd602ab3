// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include <set>
#include <string>

#include "signals/lessons/inherited.h"
#include "signals/lessons/lesson.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

std::string Names(const std::set<int>& signals) {
  std::string names;
  for (const int signal : signals) names += (names.empty() ? "" : " ") + SignalName(signal);
  return names.empty() ? "-" : names;
}

void Tell() {
  const Inherited found = FindInherited();
  fmt::print("{:<30}{:<10}{:<10}{:<10}{}\n", "", "blocked", "pending", "ignored", "caught");
  const auto print = [](const char* who, const SignalState& state) {
    fmt::print("{:<30}{:<10}{:<10}{:<10}{}\n", who, Names(state.blocked), Names(state.pending),
               Names(state.ignored), Names(state.caught));
  };
  print("a process", found.before);
  print("its child, after fork(2)", found.after_fork);
  print("the process, after execve(2)", found.after_exec);
  const Nohup nohup = FindNohup();
  fmt::print(
      "\nA child starts with nothing pending: those signals were for its parent. A new program\n"
      "has no handlers: their code is gone. All else is passed on, also what the new program\n"
      "does not expect: `cat` has SIGTERM blocked now, and `kill` can't stop it. So a server\n"
      "restores signals before it starts anything.\n\n"
      "nohup is built on it: it ignores SIGHUP, then becomes the program.\n"
      "  SIGHUP to `cat`:        it {}\n"
      "  SIGHUP to `nohup cat`:  it {}, at the end of its input\n",
      nohup.without, nohup.with);
}

}  // namespace

const Lesson kLesson = {"What fork and exec keep of signals, and why nohup works.", Tell};

}  // namespace graceful
