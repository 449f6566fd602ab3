#include "reload/descriptors.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

// A real-time signal that nobody is likely to have chosen for an open file.
int MarkSignal() { return SIGRTMAX - 1; }

sockaddr_storage LocalAddress(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return address;
}

// Whether a socket with address `a` was accepted from a listener with address `b`, which may be a
// wildcard: so the port decides, or the path.
bool IsSameService(const sockaddr_storage& a, const sockaddr_storage& b) {
  if (a.ss_family != b.ss_family) return false;
  switch (a.ss_family) {
    case AF_INET:
      return reinterpret_cast<const sockaddr_in&>(a).sin_port ==
             reinterpret_cast<const sockaddr_in&>(b).sin_port;
    case AF_INET6:
      return reinterpret_cast<const sockaddr_in6&>(a).sin6_port ==
             reinterpret_cast<const sockaddr_in6&>(b).sin6_port;
    case AF_UNIX:
      return std::strcmp(reinterpret_cast<const sockaddr_un&>(a).sun_path,
                         reinterpret_cast<const sockaddr_un&>(b).sun_path) == 0;
    default:
      return false;
  }
}

bool Contains(const std::vector<int>& fds, int fd) {
  return std::find(fds.begin(), fds.end(), fd) != fds.end();
}

}  // namespace

// poll(2) says of a number that is not open POLLNVAL. Reading /proc/self/fd would tell the same,
// but takes the kernel microseconds an entry, while thousands of clients wait.
std::vector<int> OpenDescriptors(int limit) {
  std::vector<int> fds;
  std::array<pollfd, 512> asked;  // a page: the keeper's stack stays small
  for (int first = 0; first < limit; first += static_cast<int>(asked.size())) {
    const size_t count = std::min(asked.size(), static_cast<size_t>(limit - first));
    for (size_t i = 0; i < count; ++i) asked[i] = {first + static_cast<int>(i), 0, 0};
    Check(RetryInterrupted([&] { return poll(asked.data(), count, 0); }), "poll");
    for (size_t i = 0; i < count; ++i) {
      if ((asked[i].revents & POLLNVAL) == 0) fds.push_back(asked[i].fd);
    }
  }
  return fds;
}

bool IsConnection(const Slot& slot, int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  if (fd < 0 || fd >= slot.table.Capacity()) return false;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == -1 || value != SOCK_STREAM) {
    return false;
  }
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == -1 || value != 0) return false;
  const sockaddr_storage address = LocalAddress(fd);
  return std::any_of(slot.service.begin(), slot.service.end(),
                     [&](const sockaddr_storage& own) { return IsSameService(address, own); });
}

Leftovers::Leftovers(Slot& slot) : slot_(slot), keepers_(OpenDescriptors(slot.table.Capacity())) {}

void Leftovers::Mark(const std::vector<int>& own) {
  marked_.clear();
  for (const int fd : OpenDescriptors(slot_.table.Capacity())) {
    const bool listed = slot_.table.At(fd).Get().state != State::kFree;
    if (listed || Contains(keepers_, fd) || Contains(own, fd) || ArrivesInInbox(fd) ||
        IsConnection(slot_, fd)) {
      continue;
    }
    if (fcntl(fd, F_SETSIG, MarkSignal()) == 0) marked_.push_back(fd);
  }
}

int Leftovers::Close() {
  int closed = 0;
  for (const int fd : std::exchange(marked_, {})) {
    if (fcntl(fd, F_GETSIG) != MarkSignal()) continue;  // closed since, the number used again
    close(fd);
    ++closed;
  }
  return closed;
}

// The descriptors of a parcel whose receiver died are for its successor to unpack (parcels.cc).
bool Leftovers::ArrivesInInbox(int fd) const {
  InboxNote& note = slot_.table.Inbox();
  if (note.message.msg_len == 0) return false;
  int fds[2] = {-1, -1};
  std::memcpy(fds, note.control + CMSG_LEN(0), sizeof fds);
  return fd == fds[0] || fd == fds[1];
}

}  // namespace graceful
