#include "reload/tasks/task_client.h"

#include <fmt/format.h>
#include <poll.h>

#include <cstring>
#include <stdexcept>

#include "reload/clock.h"
#include "signals/check.h"

namespace graceful {

namespace {

// The task keeper empties its socket before it writes to a disk, so it is full only for as long
// as that takes, unless all is lost.
constexpr int kPatienceMs = 200;

// After a wait in vain: all requests of a slot wait for this one.
constexpr uint32_t kImpatienceMs = 1000;

}  // namespace

TaskId TaskClient::Start(std::string_view payload) {
  if (payload.size() > max_size_) {
    throw std::invalid_argument(
        fmt::format("a task of {} bytes: task_max_size is {}", payload.size(), max_size_));
  }
  const TaskHead head = {NewTaskId(), static_cast<uint32_t>(payload.size())};
  if (message_.empty()) message_.resize(sizeof(TaskCall));
  message_.append(reinterpret_cast<const char*>(&head), sizeof head);
  message_.append(payload);
  started_.push_back(head.id);
  return head.id;
}

void TaskClient::Forget() {
  if (message_.capacity() > kMessageBytes) std::string().swap(message_);
  message_.clear();
  started_.clear();
}

bool TaskClient::Send(int fd, TaskId task, TaskWait wait) {
  if (message_.empty()) message_.resize(sizeof(TaskCall));
  TaskCall call = {};
  call.slot = slot_;
  call.fd = fd;
  call.task = task;
  call.wait = wait;
  call.tasks = static_cast<uint32_t>(started_.size());
  call.size = static_cast<uint32_t>(message_.size() - sizeof call);
  std::memcpy(message_.data(), &call, sizeof call);
  std::string_view bytes = message_;
  UniqueFd attached;
  if (!FitsInline(bytes.size())) {
    attached = MakeByteFile({bytes.substr(sizeof call)});
    bytes = bytes.substr(0, sizeof call);
  }
  bool sent = SendMessage(socket_, bytes, attached.Get());
  if (!sent && errno == EAGAIN && (patient_from_ == 0 || Passed(patient_from_, ClockMs()))) {
    pollfd room = {socket_, POLLOUT, 0};
    sent = RetryInterrupted([&] { return poll(&room, 1, kPatienceMs); }) == 1 &&
           SendMessage(socket_, bytes, attached.Get());
    patient_from_ = sent ? 0 : std::max(1u, ClockMs() + kImpatienceMs);
  }
  Forget();
  return sent;
}

}  // namespace graceful
