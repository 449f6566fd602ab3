#ifndef GRACEFUL_RELOAD_LOG_H_
#define GRACEFUL_RELOAD_LOG_H_

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace graceful {

// Writes one line an event: time, role, pid, text. A line is one write(2) to a descriptor opened
// with O_APPEND (or a terminal, or a pipe), so the lines of many processes don't mix.
class Log {
 public:
  // `role`: "master", "keeper 0", "worker 0". The descriptor is not owned.
  Log(int fd, std::string role) : fd_(fd), role_(std::move(role)) {}

  template <typename... Arguments>
  void Line(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    Write(fmt::format(format, std::forward<Arguments>(arguments)...));
  }

  // The same log under another role, for a child.
  Log As(std::string role) const { return Log(fd_, std::move(role)); }

  int Fd() const { return fd_; }

 private:
  void Write(std::string_view text) const;

  int fd_;
  std::string role_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_LOG_H_
