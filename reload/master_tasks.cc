// What the master has to do with tasks (master.h): the task keeper is one more seat to it.

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "reload/handler_image.h"
#include "reload/master.h"
#include "signals/check.h"

namespace graceful {

namespace {

constexpr char kNoTasks[] = "there are no task workers: task_worker_num is 0";

}  // namespace

void Master::OnTaskKeeperEnded(const Ended& ended) {
  pollfd last_words = {tasks_.ToKeeper().Get(), POLLIN, 0};
  while (poll(&last_words, 1, 0) == 1 && OnTaskKeeperMessage()) {
  }
  Unwatch(tasks_.ToKeeper().Get());
  tasks_.OnEnded();
  if (stopping_) tasks_.DoNotStart();
  if (reopening_.erase(kTasks) > 0) ReopenedIfAll();
  if (tasks_left_) return SlotDone(kTasks);
  log_.Error("the task keeper {}", ended.Describe());
  if (!job_ || !job_->waiting.contains(kTasks)) return;
  if (stopping_) return SlotDone(kTasks);
  SlotFailed(kTasks, "the task keeper " + ended.Describe());
}

// False when there is nobody any more who could say something.
bool Master::OnTaskKeeperMessage() {
  const std::optional<Message> message = tasks_.ToKeeper().Receive();
  if (!message) {
    Unwatch(tasks_.ToKeeper().Get());  // SIGCHLD comes, too
    return false;
  }
  if (message->what == "reopened" && reopening_.erase(kTasks) > 0) ReopenedIfAll();
  if (message->what == "stopped") tasks_left_ = message->text;
  if (message->what != "replaced" && message->what != "failed") return true;
  if (job_) job_->task_workers = message->number;
  if (message->what == "replaced") {
    SlotDone(kTasks);
  } else {
    SlotFailed(kTasks, message->text);
  }
  return true;
}

void Master::BeginReloadTasks() {
  if (!tasks_.IsWanted()) throw std::runtime_error(kNoTasks);
  next_ = {std::make_shared<UniqueFd>(ReadHandlerImage(settings_.handler)), settings_,
           std::max(code_.generation, task_code_.generation) + 1};
  job_->todo.push_back(kTasks);
  log_.Line("reload of the task workers: generation {}, {}", next_.generation, settings_.handler);
  TellNext();
}

void Master::TellTasks() {
  if (job_->kind == Kind::kStop) {
    const auto left =
        static_cast<int32_t>(job_->started + Milliseconds(settings_.max_wait_time) - ClockMs());
    tasks_.ToKeeper().Send({.what = "stop", .number = std::max(1000, left)});
    return;
  }
  if (!tasks_.IsRunning()) StartTaskKeeper();
  TellToRun(tasks_.ToKeeper(), next_);
}

void Master::StartTaskKeeper() {
  std::map<int, int> inboxes;
  for (const auto& seat : seats_) inboxes[seat->number] = seat->inbox_in.Get();
  tasks_.Start(settings_, inboxes, log_);
  Watch(tasks_.ToKeeper().Get());
}

// It answers ctl itself.
void Master::AskTasks(Message& message, Channel client) {
  if (!tasks_.IsWanted()) {
    client.Send({.what = "error", .text = kNoTasks});
  } else if (!tasks_.IsRunning()) {
    client.Send({.what = "error", .text = "the task keeper has ended and is about to start again"});
  } else {
    message.fds.clear();
    message.fds.emplace_back(
        Check(fcntl(client.Get(), F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
    tasks_.ToKeeper().Send(message);
  }
}

}  // namespace graceful
