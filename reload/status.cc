// What `ctl status --json` shows of a master (master.h).

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "reload/master.h"
#include "signals/version.h"

namespace graceful {

namespace {

nlohmann::json TasksJson(const TaskSeat& tasks) {
  const TaskStatus& status = tasks.Status();
  nlohmann::json workers = nlohmann::json::array();
  for (int i = 0; i < status.worker_num; ++i) {
    workers.push_back({{"worker", i},
                       {"pid", status.workers[i].pid.load()},
                       {"generation", status.workers[i].generation.load()}});
  }
  return {{"keeper", tasks.Keeper()},
          {"waiting", status.waiting.load()},
          {"running", status.running.load()},
          {"accepted", status.accepted.load()},
          {"done", status.done.load()},
          {"failed", status.failed.load()},
          {"retried", status.retried.load()},
          {"dead", status.dead.load()},
          {"refused", status.refused.load()},
          {"deaths", status.deaths.load()},
          {"workers", workers}};
}

}  // namespace

std::string Master::StatusJson() const {
  nlohmann::json slots = nlohmann::json::array();
  for (const auto& seat : seats_) {
    const SlotStatus& status = statuses_[seat->number];
    slots.push_back({{"slot", seat->number},
                     {"keeper", seat->keeper},
                     {"worker", status.worker.load()},
                     {"generation", status.generation.load()},
                     {"connections", status.connections.load()},
                     {"buffer_pages", status.buffer_pages.load()},
                     {"accepted", status.accepted.load()},
                     {"requests", status.requests.load()},
                     {"answered", status.answered.load()},
                     {"refused", status.refused.load()},
                     {"failed", status.failed.load()},
                     {"closed_by_client", status.closed_by_peer.load()},
                     {"closed_by_server", status.closed_by_server.load()},
                     {"deaths", status.deaths.load()},
                     {"rerun", status.rerun.load()},
                     {"given_up", status.given_up.load()}});
  }
  nlohmann::json json = {
      {"version", GRACEFUL_VERSION},
      {"master", getpid()},
      {"uptime_ms", ClockMs() - started_},
      {"listening", listeners_.Urls()},
      {"generation", code_.generation},
      {"handler", settings_.handler},
      {"state", stopping_ ? "stopping"
                : job_    ? "busy"
                          : "serving"},
      {"last", last_outcome_},
      {"log",
       {{"file", log_path_.empty() ? "-" : log_path_}, {"lost_lines", log_.Status().lost.load()}}},
      {"slots", slots}};
  if (tasks_.IsWanted()) json["tasks"] = TasksJson(tasks_);
  return json.dump();
}

}  // namespace graceful
