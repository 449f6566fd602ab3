#ifndef GRACEFUL_RELOAD_SERVICE_MANAGER_H_
#define GRACEFUL_RELOAD_SERVICE_MANAGER_H_

#include <cstdint>
#include <string>

namespace graceful {

// Tells systemd how the server is (sd_notify(3)). Does nothing when it was not started by it, as
// Type=notify (NOTIFY_SOCKET is not set).
class ServiceManager {
 public:
  ServiceManager();

  void Ready(const std::string& status) const;
  void Reloading() const;
  void Stopping() const;

  // When to call StillAlive() next, as ClockMs() tells time; 0 when no watchdog waits for it.
  uint32_t NextSign() const { return next_sign_; }
  void StillAlive();

 private:
  uint32_t period_ms_ = 0;
  uint32_t next_sign_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_SERVICE_MANAGER_H_
