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
constexpr const char* kColumns[] = {" debug   ", " info    ", " warning ", " error   "};
constexpr char kPriorities[] = {'7', '6', '4', '3'};  // of syslog(3)

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

std::string Head(const std::string& role, pid_t pid) {
  return fmt::format("{:<10}{:>7}  ", role, pid);
}

std::string ToJson(const char* level, const std::string& role, pid_t pid, std::string_view text) {
  fmt::memory_buffer time;
  AppendTime(time);
  const nlohmann::ordered_json json = {{"time", std::string_view(time.data(), time.size())},
                                       {"level", level},
                                       {"role", role},
                                       {"pid", pid},
                                       {"text", text}};
  // What is no UTF-8 is replaced: a handler may print anything.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void Append(fmt::memory_buffer& line, std::string_view text) {
  line.append(text.data(), text.data() + text.size());
}

// One event is one line: a newline in its text is written as \n.
void EscapeNewlines(fmt::memory_buffer& line, size_t from) {
  if (std::memchr(line.data() + from, '\n', line.size() - from) == nullptr) return;
  const std::string text(line.data() + from, line.size() - from);
  line.resize(from);
  for (const char c : text) Append(line, c == '\n' ? "\\n" : std::string_view(&c, 1));
}

}  // namespace

Log::Log(int fd, std::string role, Style style)
    : fd_(fd),
      role_(std::move(role)),
      pid_(getpid()),
      head_(Head(role_, pid_)),
      style_(style),
      status_(MapStatus()) {}

Log::Log(int fd, std::string role) : Log(fd, std::move(role), Style()) {}

Log Log::As(std::string role) const {
  Log log = *this;
  log.role_ = std::move(role);
  log.pid_ = getpid();
  log.head_ = Head(log.role_, log.pid_);
  return log;
}

Log Log::On(int fd) const {
  Log log = *this;
  log.fd_ = fd;
  return log;
}

void Log::Said(pid_t pid, std::string_view text) const {
  Entry entry = Begin(Level::kInfo, pid);
  Append(entry.bytes, text);
  Finish(entry);
}

Log::Entry Log::Begin(Level level, pid_t pid) const {
  Entry entry;
  entry.level = level;
  entry.pid = pid;
  entry.lost = status_->lost.load(std::memory_order_relaxed);
  const uint64_t untold = entry.lost - status_->told.load(std::memory_order_relaxed);
  entry.mends = status_->torn.load(std::memory_order_relaxed);
  entry.tells = untold > 0;
  if (entry.mends) entry.bytes.push_back('\n');
  if (entry.tells) {
    BeginLine(entry);
    fmt::format_to(std::back_inserter(entry.bytes),
                   "{} lines before this one could not be written: {}", untold,
                   std::strerror(status_->last_error));
    EndLine(entry);
  }
  BeginLine(entry);
  return entry;
}

void Log::BeginLine(Entry& entry) const {
  fmt::memory_buffer& line = entry.bytes;
  if (style_.format == LogFormat::kText) {
    AppendTime(line);
    Append(line, kColumns[static_cast<int>(entry.level)]);
  } else if (style_.format == LogFormat::kJournal) {
    const char priority[] = {'<', kPriorities[static_cast<int>(entry.level)], '>'};
    line.append(priority, priority + sizeof priority);
  }
  if (style_.format != LogFormat::kJson) {
    if (entry.pid == pid_) {
      Append(line, head_);
    } else {
      Append(line, Head(role_, entry.pid));
    }
  }
  entry.text = line.size();
}

void Log::EndLine(Entry& entry) const {
  fmt::memory_buffer& line = entry.bytes;
  if (style_.format == LogFormat::kJson) {
    const std::string_view text(line.data() + entry.text, line.size() - entry.text);
    const std::string json = ToJson(kNames[static_cast<int>(entry.level)], role_, entry.pid, text);
    line.resize(entry.text);
    Append(line, json);
  } else {
    EscapeNewlines(line, entry.text);
  }
  line.push_back('\n');
}

void Log::Finish(Entry& entry) const {
  EndLine(entry);
  const fmt::memory_buffer& line = entry.bytes;
  const ssize_t written = RetryInterrupted([&] { return write(fd_, line.data(), line.size()); });
  if (written == static_cast<ssize_t>(line.size())) {
    if (entry.mends) status_->torn = false;
    if (entry.tells) status_->told = entry.lost;
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
