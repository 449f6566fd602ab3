#ifndef GRACEFUL_SIGNALS_UNIQUE_FD_H_
#define GRACEFUL_SIGNALS_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace graceful {

// Owns one file descriptor and closes it at the end of its life.
//
// Everything here opens descriptors with O_CLOEXEC (or the call's own flag for it), so that a
// program which a handler starts inherits 0, 1 and 2 and nothing else.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }
  ~UniqueFd() { Reset(); }

  // The descriptor, or -1 when there is none.
  int Get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor up without closing it.
  int Release() { return std::exchange(fd_, -1); }

  // Closes what it holds and holds `fd` instead. close(2) releases the descriptor even when it
  // reports an error, so there is nothing to retry.
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_UNIQUE_FD_H_
