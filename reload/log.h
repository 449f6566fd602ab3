#ifndef GRACEFUL_RELOAD_LOG_H_
#define GRACEFUL_RELOAD_LOG_H_

#include <fmt/format.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace graceful {

enum class Level : uint8_t { kDebug, kInfo, kWarning, kError };

enum class LogFormat : uint8_t {
  kText,     // 2026-11-24T03:46:44.123+00:00 info    keeper 0       4102  worker 4105 serves
  kJson,     // {"time":"...","level":"info","role":"keeper 0","pid":4102,"text":"..."}
  kJournal,  // <6>keeper 0       4102  worker 4105 serves: systemd's journal adds the time
};

// What could not be written, in memory that all processes of a server share.
struct LogStatus {
  std::atomic<uint64_t> lost;   // lines
  std::atomic<uint64_t> told;   // of them, those that a later line has spoken of
  std::atomic<int> last_error;  // errno
  std::atomic<bool> torn;       // the file ends in half a line
};

// Writes one line an event. A line is one write(2) to a descriptor opened with O_APPEND (or a
// terminal, a pipe, the journal), so the lines of many processes don't mix.
//
// What can't be written (a full disk) is counted and stops nobody; the first line that can be
// written again is preceded by one that says how many are missing.
class Log {
 public:
  struct Style {
    Level level = Level::kInfo;  // lines of lower levels are left out
    LogFormat format = LogFormat::kText;
  };

  // `role`: "master", "keeper 0", "worker 0". The descriptor is not owned.
  Log(int fd, std::string role, Style style);
  Log(int fd, std::string role);  // text, from kInfo on

  template <typename... Arguments>
  void Debug(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    Add(Level::kDebug, format, std::forward<Arguments>(arguments)...);
  }
  template <typename... Arguments>
  void Line(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    Add(Level::kInfo, format, std::forward<Arguments>(arguments)...);
  }
  template <typename... Arguments>
  void Warning(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    Add(Level::kWarning, format, std::forward<Arguments>(arguments)...);
  }
  template <typename... Arguments>
  void Error(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    Add(Level::kError, format, std::forward<Arguments>(arguments)...);
  }

  // A line that another process said, whatever the level.
  void Said(pid_t pid, std::string_view text) const;

  // The same log under another role, for a process of its own: call it there, since the pid of the
  // caller is what its lines will show. And the same on another descriptor.
  Log As(std::string role) const;
  Log On(int fd) const;

  int Fd() const { return fd_; }
  const LogStatus& Status() const { return *status_; }

 private:
  template <typename... Arguments>
  void Add(Level level, fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    if (level < style_.level) return;
    Entry entry = Begin(level, pid_);
    fmt::format_to(std::back_inserter(entry.bytes), format, std::forward<Arguments>(arguments)...);
    Finish(entry);
  }

  // A line in the making: what goes before the text, then the text.
  struct Entry {
    Level level = Level::kInfo;
    pid_t pid = 0;
    size_t text = 0;  // where it begins
    uint64_t lost = 0;
    bool tells = false;  // a line before it says how many are missing
    bool mends = false;  // the line before it was torn
    fmt::memory_buffer bytes;
  };

  Entry Begin(Level level, pid_t pid) const;
  void BeginLine(Entry& entry) const;
  void EndLine(Entry& entry) const;
  void Finish(Entry& entry) const;

  int fd_;
  std::string role_;
  pid_t pid_;
  std::string head_;  // both, as each line has them
  Style style_;
  LogStatus* status_;  // never unmapped: there is one log in a process's life
};

// Whether the descriptor leads to systemd's journal, which takes a priority before each line
// (sd-daemon(3)) and knows the time (systemd.exec(5), $JOURNAL_STREAM).
bool IsJournal(int fd);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_LOG_H_
