#include "reload/tasks/memory_task_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

size_t RoundUpToPage(size_t size) {
  return (size + BufferPool::kPageSize - 1) / BufferPool::kPageSize * BufferPool::kPageSize;
}

}  // namespace

TaskMemory::TaskMemory(size_t tasks, size_t bytes)
    : tasks_(tasks),
      pages_(static_cast<uint32_t>(RoundUpToPage(bytes) / BufferPool::kPageSize)),
      size_(RoundUpToPage(tasks * sizeof(Place)) + BufferPool::MappingSize(pages_)) {
  void* mapping = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) ThrowErrno(errno, "mmap", std::to_string(size_) + " bytes for tasks");
  mapping_ = static_cast<char*>(mapping);
}

TaskMemory::~TaskMemory() { munmap(mapping_, size_); }

MemoryTaskStore::MemoryTaskStore(TaskMemory& memory)
    : count_(memory.tasks_),
      places_(reinterpret_cast<Place*>(memory.mapping_)),
      pool_(memory.mapping_ + RoundUpToPage(memory.tasks_ * sizeof(Place)), memory.pages_) {}

std::vector<StoredTask> MemoryTaskStore::Load() {
  pool_.Clear();
  free_.clear();
  std::vector<std::pair<uint64_t, StoredTask>> found;
  for (size_t i = count_; i-- > 0;) {
    const Slip slip = places_[i].slip.Get();
    if (slip.id == 0 || !IsSound(slip)) {
      if (slip.id != 0) places_[i].slip.Commit({});
      free_.push_back(static_cast<uint32_t>(i));
      continue;
    }
    found.push_back({slip.order, StoredTask{slip.id, slip.state, slip.attempts,
                                            Read(slip.payload, places_[i].payload),
                                            Read(slip.result, places_[i].result), i}});
    order_ = std::max(order_, slip.order);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<StoredTask> tasks;
  tasks.reserve(found.size());
  for (auto& [order, task] : found) tasks.push_back(std::move(task));
  return tasks;
}

// Takes what the slip refers to in the pool; false when that can't be.
bool MemoryTaskStore::IsSound(const Slip& slip) {
  const auto take = [this](Bytes bytes) {
    if (!bytes.extent) return bytes.size <= kSmall;
    return bytes.size <= BufferPool::Capacity(bytes.extent) && pool_.Take(bytes.extent);
  };
  if (!take(slip.payload)) return false;
  if (take(slip.result)) return true;
  pool_.Free(slip.payload.extent);
  return false;
}

void MemoryTaskStore::Write(std::span<const TaskChange> changes) {
  std::vector<StoredTask*> added;
  try {
    for (const TaskChange& change : changes) {
      switch (change.kind) {
        case TaskChange::Kind::kAdd:
          Add(*change.task);
          added.push_back(change.task);
          break;
        case TaskChange::Kind::kUpdate:
          Update(*change.task);
          break;
        case TaskChange::Kind::kRemove:
          Remove(*change.task);
          break;
      }
    }
  } catch (...) {
    for (const StoredTask* task : added) Remove(*task);
    throw;
  }
}

// In `room`, if there is one and it is enough.
MemoryTaskStore::Bytes MemoryTaskStore::Keep(const std::string& text, char* room) {
  const auto size = static_cast<uint32_t>(text.size());
  if (size == 0) return {};
  if (room != nullptr && size <= kSmall) {
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes with a length, no C string
    std::memcpy(room, text.data(), size);
    return {{}, size};
  }
  const std::optional<Extent> extent = pool_.Allocate(size);
  if (!extent) throw std::runtime_error("the memory for tasks is full (task_queue_size)");
  std::memcpy(pool_.Data(*extent), text.data(), size);
  return {*extent, size};
}

std::string MemoryTaskStore::Read(Bytes bytes, const char* room) const {
  return std::string(bytes.extent ? pool_.Data(bytes.extent) : room, bytes.size);
}

void MemoryTaskStore::Add(StoredTask& task) {
  if (free_.empty()) throw std::runtime_error("the memory for tasks is full (task_queue_max)");
  const Bytes payload = Keep(task.payload, places_[free_.back()].payload);
  task.place = free_.back();
  free_.pop_back();
  places_[task.place].slip.Commit({task.id, ++order_, task.state, task.attempts, payload, {}});
}

void MemoryTaskStore::Update(const StoredTask& task) {
  const Slip before = places_[task.place].slip.Get();
  Slip slip = before;
  slip.state = task.state;
  slip.attempts = task.attempts;
  const bool has_room = before.result.size == 0 || before.result.extent;
  slip.result = Keep(task.result, has_room ? places_[task.place].result : nullptr);
  if (task.payload.empty()) slip.payload = {};
  places_[task.place].slip.Commit(slip);
  pool_.Free(before.result.extent);
  if (task.payload.empty()) pool_.Free(before.payload.extent);
}

void MemoryTaskStore::Remove(const StoredTask& task) {
  const Slip before = places_[task.place].slip.Get();
  places_[task.place].slip.Commit({});
  pool_.Free(before.payload.extent);
  pool_.Free(before.result.extent);
  free_.push_back(static_cast<uint32_t>(task.place));
}

}  // namespace graceful
