#include "reload/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <span>
#include <string>

#include "reload/descriptors.h"
#include "reload/log_file.h"
#include "reload/master_signals.h"
#include "reload/output.h"
#include "reload/stack_trace.h"
#include "reload/worker.h"
#include "signals/check.h"
#include "signals/children.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

// Workers that die without having answered anything are replaced at once the first time, then
// after twice as long each time.
constexpr uint32_t kFirstBackoffMs = 100;
constexpr uint32_t kLongestBackoffMs = 5000;

// Beyond max_wait_time, for a worker that is only busy with going.
constexpr uint32_t kGraceMs = 2000;

// For showing the stack of a worker that is stuck.
constexpr uint32_t kStackTraceMs = 5000;

// fork(2), but for the descriptor table, which parent and child share: what one opens or closes,
// both have opened or closed. The memory is copied as ever. By number, since glibc's fork() has no
// such option; with no new stack, clone(2) returns twice like fork(2).
pid_t CloneSharingDescriptors() {
  const long flags = CLONE_FILES | SIGCHLD;
#if defined(__s390__)
  const long pid = syscall(SYS_clone, nullptr, flags, nullptr, nullptr, 0);
#else
  const long pid = syscall(SYS_clone, flags, nullptr, nullptr, nullptr, 0);
#endif
  return static_cast<pid_t>(Check(pid, "clone"));
}

int DescriptorLimit() {
  rlimit limit;
  Check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1'000'000));
}

// What a worker runs: shared by those that run it, closed with the last.
struct Code {
  UniqueFd image;
  Settings settings;
  int generation;
};

enum class Phase { kStarting, kReady, kHolding, kLeaving };

struct Child {
  pid_t pid;
  Phase phase;
  std::shared_ptr<const Code> code;
  // Both ends: the descriptors of a worker are ours to close.
  Channel channel;
  Channel worker_end;
  uint32_t deadline;   // it is killed then; 0: never
  std::string reason;  // why it said that it could not start
};

// The last look at the holder's pulse (ConnectionTable::Pulse()).
struct Pulse {
  uint32_t beat = 0;
  uint32_t since = 0;
  uint32_t looked_at = ClockMs();
};

