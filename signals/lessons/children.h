#ifndef GRACEFUL_SIGNALS_LESSONS_CHILDREN_H_
#define GRACEFUL_SIGNALS_LESSONS_CHILDREN_H_

namespace graceful {

inline constexpr int kChildren = 100;

// What happens when many children end while their parent is busy. It blocks SIGCHLD meanwhile;
// so does a handler while it runs.
struct ChildrenEnd {
  int zombies;             // processes in state Z, before anything is reaped: all of them
  int signals;             // SIGCHLD that came for them: one
  int left_by_one_wait;    // zombies that remain after one waitpid(2) for each signal
  int reaped_by_loop;      // what a loop of waitpid(2) finds then: all of those
  int left_by_loop;        // zombies that remain after the loop: none
  int known_when_ignored;  // as many again, with SIGCHLD ignored: how many waitpid(2) tells of
};
ChildrenEnd FindHowChildrenEnd();

// What a pidfd says of a process, through its life.
struct PidfdTells {
  bool readable_while_it_runs;   // no
  bool readable_as_zombie;       // yes: its end can be awaited with poll(2), without any signal
  bool signalled_while_it_runs;  // yes
  bool signalled_when_reaped;    // no: unlike a pid, it never names another process
};
PidfdTells FindWhatPidfdTells();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_CHILDREN_H_
