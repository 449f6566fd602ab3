#include "reload/master.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "reload/child_process.h"
#include "reload/handler_image.h"
#include "reload/keeper.h"
#include "reload/log_file.h"
#include "reload/master_signals.h"
#include "signals/check.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

constexpr int kMaxSlots = 256;

// A keeper that ended within this time of its start is started again only after it.
constexpr uint32_t kKeeperPauseMs = 1000;

// Beyond max_wait_time, for keepers that are only busy with going.
constexpr uint32_t kGraceMs = 5000;

// Whether this process has a controlling terminal: /dev/tty can be opened then and only then.
bool HasTerminal() { return static_cast<bool>(UniqueFd(open("/dev/tty", O_RDWR | O_CLOEXEC))); }

// A connection is a descriptor, and the usual soft limit of 1024 is an old habit of select(2).
void RaiseDescriptorLimit() {
  rlimit limit;
  Check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  Check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit", "RLIMIT_NOFILE");
}

SlotStatus* MapStatuses() {
  void* mapping = mmap(nullptr, kMaxSlots * sizeof(SlotStatus), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) ThrowErrno(errno, "mmap");
  return static_cast<SlotStatus*>(mapping);
}

std::string ControlPath(const Settings& settings, int port) {
  if (!settings.control_socket.empty()) return settings.control_socket;
  return DefaultControlPath(port != 0 ? std::to_string(port) : "pid-" + std::to_string(getpid()));
}

// Settings that only a restart changes: what a master and its keepers hold for life.
std::string NeedRestart(const Settings& before, const Settings& now) {
  std::string names;
  const auto compare = [&names](const auto& a, const auto& b, const char* name) {
    if (a != b) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  compare(before.listen, now.listen, "listen");
  compare(before.port, now.port, "port");
  compare(before.backlog, now.backlog, "backlog");
  compare(before.buffer_size, now.buffer_size, "buffer_size");
  compare(before.task_worker_num == 0, now.task_worker_num == 0, "task_worker_num");
  compare(before.task_queue, now.task_queue, "task_queue");
  compare(before.task_queue_size, now.task_queue_size, "task_queue_size");
  compare(before.user, now.user, "user");
  compare(before.group, now.group, "group");
  compare(before.pid_file, now.pid_file, "pid_file");
  compare(before.log_file, now.log_file, "log_file");
  compare(before.control_socket, now.control_socket, "control_socket");
  return names;
}

}  // namespace

Master::Master(Settings settings, std::vector<std::string> arguments,
               std::filesystem::path directory, Log log)
    : settings_(std::move(settings)),
      arguments_(std::move(arguments)),
      directory_(std::move(directory)),
      log_(std::move(log)),
      log_path_(HasLogFile(settings_) ? settings_.log_file : ""),
      has_terminal_(HasTerminal()),
      started_(ClockMs()),
      signals_(ReadMasterSignals()),
      events_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      listeners_(settings_),
      control_(ControlPath(settings_, listeners_.Port())),
      tasks_(settings_),
      statuses_(MapStatuses()) {
  RaiseDescriptorLimit();
  IgnoreUntilExec({SIGPIPE, SIGXFSZ});
  Watch(signals_.Get());
  Watch(control_.Get());
}

Master::~Master() { KillAll(); }

void Master::Start() {
  for (const std::string& url : listeners_.Urls()) log_.Line("listening on {}", url);
  log_.Line("control socket {}", control_.Path());
  Begin({.kind = Kind::kStart});
  while (code_.generation == 0 && !exit_status_) OneEvent();
  if (exit_status_ == 1) throw std::runtime_error("cannot start: " + last_outcome_);
}

int Master::Run() {
  while (!exit_status_) OneEvent();
  return *exit_status_;
}

void Master::OneEvent() {
  epoll_event event;
  const int count = epoll_wait(events_.Get(), &event, 1, NextTimeout());
  if (count == -1 && errno != EINTR) ThrowErrno(errno, "epoll_wait");
  if (count == 1) OnEvent(event.data.fd);
  OnTime();
}

// --- Events -------------------------------------------------------------------------------------

