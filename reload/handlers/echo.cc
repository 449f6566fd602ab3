// The default handler: small answers that tests and readers can ask for.
//
//   GET  /            hello
//   POST /echo        the body as it was sent
//   GET  /sleep?ms=N  "slept", after N milliseconds in the handler
//   GET  /whoami      who answers: pid, slot, generation, version
//   POST /task?ms=N   what a task worker made of the body (the same), after N milliseconds there;
//                     with &async=1: 202 and the task's id, once the task is accepted
//   GET  /task/ID     what is known of that task
//   POST /ledger?ms=N the body is an id: writes "begin ID", works for N milliseconds (5), writes
//                     "end ID", answers "done ID"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "reload/handler.h"
#include "signals/check.h"
#include "signals/unique_fd.h"

// Compiled in, so that two builds can be told apart.
#ifndef ECHO_VERSION
#define ECHO_VERSION "1"
#endif

namespace {

using graceful::Request;
using graceful::Response;

constexpr int kLongestSleepMs = 60'000;
constexpr int kLedgerWorkMs = 5;
constexpr std::string_view kTaskPath = "/task/";

graceful::UniqueFd ledger;

int Milliseconds(std::string_view text) {
  int ms = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  return error == std::errc() && end == text.data() + text.size() ? ms : -1;
}

bool Bearable(int ms) { return ms >= 0 && ms <= kLongestSleepMs; }
constexpr std::string_view kBearable = "ms must be a number from 0 to 60000\n";

void Sleep(const Request& request, Response& response) {
  const int ms = Milliseconds(request.Query("ms"));
  if (!Bearable(ms)) {
    response.status = 400;
    response.body = kBearable;
    return;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  response.body = "slept\n";
}

void WhoAmI(const Request& request, Response& response) {
  response.content_type = "application/json";
  response.body =
      fmt::format("{{\"pid\": {}, \"slot\": {}, \"generation\": {}, \"version\": \"{}\"}}\n",
                  getpid(), request.worker.Slot(), request.worker.Generation(), ECHO_VERSION);
}

// One write(2) a line, to a file opened with O_APPEND: lines of several workers don't mix.
void Write(std::string_view word, std::string_view id) {
  const std::string line = fmt::format("{} {}\n", word, id);
  graceful::Check(write(ledger.Get(), line.data(), line.size()), "write", "ledger_file");
}

void Ledger(const Request& request, Response& response) {
  const bool one_line = !request.body.empty() && request.body.find('\n') == std::string_view::npos;
  const std::string_view text = request.Query("ms");
  const int ms = text.empty() ? kLedgerWorkMs : Milliseconds(text);
  if (!ledger || !one_line || !Bearable(ms)) {
    response.status = ledger ? 400 : 404;
    response.body = !ledger     ? "ledger_file is not set\n"
                    : !one_line ? "the body must be an id, one line\n"
                                : kBearable;
    return;
  }
  Write("begin", request.body);
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  Write("end", request.body);
  response.body = fmt::format("done {}", request.body);
}

// A task's payload is its milliseconds, a space, and what it returns.
void StartTask(const Request& request, Response& response) {
  const std::string_view text = request.Query("ms");
  const int ms = text.empty() ? 0 : Milliseconds(text);
  if (request.worker.Setting("task_worker_num") == "0" || !Bearable(ms)) {
    response.status = Bearable(ms) ? 404 : 400;
    response.body = Bearable(ms) ? "there are no task workers: task_worker_num is 0\n" : kBearable;
    return;
  }
  std::string id;
  try {
    id = request.worker.StartTask(fmt::format("{} {}", ms, request.body));
  } catch (const std::invalid_argument& error) {
    response.status = 413;
    response.body = fmt::format("{}\n", error.what());
    return;
  }
  if (request.Query("async") != "1") return response.Defer(id);
  response.status = 202;
  response.headers.emplace_back("Location", "/task/" + id);
  response.body = id + "\n";
}

void AskForTask(const Request& request, Response& response) {
  const std::string_view id = request.Path().substr(kTaskPath.size());
  if (id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
      request.worker.Setting("task_worker_num") != "0") {
    return response.Ask(id);
  }
  response.status = 404;
  response.body = "not found\n";
}

}  // namespace

void OnTask(const graceful::Task& task, std::string& result) {
  const size_t space = task.payload.find(' ');
  std::this_thread::sleep_for(
      std::chrono::milliseconds(Milliseconds(task.payload.substr(0, space))));
  if (ledger) Write("task", fmt::format("{} {}", task.id, ECHO_VERSION));
  result = task.payload.substr(space + 1);
}

void OnFinish(const graceful::TaskResult& result, const Request& request, Response& response) {
  using graceful::TaskState;
  if (request.method == "POST" && result.state == TaskState::kDone) {
    response.body = result.text;
  } else if (request.method == "POST") {
    response.status = 500;
    response.body = fmt::format("the task is {}: {}\n", TaskStateName(result.state), result.text);
  } else if (result.state == TaskState::kUnknown) {
    response.status = 404;
    response.body = "no such task, or its result is forgotten\n";
  } else {
    response.headers.emplace_back("Task-State", TaskStateName(result.state));
    response.body = result.text;
  }
}

void OnWorkerStart(int, const graceful::Worker& worker) {
  const std::string path(worker.Setting("ledger_file"));
  if (path.empty()) return;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  ledger.Reset(graceful::Check(open(path.c_str(), kFlags, 0640), "open ledger_file", path));
}

void OnWorkerStop() { ledger.Reset(); }

void OnRequest(const Request& request, Response& response) {
  const std::string_view path = request.Path();
  const bool get = request.method == "GET" || request.method == "HEAD";
  const bool post = request.method == "POST";
  if (path == "/" && get) {
    response.body = "hello\n";
  } else if (path == "/echo" && post) {
    response.body = request.body;
  } else if (path == "/sleep" && get) {
    Sleep(request, response);
  } else if (path == "/whoami" && get) {
    WhoAmI(request, response);
  } else if (path == "/task" && post) {
    StartTask(request, response);
  } else if (path.starts_with(kTaskPath) && get) {
    AskForTask(request, response);
  } else if (path == "/ledger" && post) {
    Ledger(request, response);
  } else {
    response.status = 404;
    response.body = "not found\n";
  }
}
