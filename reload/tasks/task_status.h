#ifndef GRACEFUL_RELOAD_TASKS_TASK_STATUS_H_
#define GRACEFUL_RELOAD_TASKS_TASK_STATUS_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace graceful {

constexpr int kMaxTaskWorkers = 256;

// What the tasks count, in memory that the master shares with the task keeper: `ctl status` reads
// it while that one writes. It outlives the task keeper.
struct TaskStatus {
  std::atomic<uint64_t> waiting;   // now
  std::atomic<uint64_t> running;   // now
  std::atomic<uint64_t> dead;      // dead letters, now
  std::atomic<uint64_t> accepted;  // since the server's start, as all below
  std::atomic<uint64_t> done;
  std::atomic<uint64_t> failed;   // OnTask() threw
  std::atomic<uint64_t> retried;  // put back into the queue after a death
  std::atomic<uint64_t> refused;
  std::atomic<uint64_t> commits;  // each of them one transaction, in a database
  std::atomic<uint64_t> deaths;   // task workers that ended without being asked to
  std::atomic<int> worker_num;
  std::atomic<uint32_t> slot_changes;  // that the master has told the task keeper of
  struct Worker {
    std::atomic<pid_t> pid;  // 0: none now
    std::atomic<int> generation;
  } workers[kMaxTaskWorkers];
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_STATUS_H_
