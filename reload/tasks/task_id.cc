#include "reload/tasks/task_id.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <charconv>

#include "signals/check.h"

namespace graceful {

TaskId NewTaskId() {
  // Many at a time: a system call costs more than eight bytes are worth.
  static TaskId ids[64];
  static size_t left = 0;
  for (;;) {
    if (left == 0) {
      Check(RetryInterrupted([] { return getrandom(ids, sizeof ids, 0); }), "getrandom");
      left = std::size(ids);
    }
    if (const TaskId id = ids[--left]; id != 0) return id;
  }
}

std::string TaskIdText(TaskId id) { return fmt::format("{:016x}", id); }

std::optional<TaskId> ParseTaskId(std::string_view text) {
  TaskId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != 16 || id == 0) {
    return std::nullopt;
  }
  return id;
}

}  // namespace graceful
