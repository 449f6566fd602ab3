// How much the log costs: its lines a second beside a bare loop of write(2) with lines of the same
// size, in turn. `bazel run //reload:log_benchmark`, and --help.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reload/log.h"
#include "signals/check.h"
#include "signals/unique_fd.h"
#include "signals/version.h"

namespace graceful {
namespace {

constexpr std::string_view kText = "worker 4105 serves, generation 12; 64 connections, 0 closed";

struct Options {
  int rounds = 9;
  int lines = 100'000;
  std::string folder = std::filesystem::temp_directory_path();
  bool json = false;
};

double LinesPerSecond(int lines, const auto& write_one) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < lines; ++i) write_one();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return lines / took.count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

UniqueFd OpenEmpty(const std::string& path) {
  return UniqueFd(Check(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600), "open", path));
}

// What one line of the log looks like, to write as many bytes without it.
std::string OneLine(const std::string& path) {
  Log(OpenEmpty(path).Get(), "keeper 0").Line("{}", kText);
  const UniqueFd file(Check(open(path.c_str(), O_RDONLY | O_CLOEXEC), "open", path));
  char bytes[512];
  const ssize_t size = Check(read(file.Get(), bytes, sizeof bytes), "read", path);
  return {bytes, static_cast<size_t>(size)};
}

int Run(const Options& options) {
  const std::string path = options.folder + "/log_benchmark." + std::to_string(getpid());
  const std::string line = OneLine(path);
  std::vector<double> bare;
  std::vector<double> logged;
  std::vector<double> ratios;
  for (int round = 0; round < options.rounds; ++round) {
    {
      const UniqueFd file = OpenEmpty(path);
      bare.push_back(LinesPerSecond(options.lines, [&] {
        Check(write(file.Get(), line.data(), line.size()), "write", path);
      }));
    }
    const UniqueFd file = OpenEmpty(path);
    const Log log(file.Get(), "keeper 0");
    logged.push_back(LinesPerSecond(options.lines, [&] { log.Line("{}", kText); }));
    ratios.push_back(logged.back() / bare.back());
  }
  unlink(path.c_str());
  if (options.json) {
    const nlohmann::ordered_json json = {{"rounds", options.rounds},
                                         {"line_bytes", line.size()},
                                         {"bare_per_second", Median(bare)},
                                         {"log_per_second", Median(logged)},
                                         {"ratio", Median(ratios)}};
    std::cout << json.dump(2) << "\n";
    return 0;
  }
  fmt::print(
      "{} rounds of {} lines of {} bytes, in turn, in {}; medians\n"
      "  write(2) alone  {:>10.0f} lines a second\n"
      "  the log         {:>10.0f} lines a second\n"
      "  ratio           {:>10.2f}\n",
      options.rounds, options.lines, line.size(), options.folder, Median(bare), Median(logged),
      Median(ratios));
  return 0;
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  graceful::Options options;
  CLI::App app("The log's lines a second beside a bare loop of write(2).", "log_benchmark");
  app.set_version_flag("--version", "log_benchmark " GRACEFUL_VERSION);
  app.add_option("--rounds", options.rounds, "of each, in turn")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--lines", options.lines, "in a round")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--folder", options.folder, "where the file is written")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  app.add_flag("--json", options.json, "for programs");
  CLI11_PARSE(app, argc, argv);
  try {
    return graceful::Run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "log_benchmark: {}\n", error.what());
    return 1;
  }
}
