#ifndef GRACEFUL_RELOAD_TASKS_MEMORY_TASK_STORE_H_
#define GRACEFUL_RELOAD_TASKS_MEMORY_TASK_STORE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reload/buffer_pool.h"
#include "reload/committed.h"
#include "reload/tasks/task_store.h"

namespace graceful {

// Shared memory for a MemoryTaskStore (MAP_SHARED), which the master makes and never looks into:
// so tasks survive any death but the master's. Used only as tasks come.
class TaskMemory {
 public:
  // Room for `tasks` tasks, and for `bytes` of payloads and results. Throws std::system_error.
  TaskMemory(size_t tasks, size_t bytes);
  ~TaskMemory();
  TaskMemory(const TaskMemory&) = delete;
  TaskMemory& operator=(const TaskMemory&) = delete;

 private:
  friend class MemoryTaskStore;

  struct Bytes {
    Extent extent;  // none: they lie in the slip's own room, or there are none
    uint32_t size;
  };
  struct Slip {
    TaskId id;  // 0: free
    uint64_t order;
    TaskState state;
    int attempts;
    Bytes payload;
    Bytes result;
  };
  static constexpr size_t kSmall = 256;
  // Most payloads and results are small, and need no page of their own. Their room is written
  // while the slip does not speak of it, and then no more.
  struct Place {
    Committed<Slip> slip;
    char payload[kSmall];
    char result[kSmall];
  };

  size_t tasks_;
  uint32_t pages_;
  size_t size_;
  char* mapping_;
};

// Keeps tasks in a TaskMemory. A change is one store, so a task keeper may be killed anywhere.
class MemoryTaskStore : public TaskStore {
 public:
  explicit MemoryTaskStore(TaskMemory& memory);

  std::vector<StoredTask> Load() override;
  void Write(std::span<const TaskChange> changes) override;

 private:
  using Slip = TaskMemory::Slip;
  using Bytes = TaskMemory::Bytes;
  using Place = TaskMemory::Place;
  static constexpr size_t kSmall = TaskMemory::kSmall;

  bool IsSound(const Slip& slip);
  Bytes Keep(const std::string& text, char* room);
  std::string Read(Bytes bytes, const char* room) const;
  void Add(StoredTask& task);
  void Update(const StoredTask& task);
  void Remove(const StoredTask& task);

  size_t count_;
  Place* places_;
  BufferPool pool_;
  std::vector<uint32_t> free_;
  uint64_t order_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_MEMORY_TASK_STORE_H_
