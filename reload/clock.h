#ifndef GRACEFUL_RELOAD_CLOCK_H_
#define GRACEFUL_RELOAD_CLOCK_H_

#include <cstdint>

namespace graceful {

// Milliseconds of CLOCK_MONOTONIC: the same in every process. Wraps after 49 days, so compare
// with Passed(). Never 0.
uint32_t ClockMs();
inline bool Passed(uint32_t deadline, uint32_t now) {
  return static_cast<int32_t>(now - deadline) >= 0;
}

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_CLOCK_H_
