#include "integration_tests/witness/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "integration_tests/witness/address.h"

namespace graceful {

namespace {

constexpr double kDefaultSeconds = 20;

// The text itself, or the contents of FILE for "@FILE".
std::string ReadText(const std::string& text) {
  if (!text.starts_with('@')) return text;
  const std::string path = text.substr(1);
  std::ifstream file(path, std::ios::binary);
  if (!file) throw CLI::ValidationError("cannot read '" + path + "'");
  return {std::istreambuf_iterator<char>(file), {}};
}

int ReadStatus(std::string_view text) {
  int status = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  if (error != std::errc() || end != text.data() + text.size() || status < 200 || status > 599) {
    throw CLI::ValidationError("'" + std::string(text) + "' is not a status from 200 to 599");
  }
  return status;
}

void ReadExpectation(const std::string& text, Options& options) {
  constexpr std::string_view kStatus = "status:";
  if (text == "echo") {
    options.expect_echo = true;
  } else if (text.starts_with(kStatus)) {
    options.expect_status = ReadStatus(text.substr(kStatus.size()));
  } else {
    options.expect_body = ReadText(text);
  }
}

// What the flags mean together.
void Complete(Options& options) {
  if (!options.seconds && !options.requests) options.seconds = kDefaultSeconds;
  const bool has_body = options.body || options.body_size > 0 || !options.ids.empty();
  if (options.method.empty()) options.method = has_body ? "POST" : "GET";
  if (options.expect_echo && !has_body) {
    throw CLI::ValidationError("--expect echo needs a --body or --body_size to be echoed");
  }
  if (!options.ids_file.empty() && options.ids.empty()) {
    throw CLI::ValidationError("--ids_file needs --ids PREFIX");
  }
  if (options.close && (options.pipeline > 1 || options.idle > 0)) {
    throw CLI::ValidationError("--close leaves nothing for --pipeline or --idle to do");
  }
  if (options.connections + options.idle == 0) {
    throw CLI::ValidationError("no connections: --connections and --idle are both 0");
  }
  try {
    ParseUrl(options.url);
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError(std::string("--url ") + error.what());
  }
}

}  // namespace

Options ParseOptions(int argc, char** argv) {
  Options options;
  std::string body;
  std::string expect;
  std::vector<std::string> allow;

  CLI::App app(
      "Keeps connections busy with requests and accounts for every single one.\n"
      "SIGINT and SIGTERM end the run early: requests under way are finished, then it reports.\n"
      "A line `tell` on the standard input has it tell its account so far, as JSON on a line of "
      "its standard error.\n"
      "Exit status: 0 when nothing was lost or wrong, 1 when something was, 2 for a wrong "
      "command line.\n",
      "witness");
  app.set_version_flag("--version", "witness 1.0");
  app.get_formatter()->column_width(34);

  app.add_option("--url", options.url, "http://HOST:PORT/PATH; IPv6 as http://[::1]:PORT/PATH")
      ->capture_default_str();
  app.add_option("--unix", options.unix_path, "Connect to this Unix socket instead");
  app.add_option("--connections", options.connections, "Connections to keep busy")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  app.add_option("--idle", options.idle,
                 "Additional connections that are used at the start and at the end, and rest "
                 "between; a line `use` on the standard input has each used once more")
      ->check(CLI::Range(0, 100'000));
  app.add_option("--seconds", options.seconds, "How long (20 unless --requests is given)")
      ->check(CLI::PositiveNumber);
  app.add_option("--requests", options.requests, "How many requests at most");
  app.add_option("--max_rate", options.max_rate, "Requests per second at most, on all connections")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--pipeline", options.pipeline, "Requests in one write")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--split_ms", options.split_ms, "Write in two halves, this many ms apart")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--timeout_ms", options.timeout_ms, "How long to wait for a response")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--reconnect,!--no_reconnect", options.reconnect,
               "Replace a connection that is lost (the default)");

  app.add_flag("--close", options.close,
               "One request a connection: each asks for Connection: close");

  app.add_option("--method", options.method, "POST with a body, else GET");
  auto* const text = app.add_option("--body", body, "TEXT or @FILE");
  auto* const size = app.add_option("--body_size", options.body_size,
                                    "This many random bytes; from 16 on unique in each request")
                         ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 30));
  app.add_option("--seed", options.seed, "Of the random bytes")->capture_default_str();
  auto* const ids =
      app.add_option("--ids", options.ids,
                     "Each body is a unique id PREFIX-N, each answer must be `done PREFIX-N`");
  text->excludes(size)->excludes(ids);
  size->excludes(ids);
  app.add_option("--expect", expect,
                 "echo: the body as sent; STRING or @FILE: this body; status:N: this status "
                 "(any 2xx with any body)")
      ->excludes(ids);
  app.add_option("--allow", allow, "A status that counts for itself instead of as wrong")
      ->delimiter(',');

  app.add_flag("--json", options.json, "Report as JSON");
  app.add_flag("--tally", options.tally,
               "Count the answers by their body's first 200 bytes, in the JSON: for a server that "
               "says who answers");
  app.add_option("--ids_file", options.ids_file,
                 "Write a line `answered ID` or `unanswered ID reason` for each");
  app.add_option("--timeline", options.timeline_file,
                 "Write a line `start_us end_us connection outcome` for each request, on the "
                 "clock CLOCK_MONOTONIC");
  try {
    app.parse(argc, argv);
    if (text->count() > 0) options.body = ReadText(body);
    if (!expect.empty()) ReadExpectation(expect, options);
    for (const std::string& status : allow) options.allow.insert(ReadStatus(status));
    Complete(options);
  } catch (const CLI::Success& help) {
    std::exit(app.exit(help));
  } catch (const CLI::ParseError& error) {
    std::cerr << "witness: " << error.what() << "; try --help\n";
    std::exit(2);
  }
  return options;
}

}  // namespace graceful
