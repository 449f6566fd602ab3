#include "integration_tests/witness/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace graceful {

namespace {

// Each power of two from 128 us on is divided into 64 buckets.
constexpr int kShareBits = 6;
constexpr uint64_t kShares = uint64_t{1} << kShareBits;

size_t BucketOf(uint64_t us) {
  const int width = static_cast<int>(std::bit_width(us));
  const int shift = std::max(0, width - kShareBits - 1);
  return shift * kShares + (us >> shift);
}

// The longest time that falls into the bucket.
uint64_t TopOf(size_t bucket) {
  if (bucket < 2 * kShares) return bucket;
  const int shift = static_cast<int>(bucket / kShares) - 1;
  return ((bucket - shift * kShares + 1) << shift) - 1;
}

}  // namespace

void Latency::Add(int64_t us) {
  us = std::max<int64_t>(us, 0);
  const size_t bucket = BucketOf(us);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  min_ = count_ == 0 ? us : std::min(min_, us);
  max_ = std::max(max_, us);
  ++count_;
}

int64_t Latency::Percentile(double share) const {
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted && seen > 0) {
      return std::clamp(static_cast<int64_t>(TopOf(bucket)), min_, max_);
    }
  }
  return max_;
}

}  // namespace graceful
