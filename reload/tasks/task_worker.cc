#include "reload/tasks/task_worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>

#include "reload/child_process.h"
#include "reload/loaded_handler.h"
#include "reload/master_signals.h"
#include "reload/worker_identity.h"
#include "signals/check.h"

namespace graceful {

namespace {

class TaskWorkerIdentity : public WorkerIdentity {
  using WorkerIdentity::WorkerIdentity;
  bool IsTaskWorker() const override { return true; }
};

class TaskWorker {
 public:
  explicit TaskWorker(const TaskWorkerStart& start)
      : desk_(start.desk),
        identity_(start.number, start.generation, start.settings),
        handler_(start.image) {
    handler_.RequireTasks(start.settings.task_worker_num);
    handler_.Start(identity_);
  }

  void Run() {
    while (!desk_.Leaving()) {
      if (const auto work = desk_.Begin()) {
        RunTask(*work);
      } else {
        desk_.Wait();
      }
    }
    handler_.Stop();
  }

 private:
  void RunTask(const Desk::Work& work) {
    const std::string id = TaskIdText(work.id);
    std::string result;
    try {
      handler_.RunTask({identity_, id, work.payload, work.attempts + 1}, result);
    } catch (const std::exception& error) {
      return desk_.Finish(false, error.what());
    } catch (...) {
      return desk_.Finish(false, "it threw what is no std::exception");
    }
    desk_.Finish(true, result);
  }

  Desk& desk_;
  TaskWorkerIdentity identity_;
  LoadedHandler handler_;
};

std::unique_ptr<TaskWorker> Load(const TaskWorkerStart& start) {
  std::string reason;
  try {
    return std::make_unique<TaskWorker>(start);
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
    reason = "OnWorkerStart threw what is no std::exception";
  }
  start.channel.Send({.what = "failed", .text = reason, .pid = getpid()});
  std::_Exit(1);
}

}  // namespace

void RunTaskWorker(const TaskWorkerStart& start) {
  try {
    LeaveSignalsToMaster();
    CloseAllBut({start.channel.Get(), start.image, start.desk.WorkerFd(), start.desk.KeeperFd()});
    prctl(PR_SET_NAME, ("tasks " + std::to_string(start.number)).c_str());
    // Without its keeper nobody would hear of its results.
    Check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    if (getppid() != start.keeper) std::_Exit(1);
    std::setvbuf(stdout, nullptr, _IONBF, 0);  // as in RunWorker()
    const std::unique_ptr<TaskWorker> worker = Load(start);
    start.channel.Send({.what = "ready", .pid = getpid()});
    worker->Run();
    std::exit(0);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cannot go on: {}\n", error.what());
    std::_Exit(1);
  }
}

}  // namespace graceful
