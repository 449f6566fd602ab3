#include "reload/log.h"

#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "signals/check.h"

namespace graceful {

void Log::Write(std::string_view text) const {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm local;
  localtime_r(&now.tv_sec, &local);
  char time[32];
  strftime(time, sizeof time, "%H:%M:%S", &local);
  const std::string line = fmt::format("{}.{:03} {:<9} {:>7}  {}\n", time, now.tv_nsec / 1'000'000,
                                       role_, getpid(), text);
  // A log that can't be written must not stop a server.
  RetryInterrupted([&] { return write(fd_, line.data(), line.size()); });
}

}  // namespace graceful
