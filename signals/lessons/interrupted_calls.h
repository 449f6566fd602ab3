#ifndef GRACEFUL_SIGNALS_LESSONS_INTERRUPTED_CALLS_H_
#define GRACEFUL_SIGNALS_LESSONS_INTERRUPTED_CALLS_H_

#include <span>

namespace graceful {

// A call that sleeps for long, given a descriptor in which nothing comes.
struct SleepingCall {
  const char* name;
  long (*run)(int quiet);
};

// Those that the lesson looks at.
std::span<const SleepingCall> SleepingCalls();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_INTERRUPTED_CALLS_H_
