#include "reload/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "reload/connection_table.h"
#include "signals/unique_fd.h"

namespace graceful {

namespace {

// One datagram to the socket that systemd names: that is all of the protocol, and sd_notify(3)
// shows it. Without libsystemd, whose pages each process here would map for this one call.
void Notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return;
  const size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract name (unix(7))
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // A service manager that does not listen is its own trouble, not ours.
  if (connect(socket.Get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) {
    send(socket.Get(), state.data(), state.size(), MSG_NOSIGNAL);
  }
}

// WatchdogSec in microseconds, when it is for this process (sd_watchdog_enabled(3)); else 0.
uint64_t WatchdogMicroseconds() {
  const char* pid = std::getenv("WATCHDOG_PID");
  const char* microseconds = std::getenv("WATCHDOG_USEC");
  if (microseconds == nullptr || (pid != nullptr && std::atol(pid) != getpid())) return 0;
  return std::strtoull(microseconds, nullptr, 10);
}

}  // namespace

// Half of WatchdogSec, as sd_watchdog_enabled(3) advises.
ServiceManager::ServiceManager() {
  const uint64_t microseconds = WatchdogMicroseconds();
  if (microseconds == 0) return;
  period_ms_ = static_cast<uint32_t>(std::max<uint64_t>(1, microseconds / 2000));
  StillAlive();
}

void ServiceManager::Ready(const std::string& status) const { Notify("READY=1\nSTATUS=" + status); }

// The time is for Type=notify-reload (systemd 253 and newer), which tells by it that this answers
// its own signal.
void ServiceManager::Reloading() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t microseconds =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
  Notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds));
}

void ServiceManager::Stopping() const { Notify("STOPPING=1"); }

void ServiceManager::StillAlive() {
  Notify("WATCHDOG=1");
  next_sign_ = std::max(1u, ClockMs() + period_ms_);
}

}  // namespace graceful
