#ifndef GRACEFUL_SIGNALS_LESSONS_REALTIME_H_
#define GRACEFUL_SIGNALS_LESSONS_REALTIME_H_

#include <vector>

namespace graceful {

// A signal with the number that its sender attached (sigqueue(3)).
struct Numbered {
  int signal;
  int value;
  bool operator==(const Numbered&) const = default;
};

// Nine real-time signals and nine standard ones are sent to a process that has them blocked,
// and taken with sigwaitinfo(2).
struct Queued {
  std::vector<Numbered> sent;           // real-time, the highest number first, values 1 to 9
  std::vector<Numbered> received;       // each one of them, the lowest number first, then as sent
  std::vector<Numbered> standard_sent;  // SIGUSR1, values 1 to 9
  std::vector<Numbered> standard_received;  // the first one alone: its value too
  int error_when_full;  // errno of sigqueue(3) at the limit RLIMIT_SIGPENDING: EAGAIN
};
Queued FindQueued();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_REALTIME_H_
