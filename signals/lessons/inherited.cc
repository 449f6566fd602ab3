#include "signals/lessons/inherited.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/lessons/lesson.h"
#include "signals/lessons/stage.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

// One line of /proc/PID/status, "SigBlk:\t0000000000004000": bit 0 is signal 1.
std::set<int> ReadSet(const std::string& status, const std::string& field) {
  const size_t start = status.find("\n" + field + ":\t");
  if (start == std::string::npos) ThrowErrno(ENODATA, "read /proc/PID/status", field);
  const uint64_t bits = std::stoull(status.substr(start + field.size() + 3, 16), nullptr, 16);
  std::set<int> signals;
  for (int number = 1; number <= SIGSYS; ++number) {
    if (bits >> (number - 1) & 1) signals.insert(number);
  }
  return signals;
}

SignalState ReadSignalState(pid_t pid) {
  const std::string status = ReadFile("/proc/" + std::to_string(pid) + "/status");
  return {.blocked = ReadSet(status, "SigBlk"),
          .pending = ReadSet(status, "ShdPnd"),  // sent to the process; SigPnd: to one thread
          .ignored = ReadSet(status, "SigIgn"),
          .caught = ReadSet(status, "SigCgt")};
}

// Becomes the program, with its input from the pipe and its output nowhere.
void Exec(std::vector<const char*> command, const Pipe& input) {
  const UniqueFd null(Check(open("/dev/null", O_WRONLY | O_CLOEXEC), "open", "/dev/null"));
  Check(dup2(input.ReadEnd(), STDIN_FILENO), "dup2", "stdin");
  Check(dup2(null.Get(), STDOUT_FILENO), "dup2", "stdout");
  command.push_back(nullptr);
  Check(execvp(command[0], const_cast<char* const*>(command.data())), "execvp", command[0]);
}

void AwaitCat(pid_t pid) {
  Await("cat runs", [&] { return ReadFile("/proc/" + std::to_string(pid) + "/comm") == "cat\n"; });
}

void DoNothing(int) {}

void Prepare() {
  Handle(SIGUSR1, SIG_IGN);
  Handle(SIGUSR2, DoNothing);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  Check(sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
  Kill(getpid(), SIGTERM);
}

}  // namespace

Inherited FindInherited() {
  const Stage stage;
  Pipe pids, go, input;
  Inherited found;
  const pid_t process = Fork([&] {
    input.CloseWriteEnd();
    Prepare();
    pids.Send(getpid());
    go.Receive<char>();
    const pid_t child = Check(fork(), "fork");  // fork(2) alone, nothing restored
    if (child == 0) {
      char byte;
      _exit(static_cast<int>(read(input.ReadEnd(), &byte, 1)));  // 0, when the lesson ends
    }
    pids.Send(child);
    go.Receive<char>();
    Exec({"cat"}, input);
  });

  pids.Receive<pid_t>();
  found.before = ReadSignalState(process);
  go.Send('!');
  found.after_fork = ReadSignalState(pids.Receive<pid_t>());
  go.Send('!');
  AwaitCat(process);
  found.after_exec = ReadSignalState(process);
  return found;
}

namespace {

std::string HowItEnds(const std::vector<const char*>& command) {
  const Stage stage;
  Pipe input;
  const pid_t pid = Fork([&] { Exec(command, input); });
  AwaitCat(pid);
  Kill(pid, SIGHUP);
  input.CloseWriteEnd();
  return WaitFor(pid).Describe();
}

}  // namespace

Nohup FindNohup() { return {.without = HowItEnds({"cat"}), .with = HowItEnds({"nohup", "cat"})}; }

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
