#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_OUTCOME_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_OUTCOME_H_

#include <cstdint>

namespace graceful {

// What became of a request: exactly one of these.
enum class Outcome {
  kOk,         // the response that was expected
  kAllowed,    // a status that --allow names
  kReset,      // the connection was lost before one byte of the response
  kTruncated,  // the connection was lost inside the response
  kWrong,      // a whole response, but not the expected one; or a malformed one
  kRefused,    // no connection could be made, so it was never sent
  kTimedOut,
};

// The outcome's name in every report, "timed_out".
const char* OutcomeName(Outcome outcome);

// One request on its way. Times are in microseconds of CLOCK_MONOTONIC.
struct Request {
  uint64_t number = 0;
  int64_t begun_us = 0;    // its first byte was written
  int64_t written_us = 0;  // its last byte was written; 0 before that
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_OUTCOME_H_
