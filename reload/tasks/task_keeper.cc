#include "reload/tasks/task_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reload/clock.h"
#include "reload/log_file.h"
#include "reload/master_signals.h"
#include "reload/output.h"
#include "reload/tasks/sqlite_task_store.h"
#include "reload/tasks/task_post.h"
#include "reload/tasks/task_queue.h"
#include "reload/tasks/task_staff.h"
#include "signals/check.h"
#include "signals/children.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

// How soon what could not be written is tried again.
constexpr int kWriteAgainMs = 1000;

// How many dead letters ctl is shown in one message.
constexpr size_t kShownDeadLetters = 500;

TaskQueue::Limits LimitsOf(const Settings& settings) {
  return {.tasks = settings.task_queue_max,
          .results = settings.task_result_max,
          .attempts = settings.task_attempts};
}

std::unique_ptr<TaskStore> OpenStore(const Settings& settings, TaskMemory* memory) {
  if (const std::string path = settings.TaskDatabase(); !path.empty()) {
    return std::make_unique<SqliteTaskStore>(path);
  }
  return std::make_unique<MemoryTaskStore>(*memory);
}

class TaskKeeper {
 public:
  explicit TaskKeeper(TaskKeeperStart start)
      : settings_(start.settings),
        database_(settings_.TaskDatabase()),
        status_(start.status),
        log_(std::move(start.log)),
        output_log_(log_.As("output tasks")),
        output_(output_log_),
        master_(std::move(start.channel)),
        signals_({SIGCHLD}),
        events_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        store_(OpenStore(settings_, start.memory)),
        queue_(*store_, LimitsOf(settings_)),
        post_(std::move(start.calls), events_.Get()),
        staff_(
            queue_, status_, events_.Get(), log_, [this](TaskId id) { finished_.push_back(id); },
            [this](const std::string& failure, int workers) { OnReplaced(failure, workers); }) {
    for (auto& [slot, inbox] : start.inboxes) post_.SetInbox(slot, std::move(inbox));
    if (start.again) post_.AskAll();
    for (const int fd : {master_.Get(), signals_.Get(), post_.Calls(), output_.Get()}) WatchFor(fd);
    if (queue_.Waiting() + queue_.DeadLetters() > 0) {
      log_.Line("{} tasks wait from before, {} dead letters", queue_.Waiting(),
                queue_.DeadLetters());
    }
    ShowStatus();
  }

  void Run() {
    while (!done_) {
      epoll_event events[32];
      const int count = epoll_wait(events_.Get(), events, 32, NextTimeout());
      if (count == -1 && errno != EINTR) ThrowErrno(errno, "epoll_wait");
      for (int i = 0; i < count; ++i) OnEvent(events[i].data.fd);
      TakeTurn();
    }
    output_.Read();
    output_.End();
  }

 private:
  struct Watcher {
    int slot;
    int fd;
  };

