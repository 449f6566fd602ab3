#include "signals/lessons/children.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/lessons/lesson.h"
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

namespace {

void Tell() {
  const ChildrenEnd found = FindHowChildrenEnd();
  fmt::print(
      "{} children ended while their parent had SIGCHLD blocked.\n"
      "  {:3} zombies in /proc: ended, and kept until their parent asks how\n"
      "  {:3} SIGCHLD waited for it: a standard signal that is pending already is not sent twice\n"
      "  {:3} zombies left after one waitpid(2) for each signal\n"
      "  {:3} more reaped by a loop of waitpid(2) that ends when there are no more\n"
      "  {:3} left by that loop\n\n"
      "As many again, with SIGCHLD ignored: waitpid(2) told of {}. The kernel reaped them itself,\n"
      "and nobody learns how they ended.\n\n",
      kChildren, found.zombies, found.signals, found.left_by_one_wait, found.reaped_by_loop,
      found.left_by_loop, found.known_when_ignored);
  const PidfdTells tells = FindWhatPidfdTells();
  fmt::print(
      "A pidfd needs no signal. Readable while its process runs: {}; once it has ended: {}.\n"
      "A signal through it reaches the process: {}; and when that is reaped and its pid free for\n"
      "another process: {}.\n",
      tells.readable_while_it_runs, tells.readable_as_zombie, tells.signalled_while_it_runs,
      tells.signalled_when_reaped);
}

}  // namespace

const Lesson kLesson = {"SIGCHLD coalesces; zombies, the loop that reaps them all, and pidfd.",
                        Tell};

}  // namespace graceful
