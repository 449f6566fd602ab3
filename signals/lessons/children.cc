#include "signals/lessons/children.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/lessons/stage.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

int CountZombies() {
  const auto children = ChildrenOf(getpid());
  return static_cast<int>(std::count_if(children.begin(), children.end(),
                                        [](pid_t pid) { return StateOf(pid) == 'Z'; }));
}

// Children that all wait for one pipe to close, and end together when it does.
void StartAndEndChildren() {
  Pipe gate;
  for (int i = 0; i < kChildren; ++i) {
    Fork([&] {
      gate.CloseWriteEnd();
      char byte;
      Check(read(gate.ReadEnd(), &byte, 1), "read", "gate");
    });
  }
  gate.CloseWriteEnd();
}

bool IsReadable(const UniqueFd& fd, int timeout_ms) {
  pollfd readable = {fd.Get(), POLLIN, 0};
  return Check(poll(&readable, 1, timeout_ms), "poll") == 1;
}

}  // namespace

ChildrenEnd FindHowChildrenEnd() {
  const Stage stage;
  ChildrenEnd found = {};

  SignalFd signals({SIGCHLD});
  StartAndEndChildren();
  Await("every child has ended", [] { return CountZombies() == kChildren; });
  found.zombies = CountZombies();

  while (signals.Read()) {
    ++found.signals;
    Check(waitpid(-1, nullptr, WNOHANG), "waitpid");  // the mistake: one for each signal
  }
  found.left_by_one_wait = CountZombies();

  found.reaped_by_loop = static_cast<int>(ReapChildren().size());
  found.left_by_loop = CountZombies();

  Handle(SIGCHLD, SIG_IGN);
  StartAndEndChildren();
  while (waitpid(-1, nullptr, 0) > 0) ++found.known_when_ignored;
  if (errno != ECHILD) ThrowErrno(errno, "waitpid");
  return found;
}

PidfdTells FindWhatPidfdTells() {
  const Stage stage;
  PidfdTells found = {};
  const pid_t pid = Fork([] { pause(); });
  const UniqueFd pidfd = OpenPidfd(pid);
  found.readable_while_it_runs = IsReadable(pidfd, 0);
  found.signalled_while_it_runs = SignalPidfd(pidfd, SIGKILL);
  found.readable_as_zombie = IsReadable(pidfd, 10'000) && StateOf(pid) == 'Z';
  WaitFor(pid);
  found.signalled_when_reaped = SignalPidfd(pidfd, SIGKILL);
  return found;
}

}  // namespace graceful
