#ifndef GRACEFUL_RELOAD_TASKS_TASK_QUEUE_H_
#define GRACEFUL_RELOAD_TASKS_TASK_QUEUE_H_

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reload/tasks/task_store.h"

namespace graceful {

// What becomes of tasks: who is next, who is leased, who has died too often. First in, first out.
//
// Changes are gathered, and Commit() has the store write all of them at once: so many tasks share
// one fsync(2). A task is leased only once it was committed.
class TaskQueue {
 public:
  struct Limits {
    size_t tasks = 10'000;    // that wait, run or are dead; more are refused
    size_t results = 10'000;  // of finished tasks, the last ones; older are forgotten
    size_t result_bytes = 64 * 1024 * 1024;
    int attempts = 3;  // workers that a task may kill
  };

  // Begins with what the store holds. Throws std::runtime_error when that can't be read.
  TaskQueue(TaskStore& store, Limits limits);
  void SetLimits(Limits limits) { limits_ = limits; }

  // Whether so many more are allowed.
  bool HasRoom(size_t tasks) const { return unfinished_ + tasks <= limits_.tasks; }

  // To be accepted with the next Commit(). One that is here already stays as it is.
  void Add(TaskId id, std::string_view payload);

  // Has the store write what has changed. Nothing when it did: then every task that was added is
  // accepted. Else the reason: then every task that was added since the last commit is gone again,
  // and the other changes are tried with the next one.
  std::string Commit();

  // Whether a commit has something to write, which the last one may have failed to.
  bool HasChanges() const { return !added_.empty() || !dirty_.empty(); }

  // The next task, which is now the caller's to finish; nullptr when none waits. Valid until then.
  const StoredTask* Lease();

  // Takes a lease back: it was not begun, and is the next again.
  void Return(TaskId id);

  void Finish(TaskId id, bool ok, std::string_view result);

  // Of finished tasks, those beyond the limits: once whoever waited for them was told.
  void ForgetOldResults() { ForgetResults(limits_.results, limits_.result_bytes); }

  // The worker that ran it has died, for this reason. True when that was once too often, and it is
  // a dead letter now; else it waits again, as the first.
  bool Died(TaskId id, std::string_view why);

  // What is known of it; nullptr when nothing is.
  const StoredTask* Find(TaskId id) const;

  // Dead letters: from the first to the last; back into the queue, with all attempts before
  // them; forgotten for good. False when it is no dead letter.
  std::vector<const StoredTask*> Dead() const;
  bool Retry(TaskId id);
  bool Drop(TaskId id);

  size_t Waiting() const { return waiting_.size(); }
  size_t Leased() const { return leased_; }
  size_t Unfinished() const { return waiting_.size() + leased_; }  // dead letters not counted
  size_t DeadLetters() const { return dead_.size(); }

 private:
  struct Entry : StoredTask {
    bool dirty = false;  // to be written with the next commit
    bool gone = false;   // to be removed then
  };

  void Touch(Entry& entry);
  void Forget(Entry& entry);
  void ForgetResults(size_t beyond, size_t bytes);
  void Write(bool with_added);
  void TakeBackAdded();
  Entry* FindEntry(TaskId id);

  TaskStore& store_;
  Limits limits_;
  std::unordered_map<TaskId, Entry> entries_;
  std::deque<Entry*> waiting_;
  std::deque<Entry*> finished_;  // the oldest first
  std::vector<Entry*> added_;    // since the last commit
  std::vector<Entry*> dirty_;
  std::vector<TaskChange> changes_;
  std::vector<Entry*> dead_;
  size_t unfinished_ = 0;  // waiting, leased, added and dead
  size_t leased_ = 0;
  size_t result_bytes_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_QUEUE_H_
