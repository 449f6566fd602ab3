#include "reload/log.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "signals/check.h"

namespace graceful {

namespace {

constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
constexpr int kPriorities[] = {7, 6, 4, 3};  // of syslog(3)

LogStatus* MapStatus() {
  void* mapping =
      mmap(nullptr, sizeof(LogStatus), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) ThrowErrno(errno, "mmap");
  return static_cast<LogStatus*>(mapping);
}

// "2026-11-24T03:46:44.123+00:00". What is the same for a whole second is made once in it.
void AppendTime(fmt::memory_buffer& line) {
  struct Second {
    time_t second = -1;
    char date[32];
    char offset[8];
  };
  static thread_local Second last;
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != last.second) {
    tm local;
    localtime_r(&now.tv_sec, &local);
    strftime(last.date, sizeof last.date, "%Y-%m-%dT%H:%M:%S.", &local);
    char offset[8];
    strftime(offset, sizeof offset, "%z", &local);  // +0000
    *fmt::format_to_n(last.offset, sizeof last.offset - 1, "{:.3}:{}", offset, offset + 3).out = 0;
    last.second = now.tv_sec;
  }
  const int ms = static_cast<int>(now.tv_nsec / 1'000'000);
  const char digits[] = {char('0' + ms / 100), char('0' + ms / 10 % 10), char('0' + ms % 10)};
  line.append(last.date, last.date + std::strlen(last.date));
  line.append(digits, digits + sizeof digits);
  line.append(last.offset, last.offset + std::strlen(last.offset));
}

void AppendPadded(fmt::memory_buffer& line, std::string_view text, size_t width) {
  line.append(text.data(), text.data() + text.size());
  for (size_t i = text.size(); i < width; ++i) line.push_back(' ');
}

void AppendJson(fmt::memory_buffer& line, const char* level, const std::string& role, pid_t pid,
                std::string_view text) {
  fmt::memory_buffer time;
  AppendTime(time);
  const nlohmann::ordered_json json = {{"time", std::string_view(time.data(), time.size())},
                                       {"level", level},
                                       {"role", role},
                                       {"pid", pid},
                                       {"text", text}};
  // What is no UTF-8 is replaced: a handler may print anything.
  const std::string dumped =
      json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  line.append(dumped.data(), dumped.data() + dumped.size());
}

}  // namespace

Log::Log(int fd, std::string role, Style style)
    : fd_(fd), role_(std::move(role)), style_(style), status_(MapStatus()) {}

Log::Log(int fd, std::string role) : Log(fd, std::move(role), Style()) {}

Log Log::As(std::string role) const {
  Log log = *this;
  log.role_ = std::move(role);
  return log;
}

Log Log::On(int fd) const {
  Log log = *this;
  log.fd_ = fd;
  return log;
}

void Log::Said(pid_t pid, std::string_view text) const { Write(Level::kInfo, pid, text); }

void Log::Append(fmt::memory_buffer& line, Level level, pid_t pid, std::string_view text) const {
  const char* name = kNames[static_cast<int>(level)];
  if (style_.format == LogFormat::kJson) {
    AppendJson(line, name, role_, pid, text);
    return line.push_back('\n');
  }
  if (style_.format == LogFormat::kJournal) {
    line.push_back('<');
    line.push_back(static_cast<char>('0' + kPriorities[static_cast<int>(level)]));
    line.push_back('>');
  } else {
    AppendTime(line);
    line.push_back(' ');
    AppendPadded(line, name, 8);
  }
  AppendPadded(line, role_, 10);
  const fmt::format_int number(pid);
  for (size_t i = number.size(); i < 7; ++i) line.push_back(' ');
  line.append(number.data(), number.data() + number.size());
  line.push_back(' ');
  line.push_back(' ');
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    line.append(text.data(), text.data() + end);  // one event is one line
    line.push_back('\\');
    line.push_back('n');
  }
  line.append(text.data(), text.data() + text.size());
  line.push_back('\n');
}

void Log::Write(Level level, pid_t pid, std::string_view text) const {
  fmt::memory_buffer line;
  const uint64_t lost = status_->lost;
  const uint64_t untold = lost - status_->told;
  const bool torn = status_->torn;
  if (torn) line.push_back('\n');  // ends the half of a line that a full disk left
  if (untold > 0) {
    Append(line, Level::kError, getpid(),
           fmt::format("{} lines before this one could not be written: {}", untold,
                       std::strerror(status_->last_error)));
  }
  Append(line, level, pid, text);
  const ssize_t written = RetryInterrupted([&] { return write(fd_, line.data(), line.size()); });
  if (written == static_cast<ssize_t>(line.size())) {
    if (torn) status_->torn = false;
    if (untold > 0) status_->told = lost;
    return;
  }
  status_->last_error = written == -1 ? errno : ENOSPC;
  if (written > 0) status_->torn = line.data()[written - 1] != '\n';
  ++status_->lost;
}

bool IsJournal(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status;
  return stream != nullptr && fstat(fd, &status) == 0 &&
         fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

}  // namespace graceful
