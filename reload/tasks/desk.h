#ifndef GRACEFUL_RELOAD_TASKS_DESK_H_
#define GRACEFUL_RELOAD_TASKS_DESK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "reload/tasks/task_store.h"
#include "signals/unique_fd.h"

namespace graceful {

// Where the task keeper puts tasks for one task worker, and the worker its results: memory that the
// two share. So the keeper can tell at any time which task is running and since when, takes back
// what was not begun, and loses no result of a worker that was killed after it.
//
// Quick tasks come several at a time, which saves most of the system calls.
class Desk {
 public:
  static constexpr uint32_t kPlaces = 64;

  // `max_size`: of a payload, and of a result. Throws std::system_error.
  explicit Desk(uint32_t max_size);
  ~Desk();
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  // --- The task keeper's side.

  // Tasks that were put here and whose result was not taken.
  uint32_t InHand() const { return static_cast<uint32_t>(in_hand_.size()); }
  bool HasRoom() const;
  void Put(const StoredTask& task);
  void Wake();  // after one or more Put(), or Leave()

  struct Result {
    TaskId id;
    bool ok;
    std::string_view text;  // valid until the next call
    uint32_t micros;        // for how long it ran
  };
  std::optional<Result> TakeResult();

  // Takes back what was not begun; the last one first.
  std::vector<TaskId> TakeBack();

  struct Running {
    TaskId id;
    uint32_t since;  // ClockMs()
  };
  std::optional<Running> IsRunning() const;
  uint32_t Finished() const { return shared_->finished; }

  // The worker shall go when it has finished what it runs.
  void Leave() { shared_->leave = true; }

  // Readable, once for each event (epoll's EPOLLET), when results are there.
  int Signal() const { return to_keeper_.Get(); }

  // --- The worker's side.

  bool Leaving() const { return shared_->leave; }

  struct Work {
    TaskId id;
    int attempts;
    std::string_view payload;
  };
  // The next task, which is running from now on. Nothing when there is none.
  std::optional<Work> Begin();
  void Finish(bool ok, std::string_view text);
  void Wait();  // until Wake()
  int WorkerFd() const { return to_worker_.Get(); }
  int KeeperFd() const { return to_keeper_.Get(); }

 private:
  struct Place {
    TaskId id;
    int attempts;
    uint32_t size;
    uint32_t result_size;
    uint32_t micros;
    bool ok;
  };
  // Sequence numbers count the tasks that were put here; task n is in place n % kPlaces.
  struct Shared {
    std::atomic<uint32_t> given;     // by the keeper: one more than the last one's number
    std::atomic<uint64_t> claim;     // by both: see MakeClaim()
    std::atomic<uint32_t> finished;  // by the worker: one more than the number of the last one
    std::atomic<uint32_t> began;     // by the worker: when it began the last one
    std::atomic<bool> leave;         // by the keeper
    std::atomic<bool> sleeps;        // by the worker, before it waits; the keeper who wakes it
    Place places[kPlaces];
  };
  // The low half: one more than the number of the last task that was begun. The high half: tasks
  // with a smaller number that were not begun are not to be.
  static constexpr uint64_t MakeClaim(uint32_t begun, uint32_t taken_back) {
    return uint64_t{taken_back} << 32 | begun;
  }

  uint32_t Next(uint64_t claim) const;
  char* Payload(uint32_t number) const { return bytes_ + number % kPlaces * 2 * stride_; }
  char* ResultText(uint32_t number) const { return Payload(number) + stride_; }
  void GiveBackMemory(char* area, uint32_t size) const;

  struct InHandTask {
    uint32_t number;
    TaskId id;
  };

  const size_t stride_;
  const size_t size_;
  char* mapping_;
  Shared* shared_;
  char* bytes_;
  UniqueFd to_worker_;
  UniqueFd to_keeper_;
  std::deque<InHandTask> in_hand_;  // the keeper's
  std::optional<uint32_t> taken_;   // the keeper's: its memory is given back with the next call
  uint32_t next_ = 0;               // the worker's
  uint32_t told_ = 0;               // the worker's: finished when it told the keeper last
  uint64_t told_at_ = 0;
  uint64_t began_at_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_DESK_H_
