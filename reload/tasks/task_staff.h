#ifndef GRACEFUL_RELOAD_TASKS_TASK_STAFF_H_
#define GRACEFUL_RELOAD_TASKS_TASK_STAFF_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reload/channel.h"
#include "reload/log.h"
#include "reload/settings.h"
#include "reload/tasks/desk.h"
#include "reload/tasks/task_queue.h"
#include "reload/tasks/task_status.h"
#include "signals/children.h"

namespace graceful {

// The task workers: starts and replaces them, deals the queue's tasks out to their desks, and takes
// what they have done. Used by the task keeper, in its one thread.
class TaskStaff {
 public:
  // What task workers run.
  struct Code {
    UniqueFd image;
    Settings settings;
    int generation;
  };

  // To be told of a task that is finished or dead.
  using OnFinished = std::function<void(TaskId)>;
  // Of a Replace(): the reason when it failed, and how many workers were replaced.
  using OnReplaced = std::function<void(const std::string& failure, int workers)>;

  // `epoll` gets the descriptors to wait for. Not owned.
  TaskStaff(TaskQueue& queue, TaskStatus& status, int epoll, const Log& log, OnFinished on_finished,
            OnReplaced on_replaced);
  ~TaskStaff();

  // Brings in workers with this code, as many as its settings say, one after another; each old
  // one finishes the task that it runs. When one can't start, the others stay.
  void Replace(std::shared_ptr<const Code> code);

  void OnMessage(int fd);  // of a worker
  void OnEnded(const Ended& ended);
  void TakeResults();
  void Deal();
  void OnTime();
  // Milliseconds until OnTime() has something to do, -1 for never.
  int NextTimeout() const;

  // For a stop: no task is begun any more, and each worker goes after the one that it runs.
  void Retire();
  bool IsEmpty() const { return children_.empty(); }
  void KillAll();

  size_t Running() const;  // tasks, now

  struct Row {
    int number;
    pid_t pid;
    int generation;
    TaskId running;  // 0: none
    uint32_t for_ms;
    uint64_t done;
  };
  std::vector<Row> Rows() const;

 private:
  enum class Phase { kStarting, kServing, kLeaving };

  struct Child {
    int seat = 0;
    pid_t pid = 0;
    Phase phase = Phase::kStarting;
    std::shared_ptr<const Code> code;
    Channel channel;
    std::unique_ptr<Desk> desk;
    uint32_t deadline = 0;   // to be ready, or to have left; 0: none
    std::string killed_for;  // why we have killed it
    std::string reason;      // why it said that it could not start
    uint32_t micros = 0;     // what its tasks take; 0: not known
    uint32_t finished = 0;   // Desk::Finished(), when we looked last
    uint32_t finished_at = 0;
    uint64_t done = 0;
  };
  using Children = std::list<Child>;

  // A place for a worker, which stays while they come and go.
  struct Seat {
    std::shared_ptr<const Code> code;  // what runs here, or shall again after a death
    uint32_t start_at = 0;
    int failures = 0;  // deaths in a row with no task finished between
  };

  struct Replacement {
    std::shared_ptr<const Code> code;
    bool together;  // the first start
    int next = 0;
    int done = 0;
  };

  void Start(int seat, std::shared_ptr<const Code> code);
  void BeginReplacing(int seat);
  void GoOnReplacing();
  void OnReady(Child& child);
  void Retire(Child& child);
  void TakeBack(Child& child);
  void Kill(Child& child, std::string why);
  void TakeResultsOf(Child& child);
  void OnTasksOrphaned(Child& child, const Ended& ended);
  void OnStartFailed(const Child& child, const Ended& ended);
  void OnDied(const Child& child, const Ended& ended);
  uint32_t Window(const Child& child) const;
  uint32_t TimeOut(const Child& child) const;
  Child* Find(int seat, Phase phase);
  bool Any(Phase phase) const;
  void ShowStatus();

  TaskQueue& queue_;
  TaskStatus& status_;
  const int epoll_;
  const Log log_;
  const OnFinished on_finished_;
  const OnReplaced on_replaced_;
  Children children_;
  std::vector<Seat> seats_;
  std::optional<Replacement> replacement_;
  bool retiring_ = false;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_STAFF_H_
