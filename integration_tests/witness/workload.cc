#include "integration_tests/witness/workload.h"

#include <fmt/format.h>

#include <random>

namespace graceful {

namespace {

// A number in front of random bytes makes each body unique, so that an answer which belongs to
// another request is never taken for the right one.
constexpr size_t kStampSize = 16;

std::string RandomBytes(uint64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

}  // namespace

bool Body::Has(size_t offset, std::string_view bytes) const {
  if (offset + bytes.size() > Size()) return false;
  if (offset < own.size()) {
    const std::string_view first = std::string_view(own).substr(offset, bytes.size());
    if (bytes.substr(0, first.size()) != first) return false;
    bytes.remove_prefix(first.size());
    offset += first.size();
  }
  return bytes.empty() || common.substr(offset - own.size(), bytes.size()) == bytes;
}

Workload::Workload(const Options& options, std::string authority, std::string target)
    : options_(options),
      checks_body_((options.expect_echo || options.expect_body || !options.ids.empty()) &&
                   options.method != "HEAD"),
      head_(fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", options.method, target, authority)) {
  if (options.close) head_ += "Connection: close\r\n";
  if (options.body) {
    common_ = *options.body;
  } else if (options.body_size > 0) {
    common_ = RandomBytes(options.body_size, options.seed);
  }
}

std::string Workload::Id(uint64_t number) const {
  return options_.ids.empty() ? "" : fmt::format("{}-{}", options_.ids, number);
}

Body Workload::RequestBody(uint64_t number) const {
  if (!options_.ids.empty()) return {Id(number), {}};
  if (options_.body_size >= kStampSize) {
    return {fmt::format("{:016x}", number), std::string_view(common_).substr(kStampSize)};
  }
  return {"", common_};
}

Body Workload::ExpectedBody(uint64_t number) const {
  if (!options_.ids.empty()) return {"done " + Id(number), {}};
  if (options_.expect_echo) return RequestBody(number);
  if (options_.expect_body) return {"", *options_.expect_body};
  return {};
}

bool Workload::StatusIsRight(int status) const {
  if (options_.expect_status != 0) return status == options_.expect_status;
  return status >= 200 && status < 300;
}

void Workload::AppendRequest(uint64_t number, std::string& out) const {
  out += head_;
  const Body body = RequestBody(number);
  // RFC 9110, 8.6: a method that has no use for a body sends no length when it has none.
  if (body.Size() > 0 || options_.method == "POST" || options_.method == "PUT") {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", body.Size());
  }
  out += "\r\n";
  out += body.own;
  out += body.common;
}

}  // namespace graceful
