#ifndef GRACEFUL_RELOAD_TASKS_TASK_ID_H_
#define GRACEFUL_RELOAD_TASKS_TASK_ID_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace graceful {

// Names a task, from its submission to the day its result is forgotten: 64 random bits, never 0,
// so that no two processes, nor the server of today and that of tomorrow, need to agree on it.
using TaskId = uint64_t;

// Throws std::system_error when the kernel has no random bytes (getrandom(2)).
TaskId NewTaskId();

// As handlers and clients see it: 16 hexadecimal digits in lower case.
std::string TaskIdText(TaskId id);
std::optional<TaskId> ParseTaskId(std::string_view text);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_ID_H_
