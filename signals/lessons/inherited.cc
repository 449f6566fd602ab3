#include "signals/lessons/inherited.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <vector>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/lessons/inherited_state.h"
#include "signals/lessons/stage.h"

namespace graceful {

namespace {

// Becomes the program, with its input from the pipe and its output nowhere.
void Exec(std::vector<const char*> command, const Pipe& input) {
  const UniqueFd null(Check(open("/dev/null", O_WRONLY | O_CLOEXEC), "open", "/dev/null"));
  Check(dup2(input.ReadEnd(), STDIN_FILENO), "dup2", "stdin");
  Check(dup2(null.Get(), STDOUT_FILENO), "dup2", "stdout");
  // At a terminal nohup would say there where it sends this.
  Check(dup2(null.Get(), STDERR_FILENO), "dup2", "stderr");
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

}  // namespace graceful
