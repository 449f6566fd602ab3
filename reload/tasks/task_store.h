#ifndef GRACEFUL_RELOAD_TASKS_TASK_STORE_H_
#define GRACEFUL_RELOAD_TASKS_TASK_STORE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "reload/handler.h"
#include "reload/tasks/task_id.h"

namespace graceful {

// All that must not be lost of a task. That it is running is not among it: after a death of the
// one who leased it, it waits again.
struct StoredTask {
  TaskId id = 0;
  TaskState state = TaskState::kWaiting;  // or kDone, kFailed, kDead
  int attempts = 0;                       // task workers that died while they ran it
  std::string payload;                    // empty once it is done or failed
  std::string result;                     // what OnTask() made, or why it failed or is dead
  uint64_t place = 0;                     // the store's own, set by it
  bool is_leased = false;                 // not stored
};

struct TaskChange {
  enum class Kind { kAdd, kUpdate, kRemove };
  Kind kind;
  StoredTask* task;
};

// Where tasks are kept so that they outlive the task keeper, which alone reads and writes it. What
// becomes of them is TaskQueue's to decide; a store only remembers.
class TaskStore {
 public:
  virtual ~TaskStore() = default;

  // What is there, in the order in which it was added. Throws std::runtime_error.
  virtual std::vector<StoredTask> Load() = 0;

  // Once it returns, the changes outlive what this store promises to outlive. When it throws
  // std::runtime_error, no task was added; the other changes may be written again.
  virtual void Write(std::span<const TaskChange> changes) = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_STORE_H_
