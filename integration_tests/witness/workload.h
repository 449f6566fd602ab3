#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_WORKLOAD_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "integration_tests/witness/options.h"

namespace graceful {

// A body in two pieces: what is of this request alone, and what all have in common.
struct Body {
  std::string own;
  std::string_view common;

  size_t Size() const { return own.size() + common.size(); }

  // Do `bytes` stand at `offset` of this body?
  bool Has(size_t offset, std::string_view bytes) const;
};

// The requests, each known by its number, and what must come back for each.
class Workload {
 public:
  Workload(const Options& options, std::string authority, std::string target);

  // Writes request `number` to the end of `out`.
  void AppendRequest(uint64_t number, std::string& out) const;

  Body RequestBody(uint64_t number) const;
  Body ExpectedBody(uint64_t number) const;

  // Any body is right when false.
  bool ChecksBody() const { return checks_body_; }
  bool StatusIsRight(int status) const;
  bool IsHead() const { return options_.method == "HEAD"; }

  // The id that request `number` carries; empty without --ids.
  std::string Id(uint64_t number) const;

 private:
  const Options& options_;
  bool checks_body_;
  std::string common_;  // what every request's body shares
  std::string head_;    // request line and Host
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_WORKLOAD_H_
