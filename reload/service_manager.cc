#include "reload/service_manager.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include <algorithm>

#include "reload/connection_table.h"

namespace graceful {

// Half of WatchdogSec, as sd_watchdog_enabled(3) advises.
ServiceManager::ServiceManager() {
  uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return;
  period_ms_ = static_cast<uint32_t>(std::max<uint64_t>(1, microseconds / 2000));
  StillAlive();
}

void ServiceManager::Ready(const std::string& status) const {
  sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
}

// The time is for Type=notify-reload (systemd 253 and newer), which tells by it that this answers
// its own signal.
void ServiceManager::Reloading() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t microseconds =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
  sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds).c_str());
}

void ServiceManager::Stopping() const { sd_notify(0, "STOPPING=1"); }

void ServiceManager::StillAlive() {
  sd_notify(0, "WATCHDOG=1");
  next_sign_ = std::max(1u, ClockMs() + period_ms_);
}

}  // namespace graceful