void Master::OnEvent(int fd) {
  if (fd == signals_.Get()) {
    if (const auto info = signals_.Read()) OnSignal(static_cast<int>(info->ssi_signo));
    return;
  }
  if (fd == control_.Get()) return OnControlClient();
  if (clients_.contains(fd)) return OnCommand(fd);
  for (const auto& seat : seats_) {
    if (seat->channel.Get() == fd) return OnKeeperMessage(*seat);
  }
  if (tasks_.ToKeeper().Get() == fd) {
    OnTaskKeeperMessage();
    return;
  }
  OnParkedListener(fd);
}

void Master::OnSignal(int number) {
  if (number == SIGCHLD) return OnChildrenEnded();
  log_.Line("{}", SignalName(number));
  if (number == SIGTERM || number == SIGINT || (number == SIGHUP && has_terminal_)) {
    Ask(Kind::kStop);
  } else if (number == SIGQUIT) {
    StopNow();
  } else if (number == SIGUSR1) {
    Ask(Kind::kReload);
  } else if (number == SIGUSR2) {
    Ask(Kind::kReloadTasks);
  } else if (number == SIGHUP) {
    Ask(Kind::kReconfigure);
  } else if (number == SIGTTIN) {
    Ask(Kind::kGrow);
  } else if (number == SIGTTOU) {
    Ask(Kind::kShrink);
  } else if (number == SIGRTMIN) {
    Reopen();
  }
}

// The keepers end their workers, and then themselves when what those have printed is in the log.
void Master::StopNow() {
  log_.Line("stopping now");
  Ask(Kind::kStop);
  for (const auto& seat : seats_) {
    if (seat->keeper != 0) seat->channel.Send({.what = "kill"});
  }
  stop_by_ = ClockMs() + kGraceMs;
}

void Master::OnChildrenEnded() {
  for (const Ended& ended : ReapChildren()) {
    if (ended.pid == tasks_.Keeper()) OnTaskKeeperEnded(ended);
    for (const auto& seat : seats_) {
      if (seat->keeper == ended.pid) {
        OnKeeperEnded(*seat, ended);
        break;
      }
    }
  }
}

void Master::OnKeeperEnded(Seat& seat, const Ended& ended) {
  // What is left of its group: a worker that it could not end itself, and what that started.
  kill(-seat.keeper, SIGKILL);
  seat.keeper = 0;
  Unwatch(seat.channel.Get());
  seat.channel = Channel();
  statuses_[seat.number].worker = 0;
  if (reopening_.erase(seat.number) > 0) ReopenedIfAll();
  if (seat.leaving) {
    if (!ended.Cleanly()) log_.Warning("keeper {} {}", seat.number, ended.Describe());
    const int number = seat.number;
    if (!stopping_) {
      seats_.pop_back();
      tasks_.SetInbox(number, -1);
    }
    return SlotDone(number);
  }
  log_.Error("keeper {} {}: its connections are lost", seat.number, ended.Describe());
  statuses_[seat.number].connections = 0;
  const bool young = !Passed(seat.started + kKeeperPauseMs, ClockMs());
  seat.start_at = std::max(1u, ClockMs() + (young ? kKeeperPauseMs : 0));
  if (job_ && job_->waiting.contains(seat.number)) {
    SlotFailed(seat.number, "its keeper " + ended.Describe());
  }
}

void Master::OnKeeperMessage(Seat& seat) {
  const std::optional<Message> message = seat.channel.Receive();
  if (!message) return Unwatch(seat.channel.Get());  // SIGCHLD comes, too
  if (message->what == "replaced") SlotDone(seat.number);
  if (message->what == "failed") SlotFailed(seat.number, message->text);
  if (message->what == "reopened" && reopening_.erase(seat.number) > 0) ReopenedIfAll();
}

void Master::OnControlClient() {
  Channel client = control_.Accept();
  if (!client) return;
  Watch(client.Get());
  clients_.emplace(client.Get(), std::move(client));
}

