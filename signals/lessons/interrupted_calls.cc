#include "signals/lessons/interrupted_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "signals/check.h"
#include "signals/lessons/stage.h"
#include "signals/unique_fd.h"

namespace graceful {

namespace {

constexpr timespec kMinute = {.tv_sec = 60, .tv_nsec = 0};

long Read(int quiet) {
  char byte;
  return read(quiet, &byte, 1);
}

long Accept(int) {
  const UniqueFd listener(Check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr nameless = {.sa_family = AF_UNIX, .sa_data = {}};  // unix(7), autobind
  Check(bind(listener.Get(), &nameless, sizeof nameless.sa_family), "bind");
  Check(listen(listener.Get(), 1), "listen");
  return accept4(listener.Get(), nullptr, nullptr, SOCK_CLOEXEC);
}

long Waitpid(int) {
  Fork([] { pause(); });
  return waitpid(-1, nullptr, 0);
}

long Flock(int quiet) {
  const std::string same_file = "/proc/self/fd/" + std::to_string(quiet);
  const UniqueFd other(Check(open(same_file.c_str(), O_RDONLY | O_CLOEXEC), "open", same_file));
  Check(flock(other.Get(), LOCK_EX), "flock");
  return flock(quiet, LOCK_EX);
}

long ReceiveWithTimeout(int) {
  int fds[2];
  Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  const timeval minute = {.tv_sec = kMinute.tv_sec, .tv_usec = 0};
  Check(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute), "setsockopt");
  char byte;
  return recv(fds[0], &byte, 1, 0);
}

long Poll(int quiet) {
  pollfd fd = {quiet, POLLIN, 0};
  return poll(&fd, 1, -1);
}

long Select(int quiet) {
  fd_set fds;
  FD_ZERO(&fds);
  FD_SET(quiet, &fds);
  return select(quiet + 1, &fds, nullptr, nullptr, nullptr);
}

long EpollWait(int quiet) {
  const UniqueFd epoll(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event event = {};
  Check(epoll_ctl(epoll.Get(), EPOLL_CTL_ADD, quiet, &event), "epoll_ctl");
  return epoll_wait(epoll.Get(), &event, 1, -1);
}

long Nanosleep(int) { return nanosleep(&kMinute, nullptr); }

constexpr SleepingCall kCalls[] = {
    {"read", Read},
    {"accept", Accept},
    {"waitpid", Waitpid},
    {"flock", Flock},
    {"recv with SO_RCVTIMEO", ReceiveWithTimeout},
    {"poll", Poll},
    {"select", Select},
    {"nanosleep", Nanosleep},
    {"epoll_wait", EpollWait},
};

}  // namespace

std::span<const SleepingCall> SleepingCalls() { return kCalls; }

}  // namespace graceful
