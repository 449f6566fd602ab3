// Bytes from anyone as a request: the parser reaches the same end however they come in pieces, and
// what it hands out lies in them.

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "reload/fuzz/check.h"
#include "reload/request_parser.h"

namespace {

using graceful::Request;
using graceful::RequestParser;

// Small, so that inputs reach beyond them.
constexpr graceful::RequestLimits kLimits = {.header_bytes = 512, .body_bytes = 300};

// Longer inputs come in larger pieces: each piece is a copy of all before it.
constexpr size_t kByteByByte = 150;

class NoWorker : public graceful::Worker {
 public:
  int Slot() const override { return 0; }
  int Generation() const override { return 0; }
  std::string_view Setting(std::string_view) const override { return {}; }
};

// Bytes in memory of just their size: one read beyond it is seen by AddressSanitizer. They lie
// elsewhere each time, as a connection's buffer may have moved.
class Bytes {
 public:
  explicit Bytes(std::string_view text) : memory_(new char[text.size()]), size_(text.size()) {
    if (size_ > 0) std::memcpy(memory_.get(), text.data(), size_);
  }
  std::string_view Get() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<char[]> memory_;
  size_t size_;
};

struct Ending {
  RequestParser::Outcome outcome;
  size_t size = 0;

  bool operator==(const Ending&) const = default;
};

Ending EndingOf(const RequestParser& parser, RequestParser::Outcome outcome) {
  Ending ending = {outcome};
  if (outcome == RequestParser::Outcome::kComplete) ending.size = parser.Size();
  return ending;
}

Ending ParseWhole(std::string_view text) {
  const Bytes bytes(text);
  RequestParser parser(kLimits);
  const Ending ending = EndingOf(parser, parser.Parse(bytes.Get()));
  if (ending.outcome == RequestParser::Outcome::kBad) {
    FUZZ_CHECK(parser.Status() >= 400 && parser.Status() < 600 && parser.Reason() != nullptr);
  }
  return ending;
}

// The sizes of the pieces come from a linear congruential generator.
Ending ParseInPieces(std::string_view text, uint32_t seed, uint32_t longest) {
  RequestParser parser(kLimits);
  RequestParser::Outcome outcome = RequestParser::Outcome::kNeedMore;
  for (size_t size = 0; size < text.size() && outcome == RequestParser::Outcome::kNeedMore;) {
    seed = seed * 1664525 + 1013904223;
    size = std::min<size_t>(text.size(), size + 1 + (seed >> 16) % longest);
    outcome = parser.Parse(Bytes(text.substr(0, size)).Get());
    if (outcome != RequestParser::Outcome::kBad && parser.HeaderDone()) parser.ExpectedSize();
  }
  return EndingOf(parser, outcome);
}

void CheckLiesIn(std::string_view piece, std::string_view bytes) {
  FUZZ_CHECK(piece.data() >= bytes.data() &&
             piece.data() + piece.size() <= bytes.data() + bytes.size());
}

void CheckRequest(std::string_view text, size_t size) {
  const Bytes bytes(text);
  RequestParser parser(kLimits);
  FUZZ_CHECK(parser.Parse(bytes.Get()) == RequestParser::Outcome::kComplete);
  FUZZ_CHECK(parser.HeaderDone() && !parser.ExpectsContinue());
  const NoWorker worker;
  const Bytes moved(text.substr(0, size));
  const Request request = parser.MakeRequest(moved.Get(), worker);
  CheckLiesIn(request.method, moved.Get());
  CheckLiesIn(request.target, moved.Get());
  FUZZ_CHECK(!request.method.empty() && !request.target.empty());
  FUZZ_CHECK(request.target.find_first_of(" \r\n") == std::string_view::npos);
  for (const graceful::Header& header : request.headers) {
    CheckLiesIn(header.name, moved.Get());
    CheckLiesIn(header.value, moved.Get());
    FUZZ_CHECK(!header.name.empty());
    FUZZ_CHECK(header.name.find_first_of(": \t\r\n") == std::string_view::npos);
    // What a handler passes on can't become another header.
    FUZZ_CHECK(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  }
  FUZZ_CHECK(request.body.size() <= kLimits.body_bytes);
  CheckLiesIn(request.Path(), moved.Get());
  request.Query("ms");
  request.HeaderValue("host");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  const Ending whole = ParseWhole(text);
  const auto seed = static_cast<uint32_t>(size * 31 + data[size / 2]);
  for (const uint32_t longest : {1u, 50u, 300u}) {
    if (longest == 1 && size > kByteByByte) continue;
    // The same request, or none. What is wrong may be found out with a piece, or only with the end
    // of its line; and of two things that are wrong, which one comes first.
    const Ending pieces = ParseInPieces(text, seed, longest);
    const bool request = whole.outcome == RequestParser::Outcome::kComplete ||
                         pieces.outcome == RequestParser::Outcome::kComplete;
    FUZZ_CHECK(!request || pieces == whole);
  }
  if (whole.outcome != RequestParser::Outcome::kComplete) return 0;
  FUZZ_CHECK(whole.size > 0 && whole.size <= size);
  // What comes behind a request has no part in it, and no less is enough.
  FUZZ_CHECK(ParseWhole(text.substr(0, whole.size)) == whole);
  FUZZ_CHECK(ParseWhole(text.substr(0, whole.size - 1)).outcome ==
             RequestParser::Outcome::kNeedMore);
  CheckRequest(text, whole.size);
  return 0;
}