void Master::OnCommand(int fd) {
  Channel client = std::move(clients_.extract(fd).mapped());
  Unwatch(fd);
  std::optional<Message> message;
  try {
    message = client.Receive();
  } catch (const std::exception& error) {
    log_.Warning("control socket: {}", error.what());
  }
  if (!message) return;
  if (message->what == "status") {
    client.Send({.what = "ok", .text = StatusJson()});
  } else if (message->what == "reload") {
    log_.Line("ctl reload");
    Ask(Kind::kReload, std::move(client));
  } else if (message->what == "reopen") {
    log_.Line("ctl reopen");
    Reopen(std::move(client));
  } else if (message->what == "reload-tasks") {
    log_.Line("ctl reload-tasks");
    Ask(Kind::kReloadTasks, std::move(client));
  } else if (message->what == "tasks" || message->what == "retry" || message->what == "drop") {
    AskTasks(*message, std::move(client));
  } else if (message->what == "stop") {
    log_.Line("ctl stop");
    Ask(Kind::kStop, std::move(client));
  } else {
    client.Send({.what = "error", .text = "this server knows no command '" + message->what + "'"});
  }
}

// --- Jobs ---------------------------------------------------------------------------------------

void Master::Ask(Kind kind, Channel asker) {
  if (kind == Kind::kStop) {
    if (stopping_) {  // already at it: the asker waits for the same end
      if (asker) job_->askers.push_back(std::move(asker));
      return;
    }
    queue_.clear();
    if (job_) Finish(false, "the server is told to stop");
  } else if (stopping_) {
    if (asker) asker.Send({.what = "error", .text = "the server is stopping"});
    return;
  }
  // A reload that is asked for during another may be for a file that came after it: it runs once
  // after it, however often it was asked for.
  const bool queued = !queue_.empty() && queue_.back().kind == kind &&
                      (kind == Kind::kReload || kind == Kind::kReconfigure);
  if (!queued) queue_.push_back({.kind = kind});
  if (asker) queue_.back().askers.push_back(std::move(asker));
  if (job_) {
    if (!queued) log_.Line("after what is under way");
    return;
  }
  Job job = std::move(queue_.front());
  queue_.pop_front();
  Begin(std::move(job));
}

void Master::Begin(Job job) {
  job.started = ClockMs();
  job.closed_before = ClosedByServer();
  job_ = std::move(job);
  next_ = code_;
  try {
    switch (job_->kind) {
      case Kind::kStart:
        for (int i = 0; i < settings_.worker_num; ++i) AddSeat();
        [[fallthrough]];
      case Kind::kReload:
        return BeginReload(settings_);
      case Kind::kReloadTasks:
        return BeginReloadTasks();
      case Kind::kReconfigure:
        return BeginReload(ReadConfigurationAgain());
      case Kind::kGrow:
        return BeginGrow();
      case Kind::kShrink:
        return BeginShrink();
      case Kind::kStop:
        return BeginStop();
    }
  } catch (const std::exception& error) {
    Finish(false, error.what());
  }
}

void Master::BeginReload(const Settings& settings) {
  next_ = {std::make_shared<UniqueFd>(ReadHandlerImage(settings.handler)), settings,
           std::max(code_.generation, task_code_.generation) + 1};
  for (const auto& seat : seats_) job_->todo.push_back(seat->number);
  if (job_->kind != Kind::kReload && tasks_.IsWanted()) job_->todo.push_back(kTasks);
  if (job_->kind != Kind::kStart) {
    manager_.Reloading();
    log_.Line("reload: generation {}, {}", next_.generation, settings.handler);
  }
  TellNext();
}

void Master::BeginGrow() {
  if (seats_.size() == kMaxSlots) throw std::runtime_error("there are 256 workers already");
  Seat& seat = AddSeat();
  job_->todo.push_back(seat.number);
  TellNext();
}

