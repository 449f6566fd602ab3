#include "reload/tasks/task_seat.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "reload/child_process.h"
#include "reload/clock.h"
#include "reload/tasks/task_keeper.h"
#include "signals/check.h"

namespace graceful {

namespace {

// A task keeper that ended within this time of its start is started again only after it.
constexpr uint32_t kPauseMs = 1000;

}  // namespace

TaskSeat::TaskSeat(const Settings& settings) : is_wanted_(settings.task_worker_num > 0) {
  void* mapping =
      mmap(nullptr, sizeof(TaskStatus), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) ThrowErrno(errno, "mmap");
  status_ = static_cast<TaskStatus*>(mapping);
  if (!is_wanted_) return;
  int ends[2];
  Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  calls_in_.Reset(ends[0]);
  calls_out_.Reset(ends[1]);
  if (settings.TaskDatabase().empty()) {
    memory_ = std::make_unique<TaskMemory>(
        size_t{settings.task_queue_max} + settings.task_result_max + 1, settings.task_queue_size);
  }
}

TaskSeat::~TaskSeat() { munmap(status_, sizeof(TaskStatus)); }

void TaskSeat::Start(const Settings& settings, const std::map<int, int>& inboxes, const Log& log) {
  auto [channel, keepers_end] = Channel::MakePair();
  start_at_ = 0;
  status_->slot_changes = 0;
  const pid_t pid = Check(fork(), "fork");
  if (pid == 0) BecomeKeeper(settings, inboxes, std::move(keepers_end), log);
  keeper_ = pid;
  started_ = ClockMs();
  channel_ = std::move(channel);
}

// In the child. Nothing here returns into the master's objects, which are copies now.
void TaskSeat::BecomeKeeper(const Settings& settings, const std::map<int, int>& inboxes,
                            Channel channel, const Log& log) {
  try {
    Check(setpgid(0, 0), "setpgid");
    TaskKeeperStart start = {.calls = std::move(calls_out_),
                             .inboxes = {},
                             .channel = std::move(channel),
                             .status = *status_,
                             .memory = memory_.get(),
                             .again = started_ != 0,
                             .settings = settings,
                             .log = log};
    std::vector<int> keep = {start.calls.Get(), start.channel.Get(), start.log.Fd()};
    for (const auto& [slot, inbox] : inboxes) {
      start.inboxes[slot] = UniqueFd(inbox);
      keep.push_back(inbox);
    }
    CloseAllBut(std::move(keep));
    DropPrivileges(settings);
    RunTaskKeeper(std::move(start));
  } catch (const std::exception& error) {
    log.Error("the task keeper cannot start: {}", error.what());
    _exit(1);
  }
}

void TaskSeat::SetInbox(int slot, int inbox) const {
  if (!channel_) return;
  Message message = {.what = "slot", .number = slot};
  if (inbox >= 0) {
    message.fds.emplace_back(Check(fcntl(inbox, F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
  }
  ++status_->slot_changes;
  channel_.Send(message);
}

void TaskSeat::OnEnded() {
  // What is left of its group: task workers that it could not end itself, and what those started.
  kill(-keeper_, SIGKILL);
  keeper_ = 0;
  channel_ = Channel();
  for (TaskStatus::Worker& worker : status_->workers) worker.pid = 0;
  const bool young = !Passed(started_ + kPauseMs, ClockMs());
  start_at_ = std::max(1u, ClockMs() + (young ? kPauseMs : 0));
}

void TaskSeat::Kill() {
  if (keeper_ == 0) return;
  kill(-keeper_, SIGKILL);
  kill(keeper_, SIGKILL);
  WaitFor(keeper_);
  keeper_ = 0;
}

}  // namespace graceful
