#ifndef GRACEFUL_RELOAD_HANDLER_H_
#define GRACEFUL_RELOAD_HANDLER_H_

// What a handler sees of the server: the only header that its source needs.
//
// A handler is a shared object. Each worker loads it with dlopen(3) after it was cloned, so a
// reload runs what the file holds then. It needs one function, and may have five:
//
//   #include "reload/handler.h"
//
//   void OnRequest(const graceful::Request& request, graceful::Response& response) {
//     response.body = "hello\n";
//   }
//
// One request at a time: a worker calls OnRequest() again only when it has returned. An
// exception becomes a 500 and a line in the log. What a handler keeps in memory is gone with its
// worker; what must outlive it belongs in a file, a database, or another process.
//
// Slow work is handed to the task workers (task_worker_num), which run OnTask():
//
//   void OnRequest(const graceful::Request& request, graceful::Response& response) {
//     response.Defer(request.worker.StartTask(request.body));
//   }
//   void OnTask(const graceful::Task& task, std::string& result) { result = Work(task.payload); }
//
// A task is accepted with the answer: when the client has it, the task is in the queue, and runs
// to its end whoever is killed, at least once.

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace graceful {

// Changes whenever the types below do. The server refuses a handler built for another one.
inline constexpr unsigned kHandlerInterface = 2;

// The worker process in which the handler runs.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual int Slot() const = 0;        // 0 to worker_num - 1, or to task_worker_num - 1
  virtual int Generation() const = 0;  // 1 at the server's start, more with each reload
  virtual bool IsTaskWorker() const { return false; }
  // The value of a setting by its name ("ledger_file"), as text; empty when it is not set.
  virtual std::string_view Setting(std::string_view name) const = 0;

  // Hands work over to the task workers. Returns the task's id, 16 hexadecimal digits. For
  // OnRequest() and OnFinish(): the task is put into the queue when they return, and the response
  // is sent once it is there (or later, see Response::Defer()). When it can't be, since the queue
  // is full (task_queue_max) or its disk, the client gets 503 instead, and when they throw, there
  // is no task. Several tasks of one request are accepted together or not at all.
  // Throws std::invalid_argument for a payload beyond task_max_size, std::logic_error elsewhere
  // and where there are no task workers.
  virtual std::string StartTask(std::string_view payload) const;
};

// What is known of a task.
enum class TaskState : uint8_t {
  kUnknown,  // it never was accepted, or finished so long ago that it is forgotten
  kWaiting,
  kRunning,
  kDone,
  kFailed,  // OnTask() threw
  kDead,    // it has killed task_attempts workers, or run for task_timeout as often
};
std::string_view TaskStateName(TaskState state);  // "waiting"

// A task to be run. Its views are valid until OnTask() returns.
struct Task {
  const Worker& worker;
  std::string_view id;  // the same however often it is run: what makes an effect happen once
  std::string_view payload;
  int attempt;  // 1, and one more for each worker that has died while it ran this task
};

// What became of a task, or is known of it by now.
struct TaskResult {
  std::string_view id;
  TaskState state;
  std::string_view text;  // what OnTask() made, or why it failed or is dead
};

struct Header {
  std::string_view name;
  std::string_view value;
};

// A whole request. Its views are valid until OnRequest() returns.
struct Request {
  const Worker& worker;
  std::string_view method;          // "GET"
  std::string_view target;          // "/sleep?ms=20", as it was sent
  std::span<const Header> headers;  // in the order in which they came
  std::string_view body;            // chunks already joined

  // The target up to the question mark.
  std::string_view Path() const { return target.substr(0, target.find('?')); }

  // The value of `name` in the query, not decoded; empty when it is not there.
  std::string_view Query(std::string_view name) const;

  // The value of the first header of that name, in any case; empty when there is none.
  std::string_view HeaderValue(std::string_view name) const;
};

inline constexpr char kPlainText[] = "text/plain; charset=utf-8";

// What to answer. The server adds Date, Content-Length and Connection.
struct Response {
  int status = 200;
  std::string content_type = kPlainText;  // none is sent when empty
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // Instead of an answer: this request is answered later, by OnFinish(), which runs when the task
  // has finished. That may be in another worker, after reloads and deaths: the request waits in
  // the slot. `task` is an id that StartTask() returned, now or for an earlier request.
  void Defer(std::string_view task) { deferred_to = task, until_finished = true; }

  // The same, but OnFinish() runs at once, with what is known of the task by now.
  void Ask(std::string_view task) { deferred_to = task, until_finished = false; }

  std::string deferred_to;  // empty: answered now
  bool until_finished = true;
};

inline std::string Worker::StartTask(std::string_view) const {
  throw std::logic_error("StartTask() is for OnRequest() and OnFinish()");
}

inline std::string_view TaskStateName(TaskState state) {
  constexpr std::string_view kNames[] = {"unknown", "waiting", "running", "done", "failed", "dead"};
  return kNames[static_cast<int>(state)];
}

inline std::string_view Request::Query(std::string_view name) const {
  const size_t mark = target.find('?');
  std::string_view rest =
      mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) return pair.substr(std::min(equals + 1, pair.size()));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

inline std::string_view Request::HeaderValue(std::string_view name) const {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
  for (const Header& header : headers) {
    if (header.name.size() != name.size()) continue;
    size_t i = 0;
    while (i < name.size() && lower(header.name[i]) == lower(name[i])) ++i;
    if (i == name.size()) return header.value;
  }
  return {};
}

}  // namespace graceful

extern "C" {

// Answers a request. Required.
void OnRequest(const graceful::Request& request, graceful::Response& response);

// Runs a task in a task worker. An exception is the task's failure, and what() its result. It may
// run again when a worker was killed that ran it: at least once. Needed for task_worker_num > 0.
void OnTask(const graceful::Task& task, std::string& result);

// Answers a request that was deferred, as OnRequest() does; it may defer it again. After a death
// it may run again. Optional: without it the answer is the text of the result, with status 200,
// or 500 for a task that failed or is dead, or 404 for one that is not known.
void OnFinish(const graceful::TaskResult& result, const graceful::Request& request,
              graceful::Response& response);

// Runs once in a new worker, a task worker too, before it gets its first request or task. An
// exception here stops the reload and leaves the old worker in its place. `worker_id` is the slot.
// Optional.
void OnWorkerStart(int worker_id, const graceful::Worker& worker);

// Runs once when the worker has answered its last request. Optional.
void OnWorkerStop();

// Says what the handler was built for; this header defines it, a handler need not.
[[gnu::used]] inline const unsigned graceful_handler_interface = graceful::kHandlerInterface;

}  // extern "C"

#endif  // GRACEFUL_RELOAD_HANDLER_H_
