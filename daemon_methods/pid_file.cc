#include "daemon_methods/pid_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

std::string Quoted(const std::string& path) { return "the pid file " + path; }

// No link is followed: in a folder that others may write, it could lead to any file of ours.
// O_NONBLOCK: a FIFO without a reader would block here.
UniqueFd OpenFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd == -1 && errno == ELOOP) {
    throw std::runtime_error(Quoted(path) +
                             " is a symbolic link, which is not followed: name the file itself");
  }
  return UniqueFd(Check(fd, "open", Quoted(path)));
}

bool Lock(const UniqueFd& fd, const std::string& path) {
  const int result = RetryInterrupted([&] { return flock(fd.Get(), LOCK_EX | LOCK_NB); });
  if (result == -1 && errno == EWOULDBLOCK) return false;
  Check(result, "flock", Quoted(path));
  return true;
}

struct stat Status(const UniqueFd& fd, const std::string& path) {
  struct stat status;
  Check(fstat(fd.Get(), &status), "fstat", Quoted(path));
  return status;
}

// A predecessor may have removed the file between our open() and our lock: then we hold the lock
// of a file that nobody finds any more.
bool IsStillAt(const std::string& path, const struct stat& opened) {
  struct stat found;
  if (lstat(path.c_str(), &found) == -1) return false;
  return found.st_dev == opened.st_dev && found.st_ino == opened.st_ino;
}

// The pid in the file, 0 when it is empty; nothing when it holds anything else.
std::optional<pid_t> ReadPid(const UniqueFd& fd, const std::string& path) {
  std::array<char, 32> buffer;
  const ssize_t size =
      Check(RetryInterrupted([&] { return pread(fd.Get(), buffer.data(), buffer.size(), 0); }),
            "read", Quoted(path));
  if (size == 0) return 0;
  pid_t pid = 0;
  const char* end = buffer.data() + size;
  const auto [rest, error] = std::from_chars(buffer.data(), end, pid);
  const std::string_view after(rest, end - rest);
  if (error != std::errc() || pid <= 0 || after.find_first_not_of("\n ") != after.npos) {
    return std::nullopt;
  }
  return pid;
}

void RefuseForeign(const UniqueFd& fd, const std::string& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) throw std::runtime_error(Quoted(path) + " is no regular file");
  if (status.st_nlink > 1) {
    throw std::runtime_error(Quoted(path) + " has a second name (a hard link): remove it");
  }
  if (!ReadPid(fd, path)) {
    throw std::runtime_error(Quoted(path) + " holds something that is no pid: not overwritten");
  }
}

void WritePid(const UniqueFd& fd, const std::string& path) {
  const std::string text = std::to_string(getpid()) + "\n";
  Check(ftruncate(fd.Get(), 0), "ftruncate", Quoted(path));
  const ssize_t size =
      Check(RetryInterrupted([&] { return pwrite(fd.Get(), text.data(), text.size(), 0); }),
            "write", Quoted(path));
  if (size != static_cast<ssize_t>(text.size())) ThrowErrno(ENOSPC, "write", Quoted(path));
}

std::string Describe(const std::string& path, pid_t pid) {
  if (pid == 0) return "already running, its pid not yet written (" + path + ")";
  std::string text = "already running, pid " + std::to_string(pid) + " (" + path + ")";
  if (kill(pid, 0) == -1 && errno == ESRCH) text += ", which has ended: a child of it lives on";
  return text;
}

}  // namespace

AlreadyRunning::AlreadyRunning(const std::string& path, pid_t pid)
    : std::runtime_error(Describe(path, pid)), pid_(pid) {}

PidFile PidFile::Acquire(const std::string& path) {
  for (;;) {
    UniqueFd fd = OpenFile(path);
    const struct stat status = Status(fd, path);
    RefuseForeign(fd, path, status);
    if (!Lock(fd, path)) throw AlreadyRunning(path, ReadPid(fd, path).value_or(0));
    if (!IsStillAt(path, status)) continue;
    WritePid(fd, path);
    return PidFile(path, std::move(fd));
  }
}

PidFile::PidFile(std::string path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)), owner_(getpid()) {}

void PidFile::Adopt() {
  WritePid(fd_, path_);
  owner_ = getpid();
}

PidFile::~PidFile() {
  if (!fd_ || getpid() != owner_) return;
  struct stat status;
  if (fstat(fd_.Get(), &status) == -1 || !IsStillAt(path_, status)) return;
  if (unlink(path_.c_str()) == 0) return;
  // Root wrote it, and an unprivileged user may not remove it: leave no pid that lies.
  [[maybe_unused]] const int truncated = ftruncate(fd_.Get(), 0);
}

}  // namespace graceful
