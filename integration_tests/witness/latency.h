#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_LATENCY_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_LATENCY_H_

#include <cstdint>
#include <vector>

namespace graceful {

// How many times took how long, in a few kilobytes for any number of them. Times below 128 us are
// kept exactly, longer ones to within 1/64. Minimum and maximum are exact.
class Latency {
 public:
  void Add(int64_t us);

  // All are 0 when nothing was added.
  int64_t Min() const { return min_; }
  int64_t Max() const { return max_; }

  // The time that `share` (0 to 1) of all did not exceed.
  int64_t Percentile(double share) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  int64_t min_ = 0;
  int64_t max_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_LATENCY_H_
