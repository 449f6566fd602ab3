#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_REPORT_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_REPORT_H_

#include <string>

#include "integration_tests/witness/account.h"
#include "integration_tests/witness/journal.h"
#include "integration_tests/witness/options.h"

namespace graceful {

// How long the load went on, in microseconds of CLOCK_MONOTONIC.
struct Span {
  int64_t begun_us = 0;
  int64_t ended_us = 0;

  double Seconds() const { return static_cast<double>(ended_us - begun_us) / 1e6; }
};

// One JSON object with every number of the account. `indent` as of nlohmann::json::dump(): -1 has
// all of it on one line.
std::string JsonReport(const Options& options, const Account& account, const Journal& journal,
                       const Span& span, int indent = 2);

// A short table for a reader; its last line sums it up.
std::string TextReport(const Account& account, const Span& span);

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_REPORT_H_
