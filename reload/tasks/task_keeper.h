#ifndef GRACEFUL_RELOAD_TASKS_TASK_KEEPER_H_
#define GRACEFUL_RELOAD_TASKS_TASK_KEEPER_H_

#include <map>

#include "reload/channel.h"
#include "reload/log.h"
#include "reload/settings.h"
#include "reload/tasks/memory_task_store.h"
#include "reload/tasks/task_status.h"

namespace graceful {

// What a task keeper begins with, all of it its own but the memory, which it shares.
struct TaskKeeperStart {
  UniqueFd calls;                   // where slots send their TaskCalls
  std::map<int, UniqueFd> inboxes;  // of the slots there are
  Channel channel;                  // to the master
  TaskStatus& status;
  TaskMemory* memory;  // for a queue in memory
  bool again;          // not the first: slots may wait for what its predecessor knew
  const Settings& settings;
  Log log;
};

// A task keeper's whole life. It alone owns the queue, so there is no lock that a dead process
// could hold; it runs no handler's code, so it does not crash with it. Its task workers do that.
//
// Each turn it takes all calls that wait, all results that are there, has the queue write them in
// one commit, and only then deals out tasks and tells slots. The conversation with the master:
//
//   master: "reload"  with the handler's image, settings as text, the generation as number
//   keeper: "replaced", with the number of workers, or "failed", with the reason; the workers that
//           were not replaced go on
//   master: "reopen"  the log goes on in the attached file       keeper: "reopened"
//   master: "slot"    a slot's number, with the inbox of it attached
//   master: "tasks"   ctl, attached, wants to know; "retry" and "drop": it wants dead letters (an
//                     id or "all") to be run again, or forgotten
//   master: "stop"    finish what was accepted, or what is running if the rest is safe on a disk,
//                     for at most so many milliseconds; then the keeper says "stopped", and what
//                     became of the tasks, and goes
[[noreturn]] void RunTaskKeeper(TaskKeeperStart start);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_KEEPER_H_
