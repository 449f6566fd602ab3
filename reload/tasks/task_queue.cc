#include "reload/tasks/task_queue.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace graceful {

TaskQueue::TaskQueue(TaskStore& store, Limits limits) : store_(store), limits_(limits) {
  for (StoredTask& task : store_.Load()) {
    Entry& entry = entries_[task.id];
    static_cast<StoredTask&>(entry) = std::move(task);
    switch (entry.state) {
      case TaskState::kDone:
      case TaskState::kFailed:
        finished_.push_back(&entry);
        result_bytes_ += entry.result.size();
        continue;
      case TaskState::kDead:
        dead_.push_back(&entry);
        break;
      default:
        waiting_.push_back(&entry);
    }
    ++unfinished_;
  }
}

void TaskQueue::Add(TaskId id, std::string_view payload) {
  const auto [place, is_new] = entries_.try_emplace(id);
  if (!is_new) return;
  Entry& entry = place->second;
  entry.id = id;
  entry.payload = payload;
  added_.push_back(&entry);
  ++unfinished_;
}

std::string TaskQueue::Commit() {
  std::string reason;
  if (!added_.empty() || !dirty_.empty()) {
    try {
      Write(/*with_added=*/true);
    } catch (const std::exception&) {
      // Results are kept for whoever may ask; tasks are promises. So once more, without them.
      ForgetResults(0, 0);
      try {
        Write(/*with_added=*/false);
        Write(/*with_added=*/true);
      } catch (const std::exception& error) {
        reason = error.what();
        TakeBackAdded();
      }
    }
  }
  for (Entry* entry : std::exchange(added_, {})) waiting_.push_back(entry);
  return reason;
}

// Adds come first, and removals last: TaskStore::Write() may fail at the first two.
void TaskQueue::Write(bool with_added) {
  changes_.clear();
  if (with_added) {
    for (Entry* entry : added_) changes_.push_back({TaskChange::Kind::kAdd, entry});
  }
  for (Entry* entry : dirty_) {
    if (!entry->gone) changes_.push_back({TaskChange::Kind::kUpdate, entry});
  }
  for (Entry* entry : dirty_) {
    if (entry->gone) changes_.push_back({TaskChange::Kind::kRemove, entry});
  }
  if (changes_.empty()) return;
  store_.Write(changes_);
  for (Entry* entry : std::exchange(dirty_, {})) {
    entry->dirty = false;
    if (entry->gone) entries_.erase(entry->id);
  }
}

void TaskQueue::TakeBackAdded() {
  unfinished_ -= added_.size();
  for (const Entry* entry : std::exchange(added_, {})) entries_.erase(entry->id);
}

const StoredTask* TaskQueue::Lease() {
  if (waiting_.empty()) return nullptr;
  Entry* entry = waiting_.front();
  waiting_.pop_front();
  entry->is_leased = true;
  ++leased_;
  return entry;
}

void TaskQueue::Return(TaskId id) {
  Entry* entry = FindEntry(id);
  if (entry == nullptr || !std::exchange(entry->is_leased, false)) return;
  --leased_;
  waiting_.push_front(entry);
}

void TaskQueue::Finish(TaskId id, bool ok, std::string_view result) {
  Entry* entry = FindEntry(id);
  if (entry == nullptr || !std::exchange(entry->is_leased, false)) return;
  --leased_;
  --unfinished_;
  entry->state = ok ? TaskState::kDone : TaskState::kFailed;
  entry->result = result;
  std::string().swap(entry->payload);
  finished_.push_back(entry);
  result_bytes_ += entry->result.size();
  Touch(*entry);
}

bool TaskQueue::Died(TaskId id, std::string_view why) {
  Entry* entry = FindEntry(id);
  if (entry == nullptr || !entry->is_leased) return false;
  const bool dead = ++entry->attempts >= limits_.attempts;
  if (dead) {
    entry->is_leased = false;
    --leased_;
    entry->state = TaskState::kDead;
    entry->result = why;
    dead_.push_back(entry);
  } else {
    Return(id);
  }
  Touch(*entry);
  return dead;
}

const StoredTask* TaskQueue::Find(TaskId id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() || found->second.gone ? nullptr : &found->second;
}

std::vector<const StoredTask*> TaskQueue::Dead() const { return {dead_.begin(), dead_.end()}; }

bool TaskQueue::Retry(TaskId id) {
  Entry* entry = FindEntry(id);
  if (entry == nullptr || std::erase(dead_, entry) == 0) return false;
  entry->state = TaskState::kWaiting;
  entry->attempts = 0;
  entry->result.clear();
  waiting_.push_back(entry);
  Touch(*entry);
  return true;
}

bool TaskQueue::Drop(TaskId id) {
  Entry* entry = FindEntry(id);
  if (entry == nullptr || std::erase(dead_, entry) == 0) return false;
  --unfinished_;
  Forget(*entry);
  return true;
}

void TaskQueue::Touch(Entry& entry) {
  if (!std::exchange(entry.dirty, true)) dirty_.push_back(&entry);
}

void TaskQueue::Forget(Entry& entry) {
  entry.gone = true;
  std::string().swap(entry.result);
  Touch(entry);
}

void TaskQueue::ForgetResults(size_t beyond, size_t bytes) {
  while (!finished_.empty() && (finished_.size() > beyond || result_bytes_ > bytes)) {
    Entry* oldest = finished_.front();
    finished_.pop_front();
    result_bytes_ -= oldest->result.size();
    Forget(*oldest);
  }
}

TaskQueue::Entry* TaskQueue::FindEntry(TaskId id) {
  const auto found = entries_.find(id);
  return found == entries_.end() || found->second.gone ? nullptr : &found->second;
}

}  // namespace graceful
