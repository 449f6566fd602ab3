// Talks to a running server: `bazel run //reload:ctl -- status`, and `--help` for the others.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reload/channel.h"
#include "reload/control_socket.h"
#include "reload/nearest_word.h"
#include "signals/version.h"

namespace graceful {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

struct Options {
  std::string socket;
  int port = 0;
  bool json = false;
  std::string retry;
  std::string drop;
};

// The socket that was named, or that of the only server there is.
std::string FindSocket(const Options& options) {
  if (!options.socket.empty()) return options.socket;
  if (options.port != 0) return DefaultControlPath(std::to_string(options.port));
  std::vector<std::string> alive;
  for (const std::string& path : FindControlSockets()) {
    try {
      ConnectToControl(path);
      alive.push_back(path);
    } catch (const std::exception&) {
      // left from a server that was killed
    }
  }
  if (alive.size() == 1) return alive.front();
  if (alive.empty()) {
    throw std::runtime_error(
        "no server found; start one, or name its socket with --control_socket");
  }
  std::string text = "several servers run; choose one:";
  for (const std::string& path : alive) text += "\n  --control_socket " + path;
  throw std::runtime_error(text);
}

// Sends a command and waits for its outcome, however long that takes.
Message Command(const Options& options, const std::string& what, const std::string& text = "") {
  const std::string path = FindSocket(options);
  const Channel server = ConnectToControl(path);
  server.Send({.what = what, .text = text});
  std::optional<Message> answer = server.Receive();
  if (!answer) throw std::runtime_error("the server at " + path + " ended without an answer");
  return std::move(*answer);
}

int PrintOutcome(const Message& answer) {
  const bool ok = answer.what == "ok";
  fmt::print(ok ? stdout : stderr, "{}{}\n", ok ? "" : "failed: ", answer.text);
  return ok ? 0 : kFailure;
}

void PrintTable(const nlohmann::json& status) {
  fmt::print("master {}, {}, generation {}, up {:.1f} s\n", status["master"].get<int>(),
             status["state"].get<std::string>(), status["generation"].get<int>(),
             status["uptime_ms"].get<double>() / 1000);
  for (const auto& url : status["listening"]) {
    fmt::print("listening on {}\n", url.get<std::string>());
  }
  fmt::print("handler {}\n", status["handler"].get<std::string>());
  if (!status["last"].get<std::string>().empty()) {
    fmt::print("last: {}\n", status["last"].get<std::string>());
  }
  if (const auto lost = status["log"]["lost_lines"].get<uint64_t>(); lost > 0) {
    fmt::print("log: {} lines could not be written to {}\n", lost,
               status["log"]["file"].get<std::string>());
  }
  constexpr const char* kColumns[] = {"slot",        "keeper",          "worker",  "generation",
                                      "connections", "answered",        "refused", "failed",
                                      "deaths",      "closed_by_server"};
  std::string header;
  for (const char* column : kColumns) header += fmt::format("{}  ", column);
  fmt::print("\n{}\n", header);
  for (const auto& slot : status["slots"]) {
    for (const char* column : kColumns) {
      fmt::print("{:>{}}  ", slot[column].get<uint64_t>(), std::string_view(column).size());
    }
    fmt::print("\n");
  }
  if (!status.contains("tasks")) return;
  const auto& tasks = status["tasks"];
  fmt::print("\ntasks: ");
  for (const char* count : {"waiting", "running", "done", "failed", "retried", "dead", "refused"}) {
    fmt::print("{} {}  ", tasks[count].get<uint64_t>(), count);
  }
  fmt::print("\n");
}

void PrintTaskTable(const nlohmann::json& tasks) {
  fmt::print("queue {}\n", tasks["queue"].get<std::string>());
  for (const char* count : {"waiting", "running", "done", "failed", "retried", "dead", "refused"}) {
    fmt::print("{} {}  ", tasks[count].get<uint64_t>(), count);
  }
  fmt::print("\n\n{:>6}  {:>7}  {:>10}  {:>8}  {}\n", "worker", "pid", "generation", "done",
             "running");
  for (const auto& worker : tasks["workers"]) {
    const std::string id = worker["running"];
    fmt::print(
        "{:>6}  {:>7}  {:>10}  {:>8}  {}\n", worker["worker"].get<int>(), worker["pid"].get<int>(),
        worker["generation"].get<int>(), worker["done"].get<uint64_t>(),
        id.empty() ? "-" : fmt::format("{} for {} ms", id, worker["for_ms"].get<uint64_t>()));
  }
  if (tasks["dead_letters"].empty()) return;
  fmt::print("\ndead letters; run them again with --retry ID, or all; forget them with --drop\n");
  for (const auto& task : tasks["dead_letters"]) {
    fmt::print("{}  {} attempts, {} bytes: {}\n", task["id"].get<std::string>(),
               task["attempts"].get<int>(), task["size"].get<uint64_t>(),
               task["reason"].get<std::string>());
  }
  const uint64_t more = tasks["dead"].get<uint64_t>() - tasks["dead_letters"].size();
  if (more > 0) fmt::print("and {} more\n", more);
}

int PrintTasks(const Options& options) {
  if (!options.retry.empty()) return PrintOutcome(Command(options, "retry", options.retry));
  if (!options.drop.empty()) return PrintOutcome(Command(options, "drop", options.drop));
  const Message answer = Command(options, "tasks");
  if (answer.what != "ok") return PrintOutcome(answer);
  const nlohmann::json tasks = nlohmann::json::parse(answer.text);
  if (options.json) {
    fmt::print("{}\n", tasks.dump(2));
  } else {
    PrintTaskTable(tasks);
  }
  return 0;
}

// What was typed is no command: the nearest one, if any is near.
std::string Suggestion(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  for (const std::string& word : words) {
    const std::string nearest = NearestWord(word, names);
    if (!nearest.empty()) return ", did you mean " + nearest + "?";
  }
  return "";
}

int PrintStatus(const Options& options) {
  const Message answer = Command(options, "status");
  if (answer.what != "ok") return PrintOutcome(answer);
  const nlohmann::json status = nlohmann::json::parse(answer.text);
  if (options.json) {
    fmt::print("{}\n", status.dump(2));
  } else {
    PrintTable(status);
  }
  return 0;
}

int Run(int argc, char** argv) {
  Options options;
  CLI::App app("Talks to a running server and waits for the outcome.", "ctl");
  app.set_version_flag("--version", "ctl " GRACEFUL_VERSION);
  app.add_option("--control_socket", options.socket,
                 "the server's control socket; default: that of the only server there is");
  app.add_option("--port", options.port, "the port of a server with no control_socket set");
  app.require_subcommand(1);
  app.fallthrough();
  CLI::App* status = app.add_subcommand("status", "what runs, and what it has counted");
  status->add_flag("--json", options.json, "all of it, for programs");
  const CLI::App* reload =
      app.add_subcommand("reload", "replace the workers one after another with new code");
  const CLI::App* reopen =
      app.add_subcommand("reopen", "open the log file again, after it was renamed");
  const CLI::App* reload_tasks = app.add_subcommand(
      "reload-tasks", "replace the task workers one after another with new code");
  CLI::App* tasks = app.add_subcommand("tasks", "what waits, what runs where, the dead letters");
  tasks->add_flag("--json", options.json, "all of it, for programs");
  CLI::Option* retry = tasks->add_option("--retry", options.retry,
                                         "put a dead letter back into the queue: its id, or all");
  tasks->add_option("--drop", options.drop, "forget a dead letter: its id, or all")
      ->excludes(retry);
  const CLI::App* stop = app.add_subcommand("stop", "finish every request, then end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);
    const std::string what = error.what();
    const std::string suggestion = Suggestion(app, {argv + 1, argv + argc});
    fmt::print(stderr, "ctl: {}{}; try --help\n", what.substr(0, what.find('\n')), suggestion);
    return kUsage;
  }
  if (reload_tasks->parsed()) return PrintOutcome(Command(options, "reload-tasks"));
  if (tasks->parsed()) return PrintTasks(options);
  if (reload->parsed()) return PrintOutcome(Command(options, "reload"));
  if (reopen->parsed()) return PrintOutcome(Command(options, "reopen"));
  if (stop->parsed()) return PrintOutcome(Command(options, "stop"));
  return PrintStatus(options);
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  if (const char* directory = std::getenv("BUILD_WORKING_DIRECTORY")) {
    std::error_code stay_here;
    std::filesystem::current_path(directory, stay_here);
  }
  try {
    return graceful::Run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "ctl: {}\n", error.what());
    return graceful::kFailure;
  }
}