UniqueFd MakeEpoll() { return UniqueFd(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")); }

void WatchFor(int epoll, int fd, uint64_t data) {
  epoll_event event = {EPOLLIN, {.u64 = data}};
  Check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

std::vector<sockaddr_storage> AddressesOf(const std::vector<UniqueFd>& sockets) {
  std::vector<sockaddr_storage> addresses;
  for (const UniqueFd& socket : sockets) {
    sockaddr_storage address = {};
    socklen_t size = sizeof address;
    Check(getsockname(socket.Get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    addresses.push_back(address);
  }
  return addresses;
}

// Unmaps the program's code, all of it clean pages of files: what runs again is mapped again. What
// starting a worker needs is much, and while one serves, a keeper runs next to nothing.
void ForgetCode() {
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void*) {
        for (const ElfW(Phdr) & part : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
          if (part.p_type != PT_LOAD || part.p_flags != (PF_R | PF_X)) continue;
          const uintptr_t page = BufferPool::kPageSize;
          const uintptr_t begin = (info->dlpi_addr + part.p_vaddr) / page * page;
          const uintptr_t end = info->dlpi_addr + part.p_vaddr + part.p_memsz;
          // NOLINTNEXTLINE(performance-no-int-to-ptr): dl_iterate_phdr(3) gives numbers
          madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
        }
        return 0;
      },
      nullptr);
}

class Keeper {
 public:
  explicit Keeper(KeeperStart start)
      : slot_{start.number,
              MakeEpoll(),
              std::move(start.listeners),
              {},
              std::move(start.inbox),
              ConnectionTable(DescriptorLimit(), start.settings.buffer_size),
              start.status,
              std::move(start.tasks)},
        master_(std::move(start.channel)),
        log_(std::move(start.log)),
        output_log_(log_.As("output " + std::to_string(slot_.number))),
        output_(output_log_),
        signals_({SIGCHLD}),
        events_(MakeEpoll()) {
    slot_.service = AddressesOf(slot_.listeners);
    WatchFor(events_.Get(), master_.Get(), master_.Get());
    WatchFor(events_.Get(), signals_.Get(), signals_.Get());
    WatchFor(events_.Get(), output_.Get(), output_.Get());
  }

  // Until the slot was drained or given away.
  void Run() {
    while (!done_) {
      epoll_event event;
      const int count = epoll_wait(events_.Get(), &event, 1, NextTimeout());
      if (count == -1 && errno != EINTR) ThrowErrno(errno, "epoll_wait");
      if (count == 1) OnEvent(static_cast<int>(event.data.u64));
      OnTime();
    }
    output_.Read();
    output_.End();
  }

 private:
  using Children = std::list<Child>;

  void OnEvent(int fd) {
    if (fd == master_.Get()) return OnMasterMessage();
    if (fd == signals_.Get()) return OnChildrenEnded();
    if (fd == output_.Get()) return output_.Read();
    const auto child = std::find_if(children_.begin(), children_.end(),
                                    [fd](const Child& c) { return c.channel.Get() == fd; });
    if (child != children_.end()) OnWorkerMessage(*child);
  }

  // --- The master's wishes ----------------------------------------------------------------

  void OnMasterMessage() {
    std::optional<Message> message = master_.Receive();
    if (!message) {
      log_.Warning("the master has gone: finishing the requests, then stopping");
      epoll_ctl(events_.Get(), EPOLL_CTL_DEL, master_.Get(), nullptr);
      return Finish("drain", {});
    }
    if (message->what == "reload") {
      reloading_ = true;
      if (message->fds.empty()) return CouldNotStart("no descriptor is left (ulimit -n)");
      const std::shared_ptr<const Code> code(
          new Code{std::move(message->fds[0]), DecodeSettings(message->text), message->number});
      Start(code);
    } else if (message->what == "stop") {
      Finish("drain", {});
    } else if (message->what == "give") {
      Finish("give", std::move(message->fds));
    } else if (message->what == "kill") {
      killed_ = true;
      finish_ = "kill";
      for (const Child& child : children_) Kill(child);
      FinishedIfAllGone();
    } else if (message->what == "reopen") {
      if (!message->fds.empty()) Redirect(log_.Fd(), message->fds[0]);
      master_.Send({.what = "reopened"});
    }
  }

  // Nothing more is started; whoever holds the slot is asked to end it.
  void Finish(const char* how, std::vector<UniqueFd> inboxes) {
    finish_ = how;
    inboxes_ = std::move(inboxes);
    reloading_ = false;
    if (Child* holder = Find(Phase::kHolding)) {
      for (Child& child : children_) {
        if (child.phase == Phase::kStarting || child.phase == Phase::kReady) Kill(child);
      }
      AskToFinish(*holder);
    } else if (!Find(Phase::kStarting) && !Find(Phase::kReady)) {
      if (current_ && slot_.status.connections > 0) {
        Start(current_);  // a successor of one that died: the connections are not lost
      } else {
        FinishedIfAllGone();
      }
    }
  }

  void AskToFinish(Child& holder) {
    slot_.table.Draining() = finish_ == "drain";
    std::vector<int> numbers;
    for (const UniqueFd& inbox : inboxes_) numbers.push_back(inbox.Get());
    Ask(holder, {.what = finish_, .numbers = std::move(numbers)});
  }

  // --- The workers' answers ---------------------------------------------------------------

  void OnWorkerMessage(Child& child) {
    const std::optional<Message> message = child.channel.Receive();
    if (!message) return;
    if (message->what == "ready") {
      child.phase = Phase::kReady;
      child.deadline = 0;
      if (Child* holder = Find(Phase::kHolding)) {
        Ask(*holder, {.what = "pass"});
      } else {
        GiveSlotTo(child);
      }
    } else if (message->what == "failed") {
      child.reason = message->text;
    } else if (message->what == "passed") {
      Left(child);
      if (Child* successor = Find(Phase::kReady)) return GiveSlotTo(*successor);
      if (!Find(Phase::kStarting)) Start(current_);  // the successor died after it was ready
    } else if (message->what == "drained" || message->what == "given") {
      if (message->number > 0)
        log_.Warning("{} connections could not be passed on", message->number);
      ended_ = true;
      Left(child);
    } else if (message->what == "tired" && !Busy()) {
      log_.Line("replacing worker {}, which has reached max_request", child.pid);
      Start(child.code);
    }
  }

  // The interrupt first, so that the message finds the worker at the next boundary of requests.
  void Ask(Child& holder, const Message& message) {
    holder.deadline = In(Milliseconds(holder.code->settings.max_wait_time) + kGraceMs);
    slot_.table.Interrupt() = true;
    holder.channel.Send(message);
  }

  void GiveSlotTo(Child& child) {
    child.phase = Phase::kHolding;
    child.deadline = 0;
    current_ = child.code;
    answered_before_ = slot_.status.answered;
    slot_.status.worker = child.pid;
    slot_.status.generation = child.code->generation;
    child.channel.Send({.what = "take",
                        .text = std::exchange(orphaned_, false) ? "recover" : "",
                        .number = std::exchange(was_stuck_, false)});
    pulse_ = {};
    log_.Line("worker {} serves{}", child.pid,
              reloading_ ? "" : ", generation " + std::to_string(child.code->generation));
    if (!finish_.empty()) return AskToFinish(child);
    ReportIfReplaced();
    ForgetCode();
  }

  void Left(Child& child) {
    child.phase = Phase::kLeaving;
    child.deadline = In(Milliseconds(child.code->settings.max_wait_time) + kGraceMs);
  }

  // --- Starting and ending ----------------------------------------------------------------

  // What can't be had now (descriptors, processes) costs the new worker, never the slot.
  void Start(const std::shared_ptr<const Code>& code) {
    respawn_at_ = 0;
    try {
      StartChild(code);
    } catch (const std::system_error& error) {
      CouldNotStart(error.what());
    }
  }

  void StartChild(const std::shared_ptr<const Code>& code) {
    leftovers_.Mark(OwnDescriptors(*code));
    if (children_.empty()) CloseLeftovers();
    auto [channel, worker_end] = Channel::MakePair();
    WatchFor(events_.Get(), channel.Get(), channel.Get());
    const pid_t self = getpid();
    const pid_t pid = CloneSharingDescriptors();
    if (pid == 0) {
      RunWorker(
          {slot_, code->settings, code->generation, code->image.Get(), self, worker_end, log_});
    }
    children_.push_back({pid,
                         Phase::kStarting,
                         code,
                         std::move(channel),
                         std::move(worker_end),
                         In(Milliseconds(code->settings.start_timeout)),
                         {}});
    youngest_ = pid;
  }

  void OnChildrenEnded() {
    while (signals_.Read()) {
    }
    for (const Ended& ended : ReapChildren()) {
      output_.Read();
      output_.Ended(ended.pid);
      const auto child = std::find_if(children_.begin(), children_.end(),
                                      [&](const Child& c) { return c.pid == ended.pid; });
      if (ended.pid == stack_trace_) OnStackTraced();
      if (child == children_.end()) continue;  // or something that a worker started and left
      DrainMessages(*child);
      Child gone = std::move(*child);
      children_.erase(child);
      // By hand: a process that a handler forked and left may have the channel open, too.
      epoll_ctl(events_.Get(), EPOLL_CTL_DEL, gone.channel.Get(), nullptr);
      gone.channel = Channel();
      gone.worker_end = Channel();
      OnEnded(gone, ended);
      if (children_.size() == 1 && children_.front().pid == youngest_) CloseLeftovers();
    }
    ReportIfReplaced();
  }

  // What the keeper has opened since it began, with the code that is about to run.
  std::vector<int> OwnDescriptors(const Code& next) const {
    std::vector<int> own = {next.image.Get()};
    for (const Child& child : children_) {
      own.insert(own.end(), {child.channel.Get(), child.worker_end.Get(), child.code->image.Get()});
    }
    if (current_) own.push_back(current_->image.Get());
    for (const UniqueFd& inbox : inboxes_) own.push_back(inbox.Get());
    return own;
  }

  void CloseLeftovers() {
    const int closed = leftovers_.Close();
    if (closed > 0)
      log_.Line("closed {} descriptors that an earlier worker's handler left", closed);
  }

  // What it said last may still wait here; it counts.
  void DrainMessages(Child& child) {
    pollfd waiting = {child.channel.Get(), POLLIN, 0};
    while (poll(&waiting, 1, 0) == 1) OnWorkerMessage(child);
  }

  void OnEnded(Child& child, const Ended& ended) {
    if (killed_) return FinishedIfAllGone();
    switch (child.phase) {
      case Phase::kLeaving:
        if (!ended.Cleanly())
          log_.Warning("worker {} {} when it left", child.pid, ended.Describe());
        return FinishedIfAllGone();
      case Phase::kHolding:
        return OnHolderDied(child, ended);
      case Phase::kStarting:
      case Phase::kReady:
        return OnStartFailed(child, ended);
    }
  }

  void OnHolderDied(const Child& child, const Ended& ended) {
    Count(slot_.status.deaths);
    slot_.status.worker = 0;
    slot_.table.Interrupt() = false;
    slot_.table.Draining() = finish_ == "drain";
    slot_.table.Pulse() = 0;  // odd, if it died in the handler
    orphaned_ = true;
    const bool progressed = slot_.status.answered != answered_before_;
    failures_ = progressed ? 0 : failures_ + 1;
    const uint32_t pause = failures_ < 2 ? 0 : Backoff(failures_ - 2);
    log_.Warning(
        "worker {} {}; {} connections wait for the next{}", child.pid, ended.Describe(),
        slot_.status.connections.load(),
        pause == 0 ? "" : ", in " + std::to_string(pause) + " ms: workers die one after another");
    if (Child* successor = Find(Phase::kReady)) return GiveSlotTo(*successor);
    if (Find(Phase::kStarting)) return;
    RespawnIn(pause);
  }

  void OnStartFailed(const Child& child, const Ended& ended) {
    std::string reason = child.reason;
    if (reason.empty()) {
      reason = child.deadline == kKilledForTime
                   ? fmt::format("it was not ready within start_timeout, {} s",
                                 child.code->settings.start_timeout)
                   : "it " + ended.Describe() + " before it was ready";
    }
    CouldNotStart("handler " + child.code->settings.handler + ": " + reason);
  }

  void CouldNotStart(const std::string& reason) {
    if (finish_.empty()) log_.Error("a new worker could not start: {}", reason);
    if (reloading_) {
      reloading_ = false;
      master_.Send({.what = "failed", .text = reason});
    }
    if (Find(Phase::kHolding) || (!finish_.empty() && ended_)) return FinishedIfAllGone();
    if (!current_) return FinishedIfAllGone();  // the first start: the master decides
    RespawnIn(Backoff(failures_++));
  }

  void RespawnIn(uint32_t pause) {
    if (pause == 0) return Start(current_);
    respawn_at_ = In(pause);
  }

  static uint32_t Backoff(int failures) {
    return std::min(kLongestBackoffMs, kFirstBackoffMs << std::clamp(failures, 0, 6));
  }

  void ReportIfReplaced() {
    if (!reloading_ || Find(Phase::kLeaving) || Find(Phase::kStarting) || Find(Phase::kReady)) {
      return;
    }
    const Child* holder = Find(Phase::kHolding);
    if (holder == nullptr) return;
    reloading_ = false;
    failures_ = 0;
    master_.Send({.what = "replaced", .number = holder->code->generation, .pid = holder->pid});
  }

  void FinishedIfAllGone() {
    if (!finish_.empty() && children_.empty()) done_ = true;
  }

  void Kill(const Child& child) { kill(child.pid, SIGKILL); }

  // --- Time -------------------------------------------------------------------------------

  static uint32_t In(uint32_t ms) { return std::max(2u, ClockMs() + ms); }

  int NextTimeout() {
    int32_t next = INT32_MAX;
    const auto consider = [&](uint32_t deadline) {
      if (deadline <= kKilledForTime) return;
      next = std::min(next, std::max(0, static_cast<int32_t>(deadline - ClockMs())));
    };
    consider(respawn_at_);
    for (const Child& child : children_) consider(child.deadline);
    if (const Child* holder = Find(Phase::kHolding)) consider(NextPulse(*holder));
    return next == INT32_MAX ? -1 : next + 1;
  }

  void OnTime() {
    const uint32_t now = ClockMs();
    if (Child* holder = Find(Phase::kHolding)) FeelPulse(*holder);
    if (respawn_at_ != 0 && Passed(respawn_at_, now)) Start(current_);
    for (Child& child : children_) {
      if (child.deadline <= kKilledForTime || !Passed(child.deadline, now)) continue;
      log_.Warning("worker {} did not {} in time: killing it", child.pid,
                   child.phase == Phase::kStarting ? "become ready" : "finish");
      child.deadline = kKilledForTime;
      Kill(child);
    }
  }

  // --- A worker that is stuck ---------------------------------------------------------------

  // Looked at four times in a worker_timeout; 0: never.
  uint32_t NextPulse(const Child& holder) const {
    const uint32_t limit = Milliseconds(holder.code->settings.worker_timeout);
    if (limit == 0 || was_stuck_) return 0;
    return std::max(kKilledForTime + 1, pulse_.looked_at + std::max(1u, limit / 4));
  }

  void FeelPulse(Child& holder) {
    const uint32_t now = ClockMs();
    const uint32_t next = NextPulse(holder);
    if (next == 0 || !Passed(next, now)) return;
    const uint32_t beat = slot_.table.Pulse();
    pulse_.looked_at = now;
    if (beat % 2 == 0 || beat != pulse_.beat) {
      pulse_.beat = beat;
      pulse_.since = now;
    } else if (now - pulse_.since >= Milliseconds(holder.code->settings.worker_timeout)) {
      OnStuck(holder);
    }
  }

  // Its stack first, if there is a program that can show it; then it is killed.
  void OnStuck(Child& holder) {
    was_stuck_ = true;
    log_.Error("worker {} has run '{}' for more than worker_timeout, {} s: killing it", holder.pid,
               slot_.table.HeldRequestLine(), holder.code->settings.worker_timeout);
    stack_trace_ = StartStackTrace(holder.pid, log_);
    if (stack_trace_ == 0) return Kill(holder);
    holder.deadline = In(kStackTraceMs);
  }

  void OnStackTraced() {
    stack_trace_ = 0;
    if (const Child* holder = Find(Phase::kHolding); holder && was_stuck_) Kill(*holder);
  }

  // --- State ------------------------------------------------------------------------------

  Child* Find(Phase phase) {
    for (Child& child : children_) {
      if (child.phase == phase) return &child;
    }
    return nullptr;
  }

  bool Busy() {
    return reloading_ || !finish_.empty() || Find(Phase::kStarting) || Find(Phase::kReady) ||
           Find(Phase::kLeaving);
  }

  static constexpr uint32_t kKilledForTime = 1;  // as a child's deadline

  Slot slot_;
  Channel master_;
  Log log_;
  Log output_log_;
  Output output_;  // what handlers print
  SignalFd signals_;
  UniqueFd events_;
  Children children_;
  std::shared_ptr<const Code> current_;  // what the last worker that took the slot runs
  bool reloading_ = false;               // the master waits for an outcome
  bool orphaned_ = false;                // the last holder died: the next one recovers
  std::string finish_;                   // "drain" or "give", once asked to end
  std::vector<UniqueFd> inboxes_;
  bool killed_ = false;  // all workers were, as the master wished
  bool ended_ = false;   // the slot was drained or given away
  bool done_ = false;
  int failures_ = 0;  // deaths in a row without an answer between
  uint64_t answered_before_ = 0;
  uint32_t respawn_at_ = 0;
  Leftovers leftovers_{slot_};
  pid_t youngest_ = 0;  // the worker that was cloned last
  Pulse pulse_;
  bool was_stuck_ = false;  // the holder is killed for it
  pid_t stack_trace_ = 0;   // the process that shows where it is stuck
};

}  // namespace

void RunKeeper(KeeperStart start) {
  const Log log = start.log;
  try {
    // Descriptors 1 and 2 are for what handlers print; the log gets a number of its own.
    const UniqueFd log_fd(
        Check(fcntl(log.Fd(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1), "fcntl F_DUPFD_CLOEXEC"));
    start.log = log.On(log_fd.Get());
    LeaveSignalsToMaster();
    prctl(PR_SET_NAME, ("keeper " + std::to_string(start.number)).c_str());
    Keeper keeper(std::move(start));
    keeper.Run();
    std::_Exit(0);
  } catch (const std::exception& error) {
    log.Error("cannot go on: {}", error.what());
    std::_Exit(1);
  }
}

}  // namespace graceful
