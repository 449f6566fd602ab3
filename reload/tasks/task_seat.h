#ifndef GRACEFUL_RELOAD_TASKS_TASK_SEAT_H_
#define GRACEFUL_RELOAD_TASKS_TASK_SEAT_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "reload/channel.h"
#include "reload/log.h"
#include "reload/settings.h"
#include "reload/tasks/memory_task_store.h"
#include "reload/tasks/task_status.h"
#include "signals/children.h"
#include "signals/unique_fd.h"

namespace graceful {

// The task keeper as the master sees it, and what outlives it: the socket on which slots call it,
// with all that waits there, the memory of its queue, and its counts.
class TaskSeat {
 public:
  // Whether there are task workers at all is settled with the server's start.
  explicit TaskSeat(const Settings& settings);
  ~TaskSeat();
  TaskSeat(const TaskSeat&) = delete;
  TaskSeat& operator=(const TaskSeat&) = delete;

  bool IsWanted() const { return is_wanted_; }
  bool IsRunning() const { return keeper_ != 0; }
  pid_t Keeper() const { return keeper_; }
  const Channel& ToKeeper() const { return channel_; }
  int Calls() const { return calls_in_.Get(); }  // for slots
  const TaskStatus& Status() const { return *status_; }

  // Forks a task keeper. `inboxes`: of each slot.
  void Start(const Settings& settings, const std::map<int, int>& inboxes, const Log& log);

  // A slot that came after the start of the task keeper; -1 when it has gone.
  void SetInbox(int slot, int inbox) const;

  // It has ended: it is to be started again at StartAt(), see ClockMs().
  void OnEnded();
  uint32_t StartAt() const { return start_at_; }
  void DoNotStart() { start_at_ = 0; }

  void Kill();

 private:
  [[noreturn]] void BecomeKeeper(const Settings& settings, const std::map<int, int>& inboxes,
                                 Channel channel, const Log& log);

  const bool is_wanted_;
  UniqueFd calls_in_;
  UniqueFd calls_out_;
  TaskStatus* status_;
  std::unique_ptr<TaskMemory> memory_;
  pid_t keeper_ = 0;
  Channel channel_;
  uint32_t started_ = 0;
  uint32_t start_at_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_SEAT_H_
