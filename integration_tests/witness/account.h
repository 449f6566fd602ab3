#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_ACCOUNT_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "integration_tests/witness/latency.h"
#include "integration_tests/witness/outcome.h"

namespace graceful {

// The books of a run. Every request is in exactly one column:
//
//   sent = ok + allowed + reset + truncated + wrong + timed_out
//   requests = sent + refused
//
// and every connection that the server closed is in one of closes_announced, _idle, _busy.
class Account {
 public:
  // A request begins to be written.
  void Begin() { ++sent_; }

  // Its last byte was written: from now on a response is due.
  void Await(int64_t now_us);

  // What became of a request that had begun. `status` counts for kAllowed alone.
  void End(const Request& request, Outcome outcome, int status, int64_t now_us);

  // A request that never began, since no connection could be made.
  void Refuse() { ++refused_; }

  void Connect() { ++connects_; }
  void CloseAnnounced() { ++closes_announced_; }
  void CloseIdle() { ++closes_idle_; }
  void CloseBusy() { ++closes_busy_; }
  void CloseByWitness() { ++closes_by_witness_; }

  // Bytes came when no request was outstanding.
  void Unasked() { ++unasked_; }

  // Keeps the first few descriptions of what was wrong.
  void Describe(std::string what);

  // Counts a body that was answered. After a thousand different ones the others are one: "".
  void Tally(const std::string& body);

  uint64_t Requests() const { return sent_ + refused_; }
  uint64_t Sent() const { return sent_; }
  uint64_t Ok() const { return ok_; }
  uint64_t Allowed() const;
  const std::map<int, uint64_t>& AllowedByStatus() const { return allowed_; }
  uint64_t Reset() const { return reset_; }
  uint64_t Truncated() const { return truncated_; }
  uint64_t Wrong() const { return wrong_; }
  uint64_t Refused() const { return refused_; }
  uint64_t TimedOut() const { return timed_out_; }
  uint64_t UnaskedFor() const { return unasked_; }
  // No whole response: reset, truncated, refused and timed out together.
  uint64_t Lost() const { return reset_ + truncated_ + refused_ + timed_out_; }
  bool Clean() const { return Lost() + wrong_ + unasked_ == 0; }

  uint64_t Connects() const { return connects_; }
  uint64_t ClosesAnnounced() const { return closes_announced_; }
  uint64_t ClosesIdle() const { return closes_idle_; }
  uint64_t ClosesBusy() const { return closes_busy_; }
  uint64_t ClosesByWitness() const { return closes_by_witness_; }
  // By the server, announced or not.
  uint64_t Closed() const { return closes_announced_ + closes_idle_ + closes_busy_; }

  const std::vector<std::string>& Descriptions() const { return descriptions_; }
  const std::map<std::string, uint64_t>& Tallies() const { return tallies_; }

  // From a request's last byte written to its response's last byte read; ok and allowed only.
  const Latency& Latencies() const { return latencies_; }

  // The longest time in which requests were outstanding and not one response came, on any
  // connection; and when it began.
  int64_t LongestPauseUs() const { return longest_pause_us_; }
  int64_t LongestPauseBeginUs() const { return longest_pause_begin_us_; }

 private:
  void EndPause(int64_t now_us);

  uint64_t sent_ = 0;
  uint64_t ok_ = 0;
  std::map<int, uint64_t> allowed_;
  uint64_t reset_ = 0;
  uint64_t truncated_ = 0;
  uint64_t wrong_ = 0;
  uint64_t refused_ = 0;
  uint64_t timed_out_ = 0;
  uint64_t unasked_ = 0;

  uint64_t connects_ = 0;
  uint64_t closes_announced_ = 0;
  uint64_t closes_idle_ = 0;
  uint64_t closes_busy_ = 0;
  uint64_t closes_by_witness_ = 0;

  std::vector<std::string> descriptions_;
  std::map<std::string, uint64_t> tallies_;
  Latency latencies_;

  uint64_t awaited_ = 0;        // responses that are due
  int64_t quiet_since_us_ = 0;  // the last response, or since when any is due
  int64_t longest_pause_us_ = 0;
  int64_t longest_pause_begin_us_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_ACCOUNT_H_
