#ifndef GRACEFUL_RELOAD_TASKS_TASK_MESSAGE_H_
#define GRACEFUL_RELOAD_TASKS_TASK_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "reload/handler.h"
#include "reload/tasks/task_id.h"
#include "signals/unique_fd.h"

namespace graceful {

// What slots and the task keeper tell each other. A slot sends TaskCalls to one socket, which all
// slots share: so all of them are read in the order in which they were sent. The answers come to
// the slot's inbox as TaskNotices. Whoever holds the slot then takes them: no side needs to know
// which process of the other began a matter, and all of it may be said twice.

// Until when a connection waits for a task.
enum class TaskWait : uint8_t {
  kNone,
  kAccepted,  // the response is written, and held back until the task is in the queue
  kFinished,  // the request is answered by OnFinish(), with the result
  kState,     // the same, at once, with what is known by now
};

// A slot's tasks to be accepted, together or not at all, and what it wants to be told. Followed by
// each task: its id, its size, its payload.
struct TaskCall {
  int32_t slot;
  int32_t fd;   // the connection that waits, 0 when none does
  TaskId task;  // for this one
  TaskWait wait;
  uint32_t tasks;  // that follow
  uint32_t size;   // bytes that follow; in an attached memory file when they are many
};

struct TaskHead {
  TaskId id;
  uint32_t size;
};

// The beginning of each message to an inbox: what it is.
enum class InboxKind : uint32_t {
  kConnection = 1,  // a Parcel (connection_table.h)
  kNotices,         // as many TaskNotices as the message has room for
  kAskAgain,        // a new task keeper knows nobody who waits: say it again
};

// What is known of a task, for a connection that waits for it. Followed by the text.
struct TaskNotice {
  TaskId task = 0;
  int32_t fd = -1;
  TaskState state = TaskState::kUnknown;
  bool refused = false;  // never accepted; the text says why
  uint32_t size = 0;     // of the text; in an attached memory file when it is large
};

// Every message is at most this long, what is attached not counted.
constexpr size_t kMessageBytes = 64 * 1024;

// Whether a message with so many bytes needs no attachment.
constexpr bool FitsInline(size_t bytes) { return bytes <= kMessageBytes - 1024; }

// A memory file with these bytes. Throws std::system_error.
UniqueFd MakeByteFile(std::initializer_list<std::string_view> bytes);

// Whether `fd` is such a file. It can't be sealed, which tells it from the handler's image.
bool IsByteFile(int fd, size_t size);

// Sends one message, with a descriptor attached when there is one, without waiting. False and
// errno when that can't be.
bool SendMessage(int socket, std::string_view bytes, int attached);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_MESSAGE_H_