void Master::BeginShrink() {
  if (seats_.size() == 1) throw std::runtime_error("the last worker stays");
  Seat& leaving = *seats_.back();
  leaving.leaving = true;
  job_->waiting.insert(leaving.number);
  Park(leaving.number, true);
  Message give = {.what = "give"};
  for (const auto& seat : seats_) {
    if (seat->leaving) continue;
    give.fds.emplace_back(
        Check(fcntl(seat->inbox_in.Get(), F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
  }
  if (leaving.keeper != 0) {
    leaving.channel.Send(give);
  } else {
    const int number = leaving.number;
    seats_.pop_back();
    SlotDone(number);
  }
}

void Master::BeginStop() {
  stopping_ = true;
  manager_.Stopping();
  log_.Line("stopping: finishing {} connections' requests", [this] {
    uint32_t open = 0;
    for (const auto& seat : seats_) open += statuses_[seat->number].connections;
    return open;
  }());
  listeners_.Refuse();
  for (const int slot : parked_) {
    for (const int fd : listeners_.OwnOfSlot(slot)) {
      while (OnParkedListener(fd)) {
      }
    }
  }
  stop_by_ = ClockMs() + Milliseconds(settings_.max_wait_time) + kGraceMs;
  for (const auto& seat : seats_) {
    seat->leaving = true;
    seat->start_at = 0;
    if (seat->keeper == 0) continue;
    job_->waiting.insert(seat->number);
    seat->channel.Send({.what = "stop"});
  }
  // Last, since slots may wait for tasks.
  tasks_.DoNotStart();
  if (tasks_.IsRunning()) job_->todo.push_back(kTasks);
  if (!job_->waiting.empty()) return;
  if (!job_->todo.empty()) return TellNext();
  Finish(true, "");
}

// Slots start together; they are replaced one after another.
void Master::TellNext() {
  const bool together = job_->kind == Kind::kStart;
  while (!job_->todo.empty() && (together || job_->waiting.empty())) {
    const int number = job_->todo.front();
    job_->todo.pop_front();
    job_->waiting.insert(number);
    if (number == kTasks) {
      TellTasks();
      continue;
    }
    Seat& seat = *FindSeat(number);
    if (seat.keeper == 0) StartKeeper(seat);
    TellToRun(seat.channel, next_);
  }
}

void Master::SlotDone(int slot) {
  if (!job_ || job_->waiting.erase(slot) == 0) {
    log_.Line("{} again", slot == kTasks ? "tasks run" : fmt::format("slot {} serves", slot));
    return;
  }
  if (slot != kTasks) ++job_->done;
  if (!job_->waiting.empty()) return;
  if (!job_->todo.empty()) return TellNext();
  Finish(true, Outcome());
}

// The first failure ends the job: the slots that were not told yet go on as they are.
void Master::SlotFailed(int slot, const std::string& reason) {
  if (!job_ || job_->waiting.erase(slot) == 0) return;
  std::string text = slot == kTasks ? "tasks: " + reason : fmt::format("slot {}: {}", slot, reason);
  if (slot == kTasks) {
    if (job_->kind != Kind::kStart) {
      text +=
          fmt::format("; {} task workers replaced, the others go on as before", job_->task_workers);
    }
  } else if (job_->kind == Kind::kReload || job_->kind == Kind::kReconfigure) {
    text += fmt::format("; {} of {} workers replaced, the others serve on as before", job_->done,
                        seats_.size());
  }
  Finish(false, text);
}

void Master::Finish(bool ok, const std::string& text) {
  Job job = std::move(*job_);
  job_.reset();
  const bool runs_code = job.kind != Kind::kStop && job.kind != Kind::kShrink;
  const bool runs_tasks =
      job.kind == Kind::kStart || job.kind == Kind::kReconfigure || job.kind == Kind::kReloadTasks;
  if (ok && runs_tasks) task_code_ = next_;
  if (ok && runs_code && job.kind != Kind::kReloadTasks) {
    code_ = next_;
    settings_ = code_.settings;
  }
  if (job.kind == Kind::kStop) {
    uint64_t answered = 0;
    for (const auto& seat : seats_) answered += statuses_[seat->number].answered;
    const std::string outcome =
        fmt::format("stopped in {} ms, {} requests answered{}{}", ClockMs() - job.started, answered,
                    tasks_left_.value_or("").empty() ? "" : "; ", tasks_left_.value_or(""));
    log_.Line("{}", outcome);
    exit_status_ = 0;
    for (const Channel& asker : job.askers) asker.Send({.what = "ok", .text = outcome});
    return;
  }
  if (job.kind == Kind::kStart && !ok) {
    last_outcome_ = text;
    exit_status_ = 1;
    return;
  }
  if (job.kind == Kind::kGrow && !ok && seats_.back()->keeper != 0 && !stopping_) {
    // A slot that could not start is not kept half alive.
    seats_.back()->leaving = true;
    Park(seats_.back()->number, true);
    seats_.back()->channel.Send({.what = "stop"});
  }
  last_outcome_ = (ok ? "" : "failed: ") + text;
  if (!stopping_) manager_.Ready(last_outcome_);
  if (ok) {
    log_.Line("{}", text);
  } else {
    log_.Error("{}", last_outcome_);
  }
  for (const Channel& asker : job.askers) {
    asker.Send({.what = ok ? "ok" : "error", .text = text});
  }
  if (!queue_.empty() && !stopping_) {
    Job next = std::move(queue_.front());
    queue_.pop_front();
    Begin(std::move(next));
  }
}

std::string Master::Outcome() const {
  const uint32_t ms = ClockMs() - job_->started;
  switch (job_->kind) {
    case Kind::kStart:
      return fmt::format(
          "ready: {} workers{} in {} ms; pid {}", job_->done,
          tasks_.IsWanted() ? fmt::format(", {} task workers", job_->task_workers) : "", ms,
          getpid());
    case Kind::kReloadTasks:
      return fmt::format("{} task workers replaced in {} ms", job_->task_workers, ms);
    case Kind::kGrow:
      return fmt::format("one worker more: {}", seats_.size());
    case Kind::kShrink:
      return fmt::format("one worker fewer: {}", seats_.size());
    default:
      return fmt::format("{} workers replaced in {} ms, {} connections closed", job_->done, ms,
                         ClosedByServer() - job_->closed_before);
  }
}

Settings Master::ReadConfigurationAgain() {
  Settings settings = ReadSettings(arguments_, directory_);
  const std::string names = NeedRestart(settings_, settings);
  if (!names.empty()) log_.Warning("changed, but needs a restart: {}", names);
  if (!tasks_.IsWanted() || settings.task_worker_num == 0) {
    settings.task_worker_num = settings_.task_worker_num;
  }
  settings.task_queue = settings_.task_queue;
  return settings;
}

// --- Time ---------------------------------------------------------------------------------------

int Master::NextTimeout() const {
  int32_t next = INT32_MAX;
  const auto consider = [&next](uint32_t deadline) {
    if (deadline != 0)
      next = std::min(next, std::max(0, static_cast<int32_t>(deadline - ClockMs())));
  };
  if (!parked_watched_) consider(watch_parked_at_);
  consider(stop_by_);
  consider(manager_.NextSign());
  consider(tasks_.StartAt());
  for (const auto& seat : seats_) consider(seat->start_at);
  return next == INT32_MAX ? -1 : next + 1;
}

void Master::OnTime() {
  const uint32_t now = ClockMs();
  if (!parked_watched_ && Passed(watch_parked_at_, now)) {
    WatchParked(true);
    if (undealt_ && !Deal()) WatchParked(false);
  }
  if (manager_.NextSign() != 0 && Passed(manager_.NextSign(), now)) manager_.StillAlive();
  if (stop_by_ != 0 && Passed(stop_by_, now)) {
    log_.Warning("max_wait_time is over: killing what is left");
    KillAll();
    if (job_) Finish(true, "");
  }
  for (const auto& seat : seats_) {
    if (seat->start_at == 0 || !Passed(seat->start_at, now)) continue;
    StartKeeper(*seat);
    TellToRun(seat->channel, code_);
  }
  if (tasks_.StartAt() != 0 && Passed(tasks_.StartAt(), now)) {
    StartTaskKeeper();
    if (task_code_.image) TellToRun(tasks_.ToKeeper(), task_code_);
  }
}

// --- State --------------------------------------------------------------------------------------

void Master::Watch(int fd) {
  epoll_event event = {EPOLLIN, {.fd = fd}};
  Check(epoll_ctl(events_.Get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void Master::Unwatch(int fd) { epoll_ctl(events_.Get(), EPOLL_CTL_DEL, fd, nullptr); }

uint64_t Master::ClosedByServer() const {
  uint64_t closed = 0;
  for (int slot = 0; slot < kMaxSlots; ++slot) closed += statuses_[slot].closed_by_server;
  return closed;
}

}  // namespace graceful
