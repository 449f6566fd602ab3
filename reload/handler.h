#ifndef GRACEFUL_RELOAD_HANDLER_H_
#define GRACEFUL_RELOAD_HANDLER_H_

// What a handler sees of the server: the only header that its source needs.
//
// A handler is a shared object. Each worker loads it with dlopen(3) after it was cloned, so a
// reload runs what the file holds then. It needs one function, and may have three:
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

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace graceful {

// Changes whenever the types below do. The server refuses a handler built for another one.
inline constexpr unsigned kHandlerInterface = 1;

// The worker process in which the handler runs.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual int Slot() const = 0;        // 0 to worker_num - 1
  virtual int Generation() const = 0;  // 1 at the server's start, one more with each reload
  // The value of a setting by its name ("ledger_file"), as text; empty when it is not set.
  virtual std::string_view Setting(std::string_view name) const = 0;
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
};

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

// Runs once in a new worker, before it gets its first request. An exception here stops the reload
// and leaves the old worker in its place. `worker_id` is the slot. Optional.
void OnWorkerStart(int worker_id, const graceful::Worker& worker);

// Runs once when the worker has answered its last request. Optional.
void OnWorkerStop();

// Says what the handler was built for; this header defines it, a handler need not.
[[gnu::used]] inline const unsigned graceful_handler_interface = graceful::kHandlerInterface;

}  // extern "C"

#endif  // GRACEFUL_RELOAD_HANDLER_H_
