#include "reload/tasks/task_staff.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "reload/clock.h"
#include "reload/tasks/task_worker.h"
#include "signals/check.h"

namespace graceful {

namespace {

// A worker gets so much work ahead that it does not wait for the next task: less than anybody
// notices who waits behind it.
constexpr uint32_t kAheadMicros = 1000;

// A worker that has finished nothing for so long gives back what lies ahead of it.
constexpr uint32_t kStalledMs = 3;

// Workers that die without having finished a task are replaced at once the first time, then after
// twice as long each time.
constexpr uint32_t kFirstBackoffMs = 100;
constexpr uint32_t kLongestBackoffMs = 5000;

uint32_t In(uint32_t ms) { return std::max(1u, ClockMs() + ms); }

template <typename Number>
void Count(std::atomic<Number>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

TaskStaff::TaskStaff(TaskQueue& queue, TaskStatus& status, int epoll, const Log& log,
                     OnFinished on_finished, OnReplaced on_replaced)
    : queue_(queue),
      status_(status),
      epoll_(epoll),
      log_(log),
      on_finished_(std::move(on_finished)),
      on_replaced_(std::move(on_replaced)) {}

TaskStaff::~TaskStaff() { KillAll(); }

// --- Replacing ----------------------------------------------------------------------------------

void TaskStaff::Replace(std::shared_ptr<const Code> code) {
  const int number = code->settings.task_worker_num;
  replacement_ = Replacement{std::move(code), seats_.empty()};
  if (static_cast<int>(seats_.size()) < number) seats_.resize(number);
  if (replacement_->together) {
    for (int seat = 0; seat < number && replacement_; ++seat) BeginReplacing(seat);
  }
  GoOnReplacing();
}

void TaskStaff::BeginReplacing(int seat) {
  try {
    Start(seat, replacement_->code);
  } catch (const std::exception& error) {
    replacement_.reset();
    on_replaced_(error.what(), 0);
  }
}

// One after another: the next begins when the old one before it has gone.
void TaskStaff::GoOnReplacing() {
  if (!replacement_ || Any(Phase::kLeaving) || Any(Phase::kStarting)) return;
  const int number = replacement_->code->settings.task_worker_num;
  if (!replacement_->together && replacement_->next < number) {
    return BeginReplacing(replacement_->next++);
  }
  if (static_cast<int>(seats_.size()) > number) {
    seats_.resize(number);
    for (Child& child : children_) {
      if (child.seat >= number) Retire(child);
    }
    if (Any(Phase::kLeaving)) return;
  }
  const int done = replacement_->done;
  replacement_.reset();
  ShowStatus();
  on_replaced_("", done);
}

void TaskStaff::Start(int seat, std::shared_ptr<const Code> code) {
  seats_[seat].start_at = 0;
  Child child;
  child.seat = seat;
  child.code = std::move(code);
  child.desk = std::make_unique<Desk>(child.code->settings.task_max_size);
  auto [channel, workers_end] = Channel::MakePair();
  const pid_t keeper = getpid();
  child.pid = Check(fork(), "fork");
  if (child.pid == 0) {
    RunTaskWorker({seat, child.code->settings, child.code->generation, child.code->image.Get(),
                   keeper, workers_end, *child.desk});
  }
  child.channel = std::move(channel);
  child.deadline = In(Milliseconds(child.code->settings.start_timeout));
  for (const int fd : {child.channel.Get(), child.desk->Signal()}) {
    const uint32_t edge = fd == child.desk->Signal() ? EPOLLET : 0u;
    epoll_event event = {EPOLLIN | edge, {.fd = fd}};
    Check(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
  children_.push_back(std::move(child));
}

void TaskStaff::OnMessage(int fd) {
  for (Child& child : children_) {
    if (child.channel.Get() != fd) continue;
    const std::optional<Message> message = child.channel.Receive();
    if (!message) {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);  // SIGCHLD comes, too
    } else if (message->what == "ready") {
      OnReady(child);
    } else if (message->what == "failed") {
      child.reason = message->text;
    }
    return;
  }
}

void TaskStaff::OnReady(Child& child) {
  if (retiring_) return Retire(child);
  Child* old = Find(child.seat, Phase::kServing);
  child.phase = Phase::kServing;
  child.deadline = 0;
  child.finished_at = ClockMs();
  seats_[child.seat].code = child.code;
  seats_[child.seat].start_at = 0;
  log_.Line("task worker {} runs tasks, generation {}", child.pid, child.code->generation);
  if (replacement_ && child.code == replacement_->code) ++replacement_->done;
  if (old != nullptr) Retire(*old);
  ShowStatus();
  GoOnReplacing();
}

void TaskStaff::Retire(Child& child) {
  TakeBack(child);
  child.desk->Leave();
  child.desk->Wake();
  child.phase = Phase::kLeaving;
  child.deadline = In(Milliseconds(child.code->settings.max_wait_time));
}

void TaskStaff::Retire() {
  retiring_ = true;
  for (Child& child : children_) {
    if (child.phase == Phase::kServing) Retire(child);
    if (child.phase == Phase::kStarting) Kill(child, "the server stops");
  }
}

// --- Dealing ------------------------------------------------------------------------------------

// How many tasks it may have in hand: one, or as many quick ones as are done in no time.
uint32_t TaskStaff::Window(const Child& child) const {
  if (child.micros == 0) return 1;
  return std::clamp(kAheadMicros / child.micros, 1u, Desk::kPlaces);
}

// Each gets one before any gets two.
void TaskStaff::Deal() {
  if (retiring_ || queue_.Waiting() == 0) return;
  std::vector<Child*> given;
  for (uint32_t in_hand = 0; in_hand < Desk::kPlaces && queue_.Waiting() > 0; ++in_hand) {
    for (Child& child : children_) {
      if (child.phase != Phase::kServing || child.desk->InHand() != in_hand ||
          in_hand >= Window(child) || !child.desk->HasRoom()) {
        continue;
      }
      const StoredTask* task = queue_.Lease();
      if (task == nullptr) break;
      if (in_hand == 0) child.finished_at = ClockMs();
      child.desk->Put(*task);
      if (std::find(given.begin(), given.end(), &child) == given.end()) given.push_back(&child);
    }
  }
  for (Child* child : given) child->desk->Wake();
}

void TaskStaff::TakeResults() {
  for (Child& child : children_) TakeResultsOf(child);
}

void TaskStaff::TakeResultsOf(Child& child) {
  if (child.desk->Finished() == child.finished) return;
  child.finished = child.desk->Finished();
  child.finished_at = ClockMs();
  while (const auto result = child.desk->TakeResult()) {
    if (!result->ok) log_.Error("task {} failed: {}", TaskIdText(result->id), result->text);
    queue_.Finish(result->id, result->ok, result->text);
    Count(result->ok ? status_.done : status_.failed);
    ++child.done;
    child.micros = (7 * child.micros + result->micros) / 8 + 1;
    if (child.seat < static_cast<int>(seats_.size())) seats_[child.seat].failures = 0;
    on_finished_(result->id);
  }
}

void TaskStaff::TakeBack(Child& child) {
  for (const TaskId id : child.desk->TakeBack()) queue_.Return(id);
}

// --- Ends ---------------------------------------------------------------------------------------

void TaskStaff::OnEnded(const Ended& ended) {
  const auto found = std::find_if(children_.begin(), children_.end(),
                                  [&](const Child& c) { return c.pid == ended.pid; });
  if (found == children_.end()) return;
  pollfd last_words = {found->channel.Get(), POLLIN, 0};
  if (poll(&last_words, 1, 0) == 1) OnMessage(found->channel.Get());
  // By hand: a process that a handler forked and left may have them open, too.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, found->channel.Get(), nullptr);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, found->desk->Signal(), nullptr);
  Child child = std::move(*found);
  children_.erase(found);
  OnTasksOrphaned(child, ended);
  switch (child.phase) {
    case Phase::kLeaving:
      if (!ended.Cleanly())
        log_.Warning("task worker {} {} when it left", ended.pid, ended.Describe());
      break;
    case Phase::kServing:
      OnDied(child, ended);
      break;
    case Phase::kStarting:
      OnStartFailed(child, ended);
      break;
  }
  ShowStatus();
  GoOnReplacing();
}

// What it has done counts; what it ran has killed it, unless we did for another reason; what was
// before it goes back.
void TaskStaff::OnTasksOrphaned(Child& child, const Ended& ended) {
  TakeResultsOf(child);
  const std::optional<Desk::Running> running = child.desk->IsRunning();
  TakeBack(child);
  if (!running) return;
  const std::string id = TaskIdText(running->id);
  if (child.phase == Phase::kLeaving) {
    queue_.Return(running->id);
    log_.Warning("task {} was cut off and waits again", id);
    return;
  }
  const std::string why =
      child.killed_for.empty() ? "its worker " + ended.Describe() : child.killed_for;
  if (queue_.Died(running->id, why)) {
    log_.Error("task {}: {}, once too often: a dead letter now, see `ctl tasks`", id, why);
    on_finished_(running->id);
  } else {
    Count(status_.retried);
    log_.Warning("task {}: {}; it waits again", id, why);
  }
}

void TaskStaff::OnDied(const Child& child, const Ended& ended) {
  Count(status_.deaths);
  log_.Warning("task worker {} {}", ended.pid, ended.Describe());
  if (retiring_ || child.seat >= static_cast<int>(seats_.size())) return;
  if (Find(child.seat, Phase::kStarting) != nullptr) return;  // its successor is on the way
  Seat& seat = seats_[child.seat];
  const int failures = seat.failures++;
  const uint32_t pause =
      failures == 0 ? 0 : std::min(kLongestBackoffMs, kFirstBackoffMs << std::min(failures - 1, 6));
  seat.start_at = In(pause);
}

void TaskStaff::OnStartFailed(const Child& child, const Ended& ended) {
  if (retiring_) return;
  std::string reason = child.reason;
  if (reason.empty()) {
    reason = !child.killed_for.empty() ? child.killed_for
                                       : "it " + ended.Describe() + " before it was ready";
  }
  reason = "handler " + child.code->settings.handler + ": " + reason;
  log_.Error("a new task worker could not start: {}", reason);
  if (replacement_ && child.code == replacement_->code) {
    const int done = replacement_->done;
    replacement_.reset();
    on_replaced_(reason, done);
  }
  if (child.seat >= static_cast<int>(seats_.size())) return;
  Seat& seat = seats_[child.seat];
  if (seat.code && Find(child.seat, Phase::kServing) == nullptr) {
    seat.start_at =
        In(std::min(kLongestBackoffMs, kFirstBackoffMs << std::min(seat.failures++, 6)));
  }
}

void TaskStaff::Kill(Child& child, std::string why) {
  child.killed_for = std::move(why);
  child.deadline = 0;
  kill(child.pid, SIGKILL);
}

void TaskStaff::KillAll() {
  for (Child& child : children_) {
    kill(child.pid, SIGKILL);
    WaitFor(child.pid);
    TakeResultsOf(child);
    if (const auto running = child.desk->IsRunning()) queue_.Return(running->id);
    TakeBack(child);
  }
  children_.clear();
}

// --- Time ---------------------------------------------------------------------------------------

// When the task that it runs, or is about to, has run for too long; 0: never.
uint32_t TaskStaff::TimeOut(const Child& child) const {
  const uint32_t limit = Milliseconds(child.code->settings.task_timeout);
  if (limit == 0 || child.desk->InHand() == 0 || !child.killed_for.empty()) return 0;
  const auto running = child.desk->IsRunning();
  return std::max(1u, (running ? running->since : ClockMs()) + limit);
}

int TaskStaff::NextTimeout() const {
  int32_t next = INT32_MAX;
  const auto consider = [&next](uint32_t deadline) {
    if (deadline == 0) return;
    next = std::min(next, std::max(0, static_cast<int32_t>(deadline - ClockMs())));
  };
  for (const Child& child : children_) {
    consider(child.deadline);
    consider(TimeOut(child));
    if (child.desk->InHand() > 1) next = std::min<int32_t>(next, kStalledMs);
  }
  for (const Seat& seat : seats_) consider(seat.start_at);
  return next == INT32_MAX ? -1 : next;
}

void TaskStaff::OnTime() {
  const uint32_t now = ClockMs();
  for (Child& child : children_) {
    if (child.deadline != 0 && Passed(child.deadline, now)) {
      const bool starting = child.phase == Phase::kStarting;
      log_.Warning("task worker {} did not {} in time: killing it", child.pid,
                   starting ? "become ready" : "finish its task");
      Kill(child, starting ? "it was not ready within start_timeout" : "max_wait_time was over");
    } else if (const uint32_t time_out = TimeOut(child); time_out != 0 && Passed(time_out, now)) {
      Kill(child,
           fmt::format("it ran longer than task_timeout, {} s", child.code->settings.task_timeout));
    } else if (child.desk->InHand() > 1 && now - child.finished_at >= kStalledMs &&
               child.desk->Finished() == child.finished) {
      child.micros = kAheadMicros;
      TakeBack(child);
    }
  }
  for (size_t seat = 0; seat < seats_.size() && !retiring_; ++seat) {
    if (seats_[seat].start_at == 0 || !Passed(seats_[seat].start_at, now)) continue;
    try {
      Start(static_cast<int>(seat), seats_[seat].code);
    } catch (const std::exception& error) {
      log_.Error("a new task worker could not start: {}", error.what());
      seats_[seat].start_at = In(kLongestBackoffMs);
    }
  }
}

// --- State --------------------------------------------------------------------------------------

TaskStaff::Child* TaskStaff::Find(int seat, Phase phase) {
  for (Child& child : children_) {
    if (child.seat == seat && child.phase == phase) return &child;
  }
  return nullptr;
}

bool TaskStaff::Any(Phase phase) const {
  return std::any_of(children_.begin(), children_.end(),
                     [phase](const Child& child) { return child.phase == phase; });
}

size_t TaskStaff::Running() const {
  return static_cast<size_t>(
      std::count_if(children_.begin(), children_.end(),
                    [](const Child& child) { return child.desk->IsRunning().has_value(); }));
}

std::vector<TaskStaff::Row> TaskStaff::Rows() const {
  std::vector<Row> rows;
  for (const Child& child : children_) {
    const auto running = child.desk->IsRunning();
    rows.push_back({child.seat, child.pid, child.code->generation, running ? running->id : 0,
                    running ? ClockMs() - running->since : 0, child.done});
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.number < b.number; });
  return rows;
}

void TaskStaff::ShowStatus() {
  status_.worker_num = static_cast<int>(seats_.size());
  for (size_t seat = 0; seat < seats_.size(); ++seat) {
    const Child* child = Find(static_cast<int>(seat), Phase::kServing);
    status_.workers[seat].pid = child == nullptr ? 0 : child->pid;
    if (child != nullptr) status_.workers[seat].generation = child->code->generation;
  }
}

}  // namespace graceful
