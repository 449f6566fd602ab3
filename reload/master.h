#ifndef GRACEFUL_RELOAD_MASTER_H_
#define GRACEFUL_RELOAD_MASTER_H_

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reload/channel.h"
#include "reload/control_socket.h"
#include "reload/listeners.h"
#include "reload/log.h"
#include "reload/service_manager.h"
#include "reload/settings.h"
#include "reload/slot.h"
#include "reload/tasks/task_seat.h"
#include "signals/children.h"
#include "signals/signal_fd.h"

namespace graceful {

// Decides: which slots there are, which code they run, when all ends. It touches no connection
// and runs no handler's code.
//
//   SIGTERM, SIGINT   stop: finish every request, then exit with 0
//   SIGQUIT           stop now
//   SIGUSR1           replace the workers, one slot after another
//   SIGUSR2           replace the task workers, one after another
//   SIGTTIN, SIGTTOU  one slot more, one fewer
//   SIGRTMIN          open the log file again, after a rotation
//   SIGHUP            with a terminal: as SIGTERM; without: read the configuration and reload
//
// One job at a time; the others wait. What ctl asks for are the same jobs, with an answer.
class Master {
 public:
  // `arguments`, `directory`: where the settings came from, to read them again. Throws when it
  // can't listen.
  Master(Settings settings, std::vector<std::string> arguments, std::filesystem::path directory,
         Log log);
  ~Master();

  // Starts the slots and waits until all of them serve. Throws std::runtime_error when one can't.
  void Start();

  // Serves until it is told to stop. Returns the exit status.
  int Run();

  // "http://127.0.0.1:8080"
  std::vector<std::string> Urls() const { return listeners_.Urls(); }

 private:
  enum class Kind { kStart, kReload, kReloadTasks, kReconfigure, kGrow, kShrink, kStop };

  // The task keeper's number among the slots that a job sees to.
  static constexpr int kTasks = -1;

  // A slot as the master sees it.
  struct Seat {
    int number;
    pid_t keeper = 0;    // 0: none now
    Channel channel;     // to the keeper
    UniqueFd inbox_in;   // connections are sent here
    UniqueFd inbox_out;  // and received there; kept, so that none is lost with a keeper
    uint32_t started = 0;
    uint32_t start_at = 0;  // when to try a keeper again
    bool leaving = false;
  };

  struct Job {
    Kind kind;
    std::vector<Channel> askers = {};  // ctl, waiting for the outcome
    std::deque<int> todo = {};         // slots to be told
    std::set<int> waiting = {};        // slots that were told and have not answered
    uint32_t started = 0;
    uint64_t closed_before = 0;
    int done = 0;
    int task_workers = 0;
  };

  // What new workers run.
  struct Code {
    std::shared_ptr<UniqueFd> image;
    Settings settings;
    int generation = 0;
  };

  void OneEvent();
  void OnEvent(int fd);
  void OnSignal(int number);
  void StopNow();
  void OnChildrenEnded();
  void OnKeeperEnded(Seat& seat, const Ended& ended);
  void OnKeeperMessage(Seat& seat);
  void OnTaskKeeperEnded(const Ended& ended);
  bool OnTaskKeeperMessage();
  void OnControlClient();
  void OnCommand(int fd);
  bool OnParkedListener(int fd);
  bool Deal();
  int NextTimeout() const;
  void OnTime();

  void Ask(Kind kind, Channel asker = Channel());
  void Begin(Job job);
  void BeginReload(const Settings& settings);
  void BeginReloadTasks();
  void BeginGrow();
  void BeginShrink();
  void BeginStop();
  void TellNext();
  void SlotDone(int slot);
  void SlotFailed(int slot, const std::string& reason);
  void Finish(bool ok, const std::string& text);
  Settings ReadConfigurationAgain();

  Seat& AddSeat();
  void StartKeeper(Seat& seat);
  [[noreturn]] void BecomeKeeper(Seat& seat, Channel channel);
  void TellToRun(const Channel& keeper, const Code& code);
  void TellTasks();
  void StartTaskKeeper();
  void AskTasks(Message& message, Channel client);
  void Park(int slot, bool parked);
  void WatchParked(bool watched);
  void KillAll();
  Seat* FindSeat(int slot);
  void Watch(int fd);
  void Unwatch(int fd);
  uint64_t ClosedByServer() const;
  std::string Outcome() const;
  std::string StatusJson() const;

  // reopen.cc
  void Reopen(Channel asker = Channel());
  void RedirectLog();
  void ReopenedIfAll();

  Settings settings_;
  const std::vector<std::string> arguments_;
  const std::filesystem::path directory_;
  const Log log_;
  const std::string log_path_;  // empty: standard error
  const bool has_terminal_;
  const uint32_t started_;
  ServiceManager manager_;
  SignalFd signals_;
  UniqueFd events_;
  Listeners listeners_;
  ControlSocket control_;
  std::map<int, Channel> clients_;
  TaskSeat tasks_;
  SlotStatus* statuses_;  // shared with keepers and workers, one for each possible slot
  std::vector<std::unique_ptr<Seat>> seats_;
  std::set<int> parked_;  // listeners of slots that were given up: the master accepts for them
  bool parked_watched_ = true;
  uint32_t watch_parked_at_ = 0;
  UniqueFd undealt_;  // accepted, while no slot has room for it
  size_t turn_ = 0;
  Code code_;       // what was accepted last
  Code task_code_;  // the same for task workers
  Code next_;       // what the job under way brings
  std::optional<Job> job_;
  std::deque<Job> queue_;
  std::string last_outcome_;
  std::set<int> reopening_;  // slots that have not opened the log again yet
  std::vector<Channel> reopen_askers_;
  std::optional<std::string> tasks_left_;  // what the task keeper said when it stopped
  bool stopping_ = false;
  uint32_t stop_by_ = 0;
  std::optional<int> exit_status_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_MASTER_H_
