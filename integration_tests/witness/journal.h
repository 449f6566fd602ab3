#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_JOURNAL_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_JOURNAL_H_

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "integration_tests/witness/outcome.h"
#include "integration_tests/witness/workload.h"

namespace graceful {

// What became of each single request, for those who ask: the timeline and the ids.
class Journal {
 public:
  // Throws std::runtime_error for a file that cannot be written.
  Journal(const Options& options, const Workload& workload);

  // `status` is the response's, 0 when there was none.
  void Write(const Request& request, int connection, Outcome outcome, int status, int64_t end_us);

  struct Unanswered {
    std::string id;
    std::string reason;  // "reset", "status 503", ...
  };
  // Empty without --ids.
  const std::vector<std::string>& AnsweredIds() const { return answered_; }
  const std::vector<Unanswered>& UnansweredIds() const { return unanswered_; }

  // Writes what is still buffered. Throws std::runtime_error when a file is not complete.
  void Finish();

 private:
  const Options& options_;
  const Workload& workload_;
  std::ofstream timeline_;
  std::ofstream ids_;
  std::vector<std::string> answered_;
  std::vector<Unanswered> unanswered_;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_JOURNAL_H_
