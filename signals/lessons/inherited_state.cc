#include "signals/lessons/inherited_state.h"

#include <signal.h>

#include <cerrno>
#include <cstdint>
#include <set>
#include <string>

#include "signals/check.h"
#include "signals/lessons/stage.h"

namespace graceful {

namespace {

// One line of /proc/PID/status, "SigBlk:\t0000000000004000": bit 0 is signal 1.
std::set<int> ReadSet(const std::string& status, const std::string& field) {
  const size_t start = status.find("\n" + field + ":\t");
  if (start == std::string::npos) ThrowErrno(ENODATA, "read /proc/PID/status", field);
  const uint64_t bits = std::stoull(status.substr(start + field.size() + 3, 16), nullptr, 16);
  std::set<int> signals;
  for (int number = 1; number <= SIGSYS; ++number) {
    if (bits >> (number - 1) & 1) signals.insert(number);
  }
  return signals;
}

}  // namespace

SignalState ReadSignalState(pid_t pid) {
  const std::string status = ReadFile("/proc/" + std::to_string(pid) + "/status");
  return {.blocked = ReadSet(status, "SigBlk"),
          .pending = ReadSet(status, "ShdPnd"),  // sent to the process; SigPnd: to one thread
          .ignored = ReadSet(status, "SigIgn"),
          .caught = ReadSet(status, "SigCgt")};
}

}  // namespace graceful
