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
#include "reload/version.h"

namespace graceful {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

struct Options {
  std::string socket;
  int port = 0;
  bool json = false;
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
Message Command(const Options& options, const std::string& what) {
  const std::string path = FindSocket(options);
  const Channel server = ConnectToControl(path);
  server.Send({.what = what});
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
  const CLI::App* stop = app.add_subcommand("stop", "finish every request, then end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : kUsage;
  }
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