  void WatchFor(int fd) {
    epoll_event event = {EPOLLIN, {.fd = fd}};
    Check(epoll_ctl(events_.Get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }

  void OnEvent(int fd) {
    if (fd == master_.Get()) {
      HearMaster();
    } else if (fd == signals_.Get()) {
      OnChildrenEnded();
    } else if (fd == output_.Get()) {
      output_.Read();
    } else if (fd == post_.Calls()) {
      TakeCalls();
    } else {
      staff_.OnMessage(fd);  // or a desk's signal, or room in an inbox: TakeTurn() sees to these
    }
  }

  void OnChildrenEnded() {
    while (signals_.Read()) {
    }
    for (const Ended& ended : ReapChildren()) {
      output_.Read();
      output_.Ended(ended.pid);
      staff_.OnEnded(ended);
    }
  }

  void TakeTurn() {
    staff_.OnTime();
    staff_.TakeResults();
    Commit();
    post_.Flush();
    if (!stopping_ || database_.empty()) staff_.Deal();
    ShowStatus();
    if (stopping_) GoOnStopping();
  }

  // --- What slots want ----------------------------------------------------------------------

  void TakeCalls() {
    // A slot's inbox is told by the master, before the slot can say anything.
    const auto before = [this] {
      while (status_.slot_changes != slot_changes_ && !master_gone_) OnMasterMessage();
    };
    const auto on_call = [this](const TaskCall& call, std::string_view tasks) {
      OnCall(call, tasks);
    };
    if (post_.Receive(before, on_call)) return;
    epoll_ctl(events_.Get(), EPOLL_CTL_DEL, post_.Calls(), nullptr);
    slots_gone_ = true;
    if (master_gone_) Stop(Milliseconds(settings_.max_wait_time));
  }

  void OnCall(const TaskCall& call, std::string_view tasks) {
    if (call.tasks > 0 && !queue_.HasRoom(call.tasks)) {
      return Refuse(call, fmt::format("the task queue is full: {} tasks wait (task_queue_max)",
                                      queue_.Waiting()));
    }
    for (uint32_t i = 0; i < call.tasks; ++i) {
      TaskHead head;
      if (tasks.size() < sizeof head) break;
      std::memcpy(&head, tasks.data(), sizeof head);
      tasks.remove_prefix(sizeof head);
      queue_.Add(head.id, tasks.substr(0, head.size));
      tasks.remove_prefix(std::min<size_t>(head.size, tasks.size()));
    }
    calls_.push_back(call);
  }

  void Refuse(const TaskCall& call, std::string_view why) {
    status_.refused += call.tasks;
    post_.Tell(call.slot, {.task = call.task, .fd = call.fd, .refused = true}, why);
  }

  // The moment in which tasks are accepted: then, and not before, their slots are told so.
  void Commit() {
    if (queue_.HasChanges()) ++status_.commits;
    const std::string failure = queue_.Commit();
    if (failure != last_failure_) {
      if (!failure.empty()) {
        log_.Error("cannot write tasks: {}; they are refused", failure);
      } else {
        log_.Line("tasks can be written again");
      }
      last_failure_ = failure;
    }
    for (const TaskCall& call : std::exchange(calls_, {})) {
      if (call.tasks > 0 && !failure.empty()) {
        Refuse(call, "the task queue cannot be written: " + failure);
      } else {
        status_.accepted += call.tasks;
        Answer(call);
      }
    }
    for (const TaskId id : std::exchange(finished_, {})) {
      const auto [begin, end] = watchers_.equal_range(id);
      for (auto watcher = begin; watcher != end; ++watcher) {
        Tell(id, watcher->second.slot, watcher->second.fd);
      }
      watchers_.erase(begin, end);
    }
    queue_.ForgetOldResults();
  }

  void Answer(const TaskCall& call) {
    if (call.wait == TaskWait::kNone) return;
    const StoredTask* task = queue_.Find(call.task);
    const bool unfinished = task != nullptr && task->state == TaskState::kWaiting;
    if (call.wait == TaskWait::kFinished && unfinished) {
      watchers_.insert({call.task, {call.slot, call.fd}});
    } else {
      Tell(call.task, call.slot, call.fd);
    }
  }

  void Tell(TaskId id, int slot, int fd) {
    const StoredTask* task = queue_.Find(id);
    TaskNotice notice = {.task = id, .fd = fd, .state = TaskState::kUnknown};
    if (task == nullptr) return post_.Tell(slot, notice, "");
    notice.state = task->is_leased ? TaskState::kRunning : task->state;
    post_.Tell(slot, notice, task->result);
  }

  // --- What the master wants ----------------------------------------------------------------

  // What it has said by now, which may be nothing any more.
  void HearMaster() {
    pollfd waiting = {master_.Get(), POLLIN, 0};
    while (!master_gone_ && poll(&waiting, 1, 0) == 1) OnMasterMessage();
  }

  void OnMasterMessage() {
    std::optional<Message> message = master_.Receive();
    if (!message) {
      log_.Warning("the master has gone: going on until the slots have, too");
      master_gone_ = true;
      epoll_ctl(events_.Get(), EPOLL_CTL_DEL, master_.Get(), nullptr);
      if (slots_gone_) Stop(Milliseconds(settings_.max_wait_time));
    } else if (message->what == "reload") {
      Reload(*message);
    } else if (message->what == "reopen") {
      if (!message->fds.empty()) Redirect(log_.Fd(), message->fds[0]);
      master_.Send({.what = "reopened"});
    } else if (message->what == "slot") {
      ++slot_changes_;
      post_.SetInbox(message->number,
                     message->fds.empty() ? UniqueFd() : std::move(message->fds[0]));
    } else if (message->what == "stop") {
      Stop(static_cast<uint32_t>(message->number));
    } else if (!message->fds.empty()) {
      const Channel ctl(std::move(message->fds[0]));
      OnCommand(message->what, message->text, ctl);
    }
  }

  void Reload(Message& message) {
    if (message.fds.empty()) return OnReplaced("no descriptor is left (ulimit -n)", 0);
    const auto code = std::make_shared<TaskStaff::Code>(
        TaskStaff::Code{std::move(message.fds[0]), DecodeSettings(message.text), message.number});
    queue_.SetLimits(LimitsOf(code->settings));
    staff_.Replace(code);
  }

  void OnReplaced(const std::string& failure, int workers) {
    if (failure.empty()) {
      master_.Send({.what = "replaced", .number = workers});
    } else {
      master_.Send({.what = "failed", .text = failure, .number = workers});
    }
  }

  void OnCommand(const std::string& what, const std::string& which, const Channel& ctl) {
    if (what == "tasks") {
      ctl.Send({.what = "ok", .text = Describe()});
      return;
    }
    std::vector<TaskId> ids;
    if (which == "all") {
      for (const StoredTask* task : queue_.Dead()) ids.push_back(task->id);
    } else if (const auto id = ParseTaskId(which)) {
      ids.push_back(*id);
    }
    const auto count = std::count_if(ids.begin(), ids.end(), [&](TaskId id) {
      return what == "retry" ? queue_.Retry(id) : queue_.Drop(id);
    });
    if (count == 0 && which != "all") {
      ctl.Send({.what = "error", .text = "'" + which + "' is no dead letter; see `ctl tasks`"});
      return;
    }
    const std::string outcome = fmt::format(
        "{} dead letters {}", count, what == "retry" ? "wait in the queue again" : "forgotten");
    log_.Line("{}", outcome);
    ctl.Send({.what = "ok", .text = outcome});
  }

  std::string Describe() const {
    nlohmann::json workers = nlohmann::json::array();
    for (const TaskStaff::Row& row : staff_.Rows()) {
      workers.push_back({{"worker", row.number},
                         {"pid", row.pid},
                         {"generation", row.generation},
                         {"running", row.running == 0 ? "" : TaskIdText(row.running)},
                         {"for_ms", row.for_ms},
                         {"done", row.done}});
    }
    nlohmann::json dead = nlohmann::json::array();
    for (const StoredTask* task : queue_.Dead()) {
      if (dead.size() == kShownDeadLetters) break;
      dead.push_back({{"id", TaskIdText(task->id)},
                      {"attempts", task->attempts},
                      {"size", task->payload.size()},
                      {"reason", task->result}});
    }
    const nlohmann::json json = {{"queue", settings_.task_queue},
                                 {"keeper", getpid()},
                                 {"waiting", Waiting()},
                                 {"running", staff_.Running()},
                                 {"accepted", status_.accepted.load()},
                                 {"done", status_.done.load()},
                                 {"failed", status_.failed.load()},
                                 {"retried", status_.retried.load()},
                                 {"refused", status_.refused.load()},
                                 {"deaths", status_.deaths.load()},
                                 {"dead", queue_.DeadLetters()},
                                 {"workers", workers},
                                 {"dead_letters", dead}};
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  // --- The end ------------------------------------------------------------------------------

  void Stop(uint32_t ms) {
    if (stopping_) return;
    stopping_ = true;
    stop_by_ = std::max(1u, ClockMs() + ms);
    unfinished_ = queue_.Unfinished();
    if (unfinished_ == 0) return;
    if (database_.empty()) {
      log_.Line("finishing {} tasks", unfinished_);
    } else {
      log_.Line("finishing the running tasks; the others wait in {}", database_);
    }
  }

  void GoOnStopping() {
    const bool is_over = Passed(stop_by_, ClockMs());
    if (is_over) {
      staff_.KillAll();
    } else if (queue_.Unfinished() == 0 || !database_.empty()) {
      staff_.Retire();
    }
    if (!staff_.IsEmpty()) return;
    Commit();
    ShowStatus();
    std::string outcome;
    if (const size_t left = queue_.Unfinished(); left == 0) {
      if (unfinished_ > 0) outcome = fmt::format("{} tasks finished", unfinished_);
    } else if (!database_.empty()) {
      outcome = fmt::format("{} tasks wait in {} for the next start", left, database_);
    } else {
      outcome = fmt::format("{} of {} tasks could not be finished in max_wait_time and are lost",
                            left, unfinished_);
    }
    if (const size_t dead = queue_.DeadLetters(); dead > 0) {
      outcome += fmt::format("{}{} dead letters {}", outcome.empty() ? "" : ", ", dead,
                             database_.empty() ? "are lost" : "are kept");
    }
    if (!outcome.empty()) log_.Line("{}", outcome);
    if (!master_gone_) master_.Send({.what = "stopped", .text = outcome});
    done_ = true;
  }

  // --- State --------------------------------------------------------------------------------

  int NextTimeout() const {
    int next = staff_.NextTimeout();
    const auto consider = [&next](int ms) { next = next == -1 ? ms : std::min(next, ms); };
    if (!last_failure_.empty() && queue_.HasChanges()) consider(kWriteAgainMs);
    if (stopping_) consider(std::max(0, static_cast<int32_t>(stop_by_ - ClockMs())));
    return next;
  }

  size_t Waiting() const { return queue_.Unfinished() - staff_.Running(); }

  void ShowStatus() {
    const auto show = [](std::atomic<uint64_t>& place, uint64_t value) {
      place.store(value, std::memory_order_relaxed);
    };
    const size_t running = staff_.Running();
    show(status_.running, running);
    show(status_.waiting, queue_.Unfinished() - std::min(running, queue_.Unfinished()));
    show(status_.dead, queue_.DeadLetters());
  }

  const Settings settings_;
  const std::string database_;  // its path; empty for a queue in memory
  TaskStatus& status_;
  const Log log_;
  const Log output_log_;
  Output output_;  // what handlers print
  Channel master_;
  SignalFd signals_;
  UniqueFd events_;
  std::unique_ptr<TaskStore> store_;
  TaskQueue queue_;
  TaskPost post_;
  TaskStaff staff_;
  std::vector<TaskCall> calls_;   // taken since the last commit
  std::vector<TaskId> finished_;  // since the last commit
  std::unordered_multimap<TaskId, Watcher> watchers_;
  std::string last_failure_;   // of a commit
  uint32_t slot_changes_ = 0;  // that we have heard of
  bool master_gone_ = false;
  bool slots_gone_ = false;
  bool stopping_ = false;
  uint32_t stop_by_ = 0;
  size_t unfinished_ = 0;  // when the stop began
  bool done_ = false;
};

}  // namespace

void RunTaskKeeper(TaskKeeperStart start) {
  // Descriptors 1 and 2 are for what handlers print; the log gets a number of its own.
  const UniqueFd log_fd(fcntl(start.log.Fd(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  const Channel master(UniqueFd(fcntl(start.channel.Get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)));
  const Log log = start.log.As("tasks").On(log_fd.Get());
  start.log = log;
  try {
    LeaveSignalsToMaster();
    prctl(PR_SET_NAME, "tasks");
    TaskKeeper(std::move(start)).Run();
    std::_Exit(0);
  } catch (const std::exception& error) {
    log.Error("cannot go on: {}", error.what());
    if (master) master.Send({.what = "failed", .text = error.what()});
    std::_Exit(1);
  }
}

}  // namespace graceful
