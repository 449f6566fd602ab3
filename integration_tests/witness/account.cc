#include "integration_tests/witness/account.h"

#include <utility>

namespace graceful {

namespace {

constexpr size_t kDescriptions = 10;
constexpr size_t kTallies = 1000;

bool IsResponse(Outcome outcome) {
  return outcome == Outcome::kOk || outcome == Outcome::kAllowed || outcome == Outcome::kWrong;
}

}  // namespace

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return "ok";
    case Outcome::kAllowed:
      return "allowed";
    case Outcome::kReset:
      return "reset";
    case Outcome::kTruncated:
      return "truncated";
    case Outcome::kWrong:
      return "wrong";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kTimedOut:
      return "timed_out";
  }
  return "unknown";
}

void Account::Await(int64_t now_us) {
  if (awaited_++ == 0) quiet_since_us_ = now_us;
}

void Account::EndPause(int64_t now_us) {
  const int64_t pause = now_us - quiet_since_us_;
  if (pause > longest_pause_us_) {
    longest_pause_us_ = pause;
    longest_pause_begin_us_ = quiet_since_us_;
  }
  quiet_since_us_ = now_us;
}

void Account::End(const Request& request, Outcome outcome, int status, int64_t now_us) {
  const bool awaited = request.written_us != 0;
  if (awaited) {
    // A loss ends a pause only when nothing else is due: then there is nothing to wait for.
    --awaited_;
    if (IsResponse(outcome) || awaited_ == 0) EndPause(now_us);
  }
  switch (outcome) {
    case Outcome::kOk:
      ++ok_;
      break;
    case Outcome::kAllowed:
      ++allowed_[status];
      break;
    case Outcome::kReset:
      ++reset_;
      break;
    case Outcome::kTruncated:
      ++truncated_;
      break;
    case Outcome::kWrong:
      ++wrong_;
      break;
    case Outcome::kRefused:
      ++refused_;
      break;
    case Outcome::kTimedOut:
      ++timed_out_;
      break;
  }
  if (outcome == Outcome::kOk || outcome == Outcome::kAllowed) {
    latencies_.Add(now_us - (awaited ? request.written_us : request.begun_us));
  }
}

void Account::Describe(std::string what) {
  if (descriptions_.size() < kDescriptions) descriptions_.push_back(std::move(what));
}

void Account::Tally(const std::string& body) {
  auto found = tallies_.find(body);
  if (found == tallies_.end()) {
    found = tallies_.try_emplace(tallies_.size() < kTallies ? body : "").first;
  }
  ++found->second;
}

uint64_t Account::Allowed() const {
  uint64_t sum = 0;
  for (const auto& [status, count] : allowed_) sum += count;
  return sum;
}

}  // namespace graceful
