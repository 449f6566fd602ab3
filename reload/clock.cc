#include "reload/clock.h"

#include <time.h>

namespace graceful {

uint32_t ClockMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto ms = static_cast<uint32_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
  return ms == 0 ? 1 : ms;
}

}  // namespace graceful
