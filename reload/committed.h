#ifndef GRACEFUL_RELOAD_COMMITTED_H_
#define GRACEFUL_RELOAD_COMMITTED_H_

#include <atomic>
#include <cstdint>

namespace graceful {

// A value in shared memory that is replaced as a whole, by one store. One process writes it at a
// time. A mapping's zeros are a value of zeros.
template <typename Value>
class Committed {
 public:
  Value Get() const { return copies_[version_.load(std::memory_order_relaxed) & 1]; }

  // Writes the spare copy, then makes it the valid one with one store. A process killed at any
  // instruction leaves what was before or what is after, nothing between.
  void Commit(const Value& value) {
    const uint32_t next = version_.load(std::memory_order_relaxed) + 1;
    copies_[next & 1] = value;
    version_.store(next, std::memory_order_release);
  }

  // Counts the commits.
  uint32_t Version() const { return version_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> version_;
  Value copies_[2];
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_COMMITTED_H_
