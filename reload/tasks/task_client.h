#ifndef GRACEFUL_RELOAD_TASKS_TASK_CLIENT_H_
#define GRACEFUL_RELOAD_TASKS_TASK_CLIENT_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "reload/tasks/task_message.h"

namespace graceful {

// A slot's way to the task keeper: gathers the tasks that a handler starts, and hands them over
// when it has returned.
class TaskClient {
 public:
  // `socket`: where TaskCalls go, not owned. `max_size`: of a payload.
  TaskClient(int socket, int slot, uint32_t max_size)
      : socket_(socket), slot_(slot), max_size_(max_size) {}

  // Throws std::invalid_argument for a payload that is too large.
  TaskId Start(std::string_view payload);

  // What was started is not handed over.
  void Forget();

  size_t Started() const { return started_.size(); }
  bool HasStarted(TaskId task) const {
    return std::find(started_.begin(), started_.end(), task) != started_.end();
  }
  TaskId First() const { return started_.front(); }

  // Hands over what was started, and asks to be told of a task. When the task keeper does not read,
  // it waits a little. False when that was in vain: nothing was handed over. Throws
  // std::system_error.
  bool Send(int fd, TaskId task, TaskWait wait);

 private:
  const int socket_;
  const int slot_;
  const uint32_t max_size_;
  std::vector<TaskId> started_;
  uint32_t patient_from_ = 0;  // ClockMs(): it has just waited in vain
  std::string message_;        // room for the TaskCall, then the tasks
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_CLIENT_H_
