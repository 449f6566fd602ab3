// How a request waits for a task (connections.h): in its slot, as bytes in a buffer and a task's id
// in the table. No process waits, so none has to be kept alive for it.

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <utility>

#include "reload/connections.h"
#include "signals/check.h"

namespace graceful {

std::string Connections::StartTask(std::string_view payload) {
  if (!in_handler_) throw std::logic_error("StartTask() is for OnRequest() and OnFinish()");
  if (settings_.task_worker_num == 0) {
    throw std::logic_error("there are no task workers: task_worker_num is 0");
  }
  return TaskIdText(tasks_.Start(payload));
}

// --- Beginning to wait ----------------------------------------------------------------------

// The handler has deferred the request: its bytes stay where they are.
Connections::Input Connections::WaitForTask(int fd, Progress progress) {
  const bool until_finished = response_.until_finished;
  progress.task = *ParseTaskId(response_.deferred_to);
  progress.wait = until_finished ? TaskWait::kFinished : TaskWait::kState;
  progress.own_task = tasks_.HasStarted(progress.task);
  return HandOver(fd, progress);
}

// The response is written, its last `size` bytes in the buffer, and promises a task.
Connections::Input Connections::HoldBack(int fd, Progress progress, size_t size) {
  progress.task = tasks_.First();
  progress.wait = TaskWait::kAccepted;
  progress.own_task = true;
  progress.held_back = static_cast<uint32_t>(size);
  return HandOver(fd, progress);
}

// First the record, then the message. A death between the two leaves a connection that waits for a
// task which nobody knows: its successor asks, and is told so.
Connections::Input Connections::HandOver(int fd, const Progress& progress) {
  Progress waiting = progress;
  waiting.state = State::kWaiting;
  At(fd).Commit(waiting);
  if (!tasks_.Send(fd, waiting.task, waiting.wait)) {
    RefuseTask(fd, "the task keeper takes no tasks now");
    return At(fd).Get().close_after ? Input::kLast : Input::kHasMore;
  }
  return Input::kNeedsMore;
}

// To a task keeper that may not know that this connection waits, in this slot.
void Connections::AskAgain(int fd) {
  tasks_.Forget();
  const Progress progress = At(fd).Get();
  if (tasks_.Send(fd, progress.task, progress.wait)) return;
  RefuseTask(fd, "the task keeper takes no tasks now");
  Advance(fd);
}

void Connections::AskAgainForAll() {
  for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {
    if (At(fd).Get().state == State::kWaiting) AskAgain(fd);
  }
}

// Earlier answers can go on; or the client has sent more, or closed. That has to wait: the epoll is
// told to be silent. What it reports then is a connection that is broken.
void Connections::OnWaitingReady(int fd) {
  Progress progress = At(fd).Get();
  if (progress.waits_to_write) {
    Flush(fd);
    return;
  }
  if (progress.muted) return Close(fd, /*by_peer=*/true);
  progress.muted = true;
  At(fd).Commit(progress);
  Watch(EPOLL_CTL_MOD, fd);
}

// --- The end of it --------------------------------------------------------------------------

// What the message in the inbox's note is. Also a successor's first step, see UnpackParcel().
void Connections::UnpackInbox() {
  InboxNote& note = slot_.table.Inbox();
  switch (note.kind) {
    case InboxKind::kConnection:
      UnpackParcel();
      break;
    case InboxKind::kNotices:
      UnpackNotices();
      break;
    case InboxKind::kAskAgain:
      AskAgainForAll();
      break;
  }
  note.message.msg_len = 0;
}

void Connections::UnpackNotices() {
  const InboxNote& note = slot_.table.Inbox();
  // As in UnpackParcel(), nothing is believed.
  const std::string_view message(note.bytes,
                                 std::min<size_t>(note.message.msg_len, sizeof note.bytes));
  const int file = InboxDescriptors().first;
  for (size_t at = sizeof(InboxKind); at + sizeof(TaskNotice) <= message.size();) {
    TaskNotice notice;
    std::memcpy(&notice, message.data() + at, sizeof notice);
    at += sizeof notice;
    if (const UniqueFd attached(IsByteFile(file, notice.size) ? file : -1); attached) {
      std::string text(notice.size, '\0');
      const ssize_t size = pread(attached.Get(), text.data(), text.size(), 0);
      return OnNotice(notice, {text.data(), size < 0 ? 0 : static_cast<size_t>(size)});
    }
    const std::string_view text = message.substr(at, notice.size);
    at += text.size();
    OnNotice(notice, text);
  }
}

void Connections::OnNotice(const TaskNotice& notice, std::string_view text) {
  const int fd = notice.fd;
  if (fd < 0 || fd >= slot_.table.HighWater() || notice.state > TaskState::kDead) return;
  const Progress progress = At(fd).Get();
  if (progress.state != State::kWaiting || progress.task != notice.task) return;  // an older matter
  if (notice.refused) {
    RefuseTask(fd, text);
  } else if (progress.own_task && notice.state == TaskState::kUnknown) {
    RefuseTask(fd, "the task was not accepted");
  } else {
    RequestParser parser(limits_);
    if (parser.Parse(slot_.table.Unanswered(progress)) != RequestParser::Outcome::kComplete) {
      return Close(fd, /*by_peer=*/false);
    }
    if (progress.wait == TaskWait::kAccepted) {
      Release(fd, parser);
    } else {
      const std::string id = TaskIdText(notice.task);
      const TaskResult result = {id, notice.state, text};
      AnswerRequest(fd, parser, &result);
    }
  }
  Advance(fd);
}

// The task is accepted: the response that was held back may go out.
void Connections::Release(int fd, const RequestParser& parser) {
  Progress progress = At(fd).Get();
  progress.StopWaiting();
  progress.state = State::kAnswering;
  const Extent used = progress.Consume(parser.Size());
  At(fd).Commit(progress);
  Pool().Free(used);
  Count(slot_.status.answered);
}

void Connections::RefuseTask(int fd, std::string_view why) {
  Progress progress = At(fd).Get();
  RequestParser parser(limits_);
  if (parser.Parse(slot_.table.Unanswered(progress)) != RequestParser::Outcome::kComplete) {
    return Close(fd, /*by_peer=*/false);
  }
  // What was promised is taken out of the buffer.
  progress.out_end -= progress.held_back;
  progress.StopWaiting();
  progress.state = State::kHeld;
  At(fd).Commit(progress);
  Count(slot_.status.refused);
  Response response = PlainResponse(503, std::string(why));
  response.headers.emplace_back("Retry-After", "1");
  AnswerInstead(fd, progress, parser, std::move(response));
}

}  // namespace graceful
