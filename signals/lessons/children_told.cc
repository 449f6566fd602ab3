// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include "signals/lessons/children.h"
#include "signals/lessons/lesson.h"

namespace graceful {

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
