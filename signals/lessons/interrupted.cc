#include "signals/lessons/interrupted.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "signals/check.h"
#include "signals/lessons/interrupted_calls.h"
#include "signals/lessons/stage.h"

namespace graceful {

namespace {

int handled_fd;  // where the handler says that it ran: write(2) is safe in one

void OnSignal(int) {
  const int kept = errno;  // a handler must not change what the interrupted code sees
  if (write(handled_fd, "!", 1) == -1) _exit(1);
  errno = kept;
}

// Disturbs a process that sleeps in `call`: with SIGUSR1 if it handles that (then with these
// flags for sigaction(2)), else by stopping and continuing it.
Outcome Disturb(const SleepingCall& call, std::optional<int> handler_flags) {
  Pipe quiet, handled, result;
  const pid_t pid = Fork([&] {
    handled_fd = handled.WriteEnd();
    if (handler_flags) Handle(SIGUSR1, OnSignal, *handler_flags);
    const long returned = call.run(quiet.ReadEnd());
    result.Send(returned == -1 ? errno : 0);
  });
  Await("the call sleeps", [&] { return StateOf(pid) == 'S'; });
  if (handler_flags) {
    Kill(pid, SIGUSR1);
    handled.Receive<char>();
  } else {
    Kill(pid, SIGSTOP);
    Await("the process is stopped", [&] { return StateOf(pid) == 'T'; });
    Kill(pid, SIGCONT);
  }
  Await("it sleeps again or has returned",
        [&] { return result.HasMessage() || StateOf(pid) == 'S'; });
  if (!result.HasMessage()) return Outcome::kSleepsOn;
  const int error = result.Receive<int>();
  if (error != EINTR) ThrowErrno(error, call.name);
  return Outcome::kEintr;
}

}  // namespace

std::vector<Interrupted> FindInterrupted() {
  std::vector<Interrupted> found;
  for (const SleepingCall& call : SleepingCalls()) {
    const Stage stage;
    found.push_back({.call = call.name,
                     .handler = Disturb(call, 0),
                     .with_restart = Disturb(call, SA_RESTART),
                     .stopped = Disturb(call, std::nullopt)});
  }
  return found;
}

}  // namespace graceful
