#ifndef GRACEFUL_RELOAD_TASKS_TASK_WORKER_H_
#define GRACEFUL_RELOAD_TASKS_TASK_WORKER_H_

#include <sys/types.h>

#include "reload/channel.h"
#include "reload/settings.h"
#include "reload/tasks/desk.h"

namespace graceful {

// What a new task worker begins with.
struct TaskWorkerStart {
  int number;
  const Settings& settings;
  int generation;
  int image;  // the handler's code, see handler_image.h
  pid_t keeper;
  Channel& channel;  // to the task keeper
  Desk& desk;
};

// A task worker's whole life, from its fork(2) to its exit: it says "ready" (or "failed", with the
// reason) and runs what is put on its desk, until it is told there to leave. It has no log: what
// it prints is caught by its keeper.
[[noreturn]] void RunTaskWorker(const TaskWorkerStart& start);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_WORKER_H_
